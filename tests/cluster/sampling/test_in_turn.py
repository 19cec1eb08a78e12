"""Kinds of workers in one process: one after the other, each with its own roles."""

from dataclasses import replace
from types import SimpleNamespace

from axiograph.cluster.sampling.executors import InTurn, Kind
from axiograph.cluster.sampling.loop import install_plan
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.preparation import in_process, prepare
from axiograph.cluster.sampling.requests import Requests
from axiograph.cluster.sampling.site import LocalSite
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.loading import load_study
from axiograph.steering.backend import HF, Choice, choose_backend
from tests import studies


def near(function, *args):
    """A machine on which vLLM runs, but cannot steer."""
    vllm = Choice("vllm", None, 100_000)
    return (HF if args[3] else vllm) if function is choose_backend else in_process(function, *args)


class Echo:
    """Answers with what it was asked; tells when it lives."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        log.append((name, "made"))

    def __call__(self, table):
        self.log.append((self.name, {row["role"] for row in table.to_pylist()}))
        return table

    def close(self):
        self.log.append((self.name, "closed"))


def test_every_role_is_asked_by_its_kind_and_one_worker_lives_at_a_time(study_assets, tmp_path):
    model = studies.study(study_assets)["model"] | {"backend": "auto"}
    study = load_study(studies.write(tmp_path, study_assets, model=model))
    run = create_run(tmp_path / "run")
    prepared = prepare(study, run, near=near, mixed=True)
    todo, log = install_plan(prepared, run), []
    kinds = [
        replace(kind, recipe=SimpleNamespace(make=lambda name=kind.name: Echo(name, log)))
        for kind in prepared.kinds()
    ]
    tables = list(InTurn(kinds).run(Requests(prepared.request_builder, todo, 50)))
    ids = [row["request_id"] for table in tables for row in table.to_pylist()]
    assert len(ids) == len(set(ids)) == todo.left
    assert [name for name, what in log if what in ("made", "closed")] == ["plain"] * 2 + ["steered"] * 2
    assert (log[0], log[-1]) == (("plain", "made"), ("steered", "closed"))
    for kind in kinds:
        asked = [what for name, what in log if name == kind.name and isinstance(what, set)]
        assert set().union(*asked) == kind.roles


def test_a_run_here_gives_unsteered_roles_a_backend_of_their_own(study_assets, tmp_path, monkeypatch):
    """Where only the steering stands against vLLM; a kind of which nothing is left is not even started."""
    monkeypatch.setattr(
        "axiograph.cluster.sampling.preparation.choose_backend", lambda *args: near(choose_backend, *args)
    )
    model = studies.study(study_assets)["model"] | {"backend": "auto"}
    study = load_study(studies.write(tmp_path, study_assets, model=model))
    run = create_run(tmp_path / "run")
    prepared = LocalSite().prepare(study, run)
    assert [kind.recipe.backend for kind in prepared.kinds()] == ["vllm", "hf"]
    executor = LocalSite().executor(prepared, Meter())
    assert isinstance(executor, InTurn)
    none = Kind("plain", SimpleNamespace(make=None), frozenset())
    assert not list(InTurn([none]).run(Requests(prepared.request_builder, install_plan(prepared, run), 50)))
