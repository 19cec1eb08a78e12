"""The study file: what to ask, of whom, under which steering, and how to analyse it.

A study is YAML, checked here against a schema that refuses unknown keys, so that a misspelt strength
stops a sweep instead of running it unsteered. Relative paths are relative to the study file.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from axiograph.engine.storage.remote import is_remote
from axiograph.engine.study.fields import Share, Spec, finite
from axiograph.engine.study.model import ModelSpec
from axiograph.engine.study.steering import SteeringSpec

SCHEMA_VERSION = 1
TAGS = ("<think>", "</think>")
# What axiograph itself tells apply_chat_template, or what would make something else of its result.
_SET_BY_BUILDER = frozenset(
    {
        *("conversation", "messages", "tools", "documents", "chat_template", "tokenize", "tokenizer_kwargs"),
        *("add_generation_prompt", "continue_final_message", "strftime_now", "padding", "truncation"),
        *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
    }
)


def _run_location(value: Any) -> Any:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError("a directory, or an address like s3://bucket/run")
    return value if is_remote(value) else Path(value)


RunLocation = Annotated[Path | str, BeforeValidator(_run_location)]  # a str is an address in an object store


class RoleFile(Spec):
    """A file of roles; `split` puts all of its roles into the training or the test part.

    `text`, `name`: Jinja2 over the columns of a table of people (`name: row`: by the number of the row);
    `n`: so many are drawn, by the column `weight` and in the `strata` of these columns
    (engine.study.personas)."""

    path: Path
    text_field: str | None = None
    split: Literal["train", "test"] | None = None
    text: str | None = Field(default=None, min_length=1)
    name: str | None = Field(default=None, min_length=1)
    weight: str | None = None
    strata: tuple[str, ...] = ()
    n: int | None = Field(default=None, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _coherent(self) -> RoleFile:
        if self.text is not None and self.text_field is not None:
            raise ValueError("'text' or 'text_field', not both")
        if self.n is None and (self.weight is not None or self.strata):
            raise ValueError("'n' beside 'weight' and 'strata': they say how so many are drawn")
        return self


class RoleGenerator(Spec):
    """`n` roles drawn from a YAML file of field: options, no two alike."""

    fields: Path
    n: int = Field(gt=0)
    seed: int = 0
    split: Literal["train", "test"] | None = None


class RolesSpec(Spec):
    """Who is asked: roles from files, generated ones, and nobody in particular (`no_role`)."""

    files: tuple[RoleFile, ...] = ()
    generate: tuple[RoleGenerator, ...] = ()
    no_role: bool = True

    @model_validator(mode="after")
    def _some(self) -> RolesSpec:
        if not (self.files or self.generate or self.no_role):
            raise ValueError("at least one role: 'files', 'generate' or 'no_role: true'")
        return self


def _switch(value: Any) -> Any:
    """`on` and `off` are true and false in YAML."""
    return ("on" if value else "off") if isinstance(value, bool) else value


class PromptSpec(Spec):
    """The prompt template: a built-in name (where items have answer scales, `scale` and `scale_chat` stand in
    for `default` and `chat`), or the path of a Jinja2 text or a YAML list of messages.

    `chat` sends it through the tokenizer's chat template (a text becomes one user message), which
    `chat_arguments` are given to. `answer_cue` is what stands between the prompt and the answer when the
    thought is left empty, or behind the thought of a model that thinks (logprob mode). `thinking`: the model
    thinks at length between `tags` (begin, end), and what stands behind the last end is its answer.
    """

    template: Literal["default", "paper_order", "chat", "scale", "scale_chat"] = "default"
    path: Path | None = None
    chat: bool = False
    answer_cue: str = "\nAnswer:"
    thinking: Annotated[Literal["off", "on"], BeforeValidator(_switch)] = "off"
    tags: tuple[str, str] = TAGS
    chat_arguments: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def thinks(self) -> bool:
        return self.thinking == "on"

    @model_validator(mode="after")
    def _coherent(self) -> PromptSpec:
        begin, end = self.tags
        if not begin.strip() or not end.strip() or begin == end:
            raise ValueError("'tags' of two texts that differ: where a thought begins, and where it ends")
        if self.tags != TAGS and not self.thinks:
            raise ValueError("'thinking: on' beside 'tags'")
        if self.chat_arguments and not self.chat:
            raise ValueError("'chat: true' beside 'chat_arguments'")
        if taken := sorted(_SET_BY_BUILDER & set(self.chat_arguments)):
            raise ValueError(f"no {', '.join(taken)} in 'chat_arguments': axiograph sets them itself")
        return self


class HintSpec(Spec):
    """Prompt steering: the respondent is (dis)inclined to `value`; `asked` is the value being asked about."""

    value: str
    inclination: Literal["inclined", "disinclined"]
    name: str | None = None

    @property
    def label(self) -> str:
        """The name of the hint, by which conditions are named."""
        return self.name or f"{self.inclination}:{self.value}"


class SamplingSpec(Spec):
    """How answers are generated. `share`: which part of every value's items a role is asked; `repeats`: how
    often each of them; `max_tokens`: of one answer; `max_thought_tokens`: of the thought before it, where
    models think (`prompt.thinking`); `batch_size`: rows at once, which change no answer."""

    method: Literal["greedy", "sample"] = "greedy"
    temperature: Annotated[float, Field(gt=0), AfterValidator(finite)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: int = Field(default=100, gt=0)
    max_thought_tokens: int | None = Field(default=None, gt=0)
    repeats: int = Field(default=1, gt=0)
    seed: int = 0
    share: Share = 1.0
    batch_size: int = Field(default=64, gt=0)

    @property
    def most_tokens(self) -> int:
        """Of a thought and the answer behind it together."""
        return self.max_tokens + (self.max_thought_tokens or 0)

    @model_validator(mode="after")
    def _coherent(self) -> SamplingSpec:
        if self.method == "greedy":
            if self.repeats > 1:
                raise ValueError("'method: sample' for 'repeats' above 1: greedy answers are all alike")
            if self.temperature is not None or self.top_p != 1.0:
                raise ValueError("'method: sample' beside 'temperature' or 'top_p'")
        elif self.temperature is None:
            raise ValueError("'temperature' beside 'method: sample'")
        return self


class AnswersSpec(Spec):
    """How the options of answer scales are shown, and what their middle means. `show`: an answer is the
    label, the number or the letter of an option. `order`: as in the file, reversed, shuffled anew for every
    request (by `seed`, alike in all conditions), or both: everything is asked twice, given and reversed, and
    the mean is the score. `midpoint`: the middle of an odd number of options is a score of 0, or none
    (missing)."""

    show: Literal["labels", "numbers", "letters"] = "labels"
    order: Literal["given", "reversed", "shuffled", "both"] = "given"
    midpoint: Literal["keep", "missing"] = "keep"
    seed: int = 0


class SplitSpec(Spec):
    """Shares of roles and of each value's items that belong to the training part; the rest is test.

    Training roles are asked training items and test roles test items where `items` is below 1;
    otherwise everybody is asked everything.
    """

    roles: Share = 0.8
    items: Share = 1.0
    seed: int = 0


class ScoringSpec(Spec):
    """`mode`: answers are generated and read (generate), or the probabilities of the options are read behind
    an empty thought (logprob), or the model writes its thought, and must answer with one of the options
    (constrained). `profile`: what a role's score of a value is: the mean over its items freed from which
    items they were and from saying yes (engine.scoring.content), or that mean as it is. `drop_shared_items`:
    items whose text serves several values count in none of the profiles from which graphs and effects come,
    since identical answers make edges and joint changes."""

    mode: Literal["generate", "logprob", "constrained"] = "generate"
    profile: Literal["content", "mean"] = "content"
    mass_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.5
    drop_shared_items: bool = True

    @property
    def reads_options(self) -> bool:
        """Whether probabilities of the options are read, which needs the answer cue."""
        return self.mode != "generate"


class KnowledgeSpec(Spec):
    """What is known of the graph before: edges (cause, effect) that cannot be and that must be, and tiers: a
    value of a higher tier does not cause one of a lower."""

    forbidden: tuple[tuple[str, str], ...] = ()
    required: tuple[tuple[str, str], ...] = ()
    tiers: dict[str, int] = Field(default_factory=dict)


class AlgorithmSpec(Spec):
    """What can be set of the algorithm beside its name; each uses some of these
    (discovery.algorithms.registry, which refuses those that it does not use).

    `penalty`: of a parameter, as a multiple of BIC's; None: the algorithm's own."""

    max_conditioning: int | None = Field(default=None, ge=0)
    penalty: Annotated[float, Field(gt=0), AfterValidator(finite)] | None = None
    starts: int | None = Field(default=None, ge=1)
    colliders: Literal["sepset", "definite", "majority", "max_p"] = "sepset"
    max_parents: int | None = Field(default=None, ge=1)
    search: Literal["astar", "dp"] = "astar"
    bins: Literal["quantile", "width", "as_answered"] = "quantile"
    levels: int = Field(default=3, ge=2)


_STORED_SETTINGS = {"max_conditioning", "penalty", "max_parents", "search", "bins", "levels"}
Algorithm = Literal["pc", "boss", "pc_causal_learn", "fci", "ges", "exact", "pc_kci", "pc_chisq"]

WHOLE_ROWS = ("pc_kci", "pc_chisq")
"""Algorithms whose tests look at rows: no correlations can stand in for missing scores."""


class DiscoverySpec(Spec):
    """`algorithm`: the compiled PC or best-order search, or one of causal-learn's, and its `settings`.
    `rows`: the training roles' baseline profiles; or those of all conditions with steering and hints as
    nodes that nothing causes (pooled), tests counting roles either way; or baseline profiles together with
    what steering and hints did, as experiments (interventional). `missing`: a role without a score on some
    value is left out (listwise), counts where it has scores (pairwise), or counts by what they say of the
    ones it lacks (em); where nothing is said, em, or listwise where `correction` or the algorithm needs
    whole rows. `correction`: of the correlations for measurement error, by reliabilities from the items or
    from the repeats."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    algorithm: Algorithm = "boss"
    settings: AlgorithmSpec = AlgorithmSpec()
    replicates: int = Field(default=1000, gt=0)
    resample: Literal["half_of_roles", "roles_with_replacement", "rows_with_replacement"] = "half_of_roles"
    seed: int = Field(default=0, ge=0)
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.4
    rows: Literal["baseline", "pooled", "interventional"] = "baseline"
    missing: Literal["listwise", "pairwise", "em"] = "em"
    correction: Literal["none", "items", "repeats"] = "none"
    knowledge: KnowledgeSpec = KnowledgeSpec()

    @model_validator(mode="before")
    @classmethod
    def _whole_rows(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "missing" in given:
            return given
        needed = given.get("correction", "none") != "none" or given.get("algorithm") in WHOLE_ROWS
        return given | {"missing": "listwise"} if needed else given

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_run(cls, data: Any) -> Any:
        """As a run of version 0.1 stored it: all settings, among them λ as `penalty`, where 0.5 was BIC."""
        settings = data.get("settings") if isinstance(data, dict) else None
        if not isinstance(settings, dict) or set(settings) != _STORED_SETTINGS:
            return data
        penalty = 2 * settings["penalty"] if data.get("algorithm") == "ges" else None
        return data | {"settings": settings | {"penalty": penalty}}

    @model_validator(mode="after")
    def _coherent(self) -> DiscoverySpec:
        if self.rows == "interventional" and self.algorithm != "boss":
            raise ValueError(f"'algorithm: boss' beside 'rows: interventional', found {self.algorithm!r}")
        if self.rows == "interventional" and self.correction != "none":
            raise ValueError("no 'correction' beside 'rows: interventional': effects are not corrected")
        if self.correction != "none" and self.missing != "listwise":
            raise ValueError("'missing: listwise' beside 'correction': reliabilities are those of whole rows")
        return self


class EffectsSpec(Spec):
    """`level`: false discovery rate; `roles`: on which part of the roles changes are tested; `resamples`:
    draws of the roles behind the intervals of responses; `control`: how the `control_graphs` random graphs
    are made that the graph is compared with: its names shuffled, or as many edges placed at random;
    `break_margin`: by how much the share of refused and unparsed answers rises where steering breaks the
    model."""

    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    roles: Literal["train", "test", "all"] = "test"
    resamples: int = Field(default=1000, gt=0)
    control: Literal["relabelled", "uniform"] = "relabelled"
    control_graphs: int = Field(default=1000, gt=0)
    break_margin: Annotated[float, Field(gt=0, lt=1), AfterValidator(finite)] = 0.1
    seed: int = Field(default=0, ge=0)


class Study(Spec):
    """A study whose fields are checked, one by one and together; engine.study.loading reads one from a file
    and makes its paths absolute."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(min_length=1)
    model: ModelSpec
    questionnaires: tuple[Path, ...] = Field(min_length=1)
    values: tuple[str, ...] | None = None
    group_by: Literal["name", "scale"] = "name"
    definitions: Path | None = None
    roles: RolesSpec
    prompt: PromptSpec = PromptSpec()
    hints: tuple[HintSpec, ...] = ()
    steering: tuple[SteeringSpec, ...] = ()
    steer_roles: Literal["all", "train", "test"] = "all"
    answers: AnswersSpec = AnswersSpec()
    sampling: SamplingSpec = SamplingSpec()
    split: SplitSpec = SplitSpec()
    scoring: ScoringSpec = ScoringSpec()
    discovery: DiscoverySpec = DiscoverySpec()
    effects: EffectsSpec = EffectsSpec()
    out: RunLocation

    @model_validator(mode="after")
    def _coherent(self) -> Study:
        if self.scoring.mode == "logprob" and self.sampling.method != "greedy":
            raise ValueError("'sampling.method: greedy' in logprob mode, which draws nothing")
        if self.prompt.thinks and self.sampling.max_thought_tokens is None:
            raise ValueError("'sampling.max_thought_tokens' beside 'prompt.thinking: on'")
        if self.sampling.max_thought_tokens is not None and not self.prompt.thinks:
            raise ValueError("'prompt.thinking: on' beside 'sampling.max_thought_tokens'")
        if self.model.served:
            self._check_served()
        labels = [hint.label for hint in self.hints]
        if len(set(labels)) != len(labels):
            raise ValueError("hints of which no two have the same name")
        return self

    @property
    def askings(self) -> int:
        """How often an item is asked of a role under a condition: repeats, in both orders where both are."""
        return self.sampling.repeats * (2 if self.answers.order == "both" else 1)

    def _check_served(self) -> None:
        """What cannot be had of a model that a server answers for."""
        if self.prompt.chat_arguments:
            raise ValueError(
                "'model.arguments: {chat_template_kwargs: {…}}' instead of 'prompt.chat_arguments' beside "
                "'model.backend: openai': the chat template is the server's"
            )
        if self.steering:
            raise ValueError(
                "no 'steering' beside 'model.backend: openai': the stream of a server's model cannot be "
                "reached; steer by 'hints', or run the model here ('hub' or 'path')"
            )
        if self.scoring.reads_options:
            raise ValueError(
                "'scoring.mode: generate' beside 'model.backend: openai': servers tell the probabilities of "
                "the 20 likeliest tokens at most, and log-odds of yes and no would be biased by what is cut "
                "off"
            )

    def _repr_html_(self) -> str:
        """For notebooks: the fields as YAML, but for those that are null."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return f"<pre>{html.escape(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))}</pre>"
