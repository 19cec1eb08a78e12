"""The command line as a person meets it: every stage, and one paragraph for everything that goes wrong."""

import errno
import json
import shutil

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import axiograph as ax
from tests import studies


def test_run_leaves_every_artefact(finished):
    run = finished / "run"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["study"]["name"] == "tiny"
    assert set(manifest["identity"]["steering"]) == {"f3:+0", "f3:+40", "f5:+0", "f5:+40"}
    assert {"torch", "transformers", "sae-lens", "causal-learn"} <= set(manifest["versions"])
    profiles = pl.read_parquet(run / "scores" / "profiles.parquet")
    # 24 roles and "no role", baseline and hint; four steered conditions on the 5 test roles only.
    assert profiles.height == 25 * 2 + 5 * 4
    assert profiles.columns == ["role", "condition", "split", *studies.VALUES]
    graph = pl.read_parquet(run / "graph" / "edges.parquet")
    assert graph.height == 3  # pairs of three values
    assert (run / "graph" / "graph.graphml").is_file() and (run / "graph" / "graph.png").is_file()
    roles = pl.read_parquet(run / "effects" / "between_roles.parquet")
    assert roles.height == 3 * 3  # values × relations
    changes = pl.read_parquet(run / "effects" / "changes.parquet")
    assert set(changes["condition"]) == {"f3:+0", "f3:+40", "f5:+0", "f5:+40", "hint inclined:asked"}


def test_strength_zero_changes_nothing_and_a_large_strength_does(finished):
    changes = pl.read_parquet(finished / "run" / "effects" / "changes.parquet")
    size = {key: float(rows["mean_difference"].abs().max()) for (key,), rows in changes.group_by("condition")}
    assert size["f3:+0"] < 1e-6 and size["f5:+0"] < 1e-6
    assert size["f3:+40"] > 1e-4


def test_finished_run_asks_nothing_again(axiograph, finished):
    code, out, _ = axiograph("run", finished / "study.yaml", "--jobs", "1")
    assert code == 0
    assert "nothing was asked" in out


def test_adding_to_a_study_only_adds_requests(axiograph, study_assets, tmp_path):
    small = studies.write(tmp_path, study_assets)
    axiograph("run", small, "--jobs", "1")
    before = stored(tmp_path / "run")
    more = studies.study(study_assets)
    more["roles"]["generate"][0]["n"] = 30
    more["steering"][0]["operations"][0]["strengths"] = [0, 40, -40]
    (tmp_path / "study.yaml").write_text(json.dumps(more))
    code, out, err = axiograph("run", tmp_path / "study.yaml", "--jobs", "1")
    assert code == 0, err
    after = stored(tmp_path / "run")
    assert f"{before.height:,} were there" in out
    kept = after.join(before, on="request_id", how="semi")
    assert kept.equals(before)
    assert after.height > before.height


def stored(run):
    parts = [pl.from_arrow(pq.read_table(path)) for path in sorted((run / "responses").glob("*.parquet"))]
    return pl.concat([p.with_columns(pl.selectors.categorical().cast(pl.String)) for p in parts]).sort(
        "request_id"
    )


def test_change_that_orphans_answers_is_refused_and_named(axiograph, finished, study_assets, tmp_path):
    changed = studies.write(tmp_path, study_assets, scoring={"mode": "generate"}, out=str(finished / "run"))
    before = stored(finished / "run")
    code, _, err = axiograph("run", changed)
    assert code == 2
    assert "field scoring.mode" in err and "Nothing was touched" in err
    assert stored(finished / "run").equals(before)
    assert axiograph("status", finished / "run")[0] == 0


def test_analysis_settings_never_block(axiograph, finished, study_assets, tmp_path):
    changed = studies.write(
        tmp_path,
        study_assets,
        discovery={"replicates": 5, "algorithm": "pc", "alpha": 0.2},
        out=str(finished / "run"),
    )
    code, out, err = axiograph("run", changed, "--jobs", "1")
    assert code == 0, err
    assert "alpha 0.2" in out and "nothing was asked" in out


def test_plan_counts_without_writing(axiograph, study_assets, tmp_path):
    study = studies.write(tmp_path, study_assets)
    code, out, _ = axiograph("plan", study, "--calibrate", "4")
    assert code == 0
    # 25 roles × (baseline, hint) × 12 items + 5 test roles × 4 steered conditions × 12 items
    assert "840" in out and "time" in out
    assert not (tmp_path / "run").exists()


def test_stages_run_again_alone(axiograph, finished):
    for command in ("score", "discover", "effects"):
        code, out, err = axiograph(
            command, finished / "run", *(["--jobs", "1"] if command == "discover" else [])
        )
        assert code == 0, err
        assert out.strip()


def test_status_and_show(axiograph, finished):
    code, out, _ = axiograph("status", finished / "run")
    assert code == 0 and "840 of 840" in out
    code, out, _ = axiograph("show", finished / "run", "--condition", "f3:+40", "--limit", "1")
    assert code == 0
    identifier = out.splitlines()[1].split()[0]
    code, out, _ = axiograph("show", finished / "run", identifier)
    assert code == 0
    assert "in keeping with your values." in out and "[ your]" in out and "2 prompt tokens" in out


def test_features_are_recorded_and_used_as_a_unit(axiograph, study_assets, tmp_path):
    operation = {
        "sae": {"path": str(study_assets / "sae")},
        "features": [3],
        "strengths": [2],
        "unit": "max_activation",
    }
    study = studies.write(tmp_path, study_assets, steering=[{"operations": [operation]}])
    code, _, err = axiograph("run", study)
    assert code == 2 and "axiograph features" in err
    code, out, _ = axiograph("features", study)
    assert code == 0 and "features active on the span" in out
    largest = pl.read_parquet(tmp_path / "run" / "features.parquet").row(0, named=True)
    operation["features"] = [largest["feature"]]
    studies.write(tmp_path, study_assets, steering=[{"operations": [operation]}])
    code, _, err = axiograph("run", study, "--jobs", "1")
    assert code == 0, err


def test_help_names_every_command(axiograph):
    code, out, _ = axiograph("--help")
    assert code == 0
    for command in ("plan", "run", "status", "show", "score", "discover", "effects", "features", "replicate"):
        assert command in out


def operations(study_assets, **changes):
    base = {"sae": {"path": str(study_assets / "sae")}, "features": [3], "strengths": [1.0]}
    return [{"operations": [base | changes]}]


def bad_studies(assets, folder):
    """(what is wrong, changes to the study, words that the message must hold)."""
    from tests import tiny

    narrow = folder / "narrow"
    tiny.save_sae(narrow, width=16)
    empty = folder / "empty.csv"
    empty.write_text("item_id,questionnaire,value,agreement,question\n")
    twice = folder / "twice.csv"
    twice.write_text("name,text\nA,a baker\nA,a judge\n")
    plain = folder / "plain.j2"
    plain.write_text("{{ role }}{{ hint }} {{ question }}")
    inside = folder / "inside.j2"
    inside.write_text("{{ role }}{{ hint }} in keep{{ 'ing with your val' | span }}ues {{ question }}")
    missing = {"path": str(folder / "missing.safetensors")}
    vector = {"direction": missing, "strengths": [1], "hook_point": {"layer": 1}}
    return {
        "missing model directory": ({"model": {"path": str(folder / "nowhere")}}, ["model.path", "nowhere"]),
        "SAE of the wrong width": (
            {"steering": operations(assets, sae={"path": str(narrow)})}, ["width 32", "width 16"]),
        "feature out of range": ({"steering": operations(assets, features=[64])}, ["0 to 63", "64"]),
        "layer out of range": (
            {"steering": operations(assets, hook_point={"layer": 3})}, ["layer 3", "0 to 2"]),
        "NaN strength": (
            {"steering": operations(assets, strengths=[float("nan")])}, ["strengths.0", "finite"]),
        "no span in the template": ({"prompt": {"path": str(plain)}}, ["plain.j2", "span"]),
        "span inside a token": ({"prompt": {"path": str(inside)}}, ["inside.j2", "decode"]),
        "empty questionnaire": ({"questionnaires": [str(empty)]}, ["empty.csv"]),
        "unknown value": ({"values": ["Joyy"]}, ["Joyy", "Joy"]),
        "role twice": ({"roles": {"files": [{"path": str(twice)}]}}, ["twice.csv", "A"]),
        "missing direction": ({"steering": [{"operations": [vector]}]}, ["missing.safetensors"]),
        "unknown key": ({"steering_strength": 3}, ["steering_strength", "unknown key"]),
        "greedy repeats": ({"sampling": {"repeats": 2}}, ["sampling", "repeats"]),
        "unset variable": ({"questionnaires": ["${NOT_SET_ANYWHERE}/x.csv"]}, ["NOT_SET_ANYWHERE"]),
    }  # fmt: skip


CASES = (
    "missing model directory",
    "SAE of the wrong width",
    "feature out of range",
    "layer out of range",
    "NaN strength",
    "no span in the template",
    "span inside a token",
    "empty questionnaire",
    "unknown value",
    "role twice",
    "missing direction",
    "unknown key",
    "greedy repeats",
    "unset variable",
)


@pytest.mark.parametrize("case", CASES)
def test_bad_study_is_one_paragraph_with_exit_code_2(case, axiograph, study_assets, tmp_path):
    changes, words = bad_studies(study_assets, tmp_path)[case]
    study = studies.write(tmp_path, study_assets, **changes)
    code, _, err = axiograph("run", study)
    message = err.strip().splitlines()[-1]
    assert code == 2, err
    assert message.startswith("axiograph: ") and "Traceback" not in err
    assert "expected" in message and "found" in message
    for word in words:
        assert word in message
    assert not (tmp_path / "run" / "responses").exists()


def test_every_bad_study_is_tried(study_assets, tmp_path):
    assert set(CASES) == set(bad_studies(study_assets, tmp_path))


def test_directory_that_is_not_a_run(axiograph, study_assets, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("dear diary")
    code, _, err = axiograph("status", tmp_path / "notes")
    assert code == 2 and "no manifest.json" in err
    study = studies.write(tmp_path, study_assets, out=str(tmp_path / "notes"))
    code, _, err = axiograph("run", study)
    assert code == 2 and "diary.txt" in err
    assert [p.name for p in (tmp_path / "notes").iterdir()] == ["diary.txt"]


def test_part_cut_in_half_is_named_and_the_rest_survives(axiograph, study_assets, tmp_path):
    study = studies.write(tmp_path, study_assets)
    axiograph("run", study, "--jobs", "1")
    whole = stored(tmp_path / "run")
    (part,) = (tmp_path / "run" / "responses").glob("*.parquet")
    table = pq.read_table(part)
    pq.write_table(table.slice(0, 500), part.with_name("part-aa.parquet"))
    part.unlink()
    from axiograph.engine.runs.store import ResponseStore

    store = ResponseStore(tmp_path / "run" / "responses")
    (store.folder / "part-aa.parquet").unlink()
    store.append(table.slice(0, 500))
    damaged = store.append(table.slice(500))
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    code, _, err = axiograph("run", study)
    assert code == 1 and damaged.name in err and "intact" in err
    damaged.unlink()  # what the message says to do
    code, out, err = axiograph("run", study, "--jobs", "1")
    assert code == 0, err
    assert "340 answers" in out and "500 were there" in out
    again = stored(tmp_path / "run")
    assert again["request_id"].equals(whole["request_id"])
    assert (again["log_odds"] - whole["log_odds"]).abs().max() < 1e-4


def test_full_disk_loses_nothing(axiograph, study_assets, tmp_path, monkeypatch):
    study = studies.write(tmp_path, study_assets)
    write, calls = pq.write_table, []

    def fills_up(table, where, **options):
        calls.append(where)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(table, where, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", fills_up)
        code, _, err = axiograph("run", study)
    assert code == 1 and "room on the disk" in err and "Traceback" not in err
    kept = stored(tmp_path / "run")
    assert kept.height == 2 * 64
    code, out, err = axiograph("run", study, "--jobs", "1")
    assert code == 0, err
    assert "128 were there" in out
    assert stored(tmp_path / "run").join(kept, on="request_id", how="semi").equals(kept)


def test_renaming_asks_nothing_and_show_uses_the_new_names(axiograph, study_assets, tmp_path):
    people = tmp_path / "people.csv"
    lines = [f"person {i},a person with trait {i}" for i in range(6)]
    people.write_text("\n".join(["name,text", *lines]))

    def study(first, second):
        hints = [
            {"value": "asked", "inclination": "inclined", "name": first},
            {"value": "asked", "inclination": "disinclined", "name": second},
        ]
        roles = {"files": [{"path": str(people), "split": "train"}]}
        return studies.write(tmp_path, study_assets, hints=hints, steering=[], roles=roles)

    axiograph("run", study("A", "B"), "--jobs", "1")
    before = stored(tmp_path / "run")
    people.write_text(people.read_text().replace("person 3,", "Ada,"))
    _, out, _ = axiograph("run", study("B", "A"), "--jobs", "1")
    assert "nothing was asked" in out and stored(tmp_path / "run").equals(before)
    for condition, word in (("hint A", "disinclined to Joy"), ("hint B", "inclined to Joy")):
        arguments = ("--condition", condition, "--role", "Ada", "--limit", "1")
        code, out, _ = axiograph("show", tmp_path / "run", *arguments)
        assert code == 0 and condition in out.splitlines()[1] and "Ada" in out.splitlines()[1]
        code, out, err = axiograph("show", tmp_path / "run", out.splitlines()[1].split()[0])
        assert code == 0, err
        assert f"strongly {word}" in out and "trait 3" in out
        assert f"condition  {condition}" in out and "role       Ada" in out
        assert "Thought:\nAnswer:\n" in out  # with the cue behind which it was scored
    assert "No such response" in axiograph("show", tmp_path / "run", "--role", "person 3")[1]


def test_level_out_of_range_is_one_paragraph(axiograph, finished, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n2,1\n")
    for path in (finished / "run", table):
        code, _, err = axiograph("discover", path, "--alpha", "7")
        assert code == 2 and "--alpha: expected less than 1, found 7" in err


def test_recorded_features_stay_once_answers_are_steered_by_them(axiograph, finished, study_assets, tmp_path):
    run = shutil.copytree(finished / "run", tmp_path / "run")
    study = studies.write(tmp_path, study_assets)
    assert axiograph("features", study)[0] == 0
    before = (run / "features.parquet").read_bytes()
    code, _, err = axiograph("features", study, "--prompts", "8")
    assert code == 2 and "another --out" in err
    assert (run / "features.parquet").read_bytes() == before


def test_another_device_is_refused_before_anything_is_asked(axiograph, finished, study_assets, tmp_path):
    run = shutil.copytree(finished / "run", tmp_path / "run")
    (part,) = (run / "responses").glob("*.parquet")
    table = pq.read_table(part)
    place = table.schema.get_field_index("device")
    elsewhere = pa.array(["cuda H200"] * len(table)).dictionary_encode()
    pq.write_table(table.set_column(place, table.schema.field(place), elsewhere), part)
    study = studies.write(tmp_path, study_assets)
    code, out, err = axiograph("run", study, "--jobs", "1")
    assert code == 0 and "nothing was asked" in out, err
    more = studies.study(study_assets)
    more["roles"]["generate"][0]["n"] = 30  # roles of their own may come from elsewhere
    study.write_text(json.dumps(more))
    code, out, err = axiograph("run", study, "--jobs", "1")
    assert "840 were there" in out, err
    more["hints"].append({"value": "Joy", "inclination": "disinclined"})
    study.write_text(json.dumps(more))
    code, out, err = axiograph("run", study, "--jobs", "1")
    assert code == 1 and "cuda H200" in err and "25 roles" in err and not out


@pytest.mark.parametrize(
    ("file", "command", "remedy"),
    [
        ("plan.parquet", "status", ["run"]),
        ("plan.parquet", "show", ["run"]),
        ("plan.parquet", "score", ["run"]),
        ("inputs.json", "status", ["move", "run"]),
        ("scores/profiles.parquet", "discover", ["score"]),
    ],
)
def test_damage_is_named_and_the_remedy_helps(
    file, command, remedy, axiograph, finished, study_assets, tmp_path
):
    run = shutil.copytree(finished / "run", tmp_path / "run")
    study = studies.write(tmp_path, study_assets)
    damaged = run / file
    damaged.write_bytes(damaged.read_bytes()[:100])
    code, _, err = axiograph(command, run)
    assert code == 1 and file in err and "Traceback" not in err
    for word in remedy:
        assert word in err.lower()
        if word == "move":
            damaged.rename(tmp_path / "away")
        else:
            axiograph(word, *((study, "--jobs", "1") if word == "run" else (run,)))
    code, _, err = axiograph(command, run)
    assert code == 0, err
    if "score" not in file:
        assert stored(run).equals(stored(finished / "run"))


def test_discover_from_pooled_rows_and_corrected(axiograph, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    run = tmp_path / "run"
    code, out, err = axiograph("discover", run, "--rows", "pooled", "--jobs", 1)
    assert code == 0, err
    # 20 training roles under the baseline and one hint.
    assert "20 roles (40 rows, counted as 20), 3 values and 1 indicators" in out
    document = json.loads((run / "graph" / "discovery.json").read_text())
    assert document["indicators"] == ["hint inclined:asked"]
    code, out, err = axiograph("discover", run, "--correction", "repeats", "--jobs", 1)
    assert code == 2
    assert "at least two repeats" in err and "sampling.repeats" in err


def test_advise_says_what_to_ask_next_or_that_nothing_is_affordable(axiograph, finished):
    code, out, err = axiograph("advise", finished / "run", "--budget", 400, "--jobs", 1)
    assert code == 0, err
    assert "training roles" in out and "Simulated from the pilot" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, err = axiograph("advise", finished / "run", "--budget", 1, "--jobs", 1)
    assert code == 2 and not out and "--budget" in err


def test_discover_with_what_steering_did_and_effects_judged_by_graphs_that_have_not_seen_them(
    axiograph, finished, tmp_path
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    run = tmp_path / "run"
    options = ("--rows", "interventional", "--algorithm", "boss", "--jobs", 1)
    code, out, err = axiograph("discover", run, *options)
    assert code == 0, err
    assert "with experiments" in out and "Prediction: " in out
    assert "axiograph calibrate" not in out  # which does not simulate such graphs
    experiments = json.loads((run / "graph" / "discovery.json").read_text())["experiments"]
    assert experiments["conditions"]
    code, out, err = axiograph("effects", run)
    assert code == 0, err
    effects = ax.open(run).effects.effects
    levers = experiments["lever_of"]
    assert effects.has_graph and effects.judges == levers and set(levers) >= set(experiments["conditions"])
    assert axiograph("report", run)[0] == 0
    page = (run / "report" / "report.html").read_text(encoding="utf-8")
    assert "Prediction" in page
    # Other answers than those behind the graph: nothing is said by it before it is made anew.
    settings = run / "graph" / "discovery.json"
    document = json.loads(settings.read_text())
    document["experiments"]["digest"] = "0"
    settings.write_text(json.dumps(document))
    code, _, err = axiograph("effects", run)
    assert code == 2 and "steered and hinted answers" in err and "axiograph discover" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rows", "pooled"], "a run directory"),
        (["--rows", "interventional"], "a run directory"),
        (["--rows", "interventional", "--algorithm", "pc"], "algorithm: boss"),
        (["--correction", "items"], "a run directory"),
        (["--correction", "items", "--missing", "pairwise"], "listwise"),
        (["--alpha", "1.5"], "--alpha"),
    ],
)
def test_discover_options_that_a_table_cannot_serve(axiograph, tmp_path, options, says):
    table = tmp_path / "table.csv"
    table.write_text("role,a,b\n" + "".join(f"r{k},{k % 3},{k % 5}\n" for k in range(30)))
    code, _, err = axiograph("discover", table, *options)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_a_value_named_twice_is_no_second_value(axiograph, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("role,a,b,a\n" + "".join(f"r{k},{k % 3},{k % 5},{k % 7}\n" for k in range(30)))
    code, _, err = axiograph("discover", table)
    assert code == 2
    assert "every value named once, found 'a' twice" in err


def test_no_answer_that_counts_is_an_error_of_run_and_of_score(axiograph, study_assets, tmp_path):
    nothing = {"mode": "logprob", "mass_threshold": 0.999}
    study = studies.write(tmp_path, study_assets, scoring=nothing, steering=[], hints=[])
    for arguments in (("run", study, "--jobs", "1"), ("score", tmp_path / "run")):
        code, out, err = axiograph(*arguments)
        assert code == 1 and "at least one answer that can be read" in err, err
        assert "unparsed" in out  # the rates are shown before the error
