"""Tallies: what they count, in however many slices, equals a plain join with everything in memory."""

from __future__ import annotations

from math import tanh

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from axiograph.engine.answers.parsing import STATES
from axiograph.engine.errors import RunError
from axiograph.engine.identity import digest
from axiograph.engine.plan.rows import PLAN_SCHEMA
from axiograph.engine.runs.store import RESPONSE_SCHEMA, ResponseStore
from axiograph.engine.scoring import profiles
from axiograph.engine.scoring import tally as slices
from axiograph.engine.scoring.tally import Slices, slices_for, tally, tally_frames
from axiograph.engine.study.conditions import BASELINE

CONDITIONS = [BASELINE, "hot", "cold"]
ITEMS = pl.DataFrame(
    {
        "item_id": [f"i{n}" for n in range(6)],
        "value": ["Zeal", "Awe", "Zeal", "Awe", "Zeal", "Calm"],
        "agreement": [1, 1, -1, -1, 1, 1],
        "question": [f"q{n}?" for n in range(6)],
        "shared": [False, False, False, True, False, False],
        "option_scores": [None, [-1.0, 0.5, 1.0], None, None, None, [-1.0, None, 1.0]],
    },
    schema_overrides={"option_scores": pl.List(pl.Float64)},
)


def made(seed, mode, roles=9):
    """(plan, responses): some unanswered, some twice, some plan rows with one id in common."""
    random = np.random.default_rng(seed)
    plan, responses = [], []
    for role in range(roles):
        for condition in CONDITIONS:
            for number in range(6):
                for repeat in range(2):
                    shared = (
                        4 if number == 0 else number
                    )  # i0 and i4 have the same text: one request for both
                    key = f"{role} {condition} {shared} {repeat}".encode()
                    row = {"request_id": digest(key), "role": f"r{role}", "condition": condition}
                    row |= {
                        "item_id": f"i{number}",
                        "repeat": repeat,
                        "split": "test" if role % 3 == 0 else "train",
                    }
                    plan.append(row)
    for request in dict.fromkeys(row["request_id"] for row in plan):
        for _ in range(random.choice([0, 1, 1, 1, 1, 2])):
            odds = float(random.normal()) if mode == "logprob" and random.random() < 0.9 else None
            answer = {
                "request_id": request,
                "mode": mode,
                "state": str(random.choice(STATES)),
                "log_odds": odds,
            }
            answer |= {"fallback": mode == "logprob" and bool(random.random() < 0.2)}
            shares = random.dirichlet([1.0, 1.0, 1.0]).tolist()
            answer |= {"chosen": int(random.integers(3)), "probabilities": shares if odds else None}
            responses.append(
                answer | {"backend": "hf", "dtype": "float32", "device": str(random.choice(["a", "b"]))}
            )
    random.shuffle(responses)
    return plan, responses


def oracle(plan, responses):
    """(role, condition) → value → mean score, by plain loops over everything."""
    first = {}
    for answer in responses:
        first.setdefault(answer["request_id"], answer)
    items = {row["item_id"]: row for row in ITEMS.iter_rows(named=True)}
    sums = {}
    for row in plan:
        answer, item = first.get(row["request_id"]), items[row["item_id"]]
        score = (
            None
            if answer is None
            else item["agreement"] * raw(answer, item)
            if raw(answer, item) is not None
            else None
        )
        if answer is not None:
            sums.setdefault((row["role"], row["condition"]), {})
        if score is not None and not item["shared"]:
            sums[row["role"], row["condition"]].setdefault(item["value"], []).append(score)
    return {
        key: {value: float(np.mean(found)) for value, found in cell.items()} for key, cell in sums.items()
    }


def raw(answer, item):
    if answer["state"] in ("refused", "unparsed", "unfinished"):
        return None
    if (answer["state"] == "chosen") != (item["option_scores"] is not None):
        return None  # an answer of another kind than its item asks for
    if answer["state"] == "chosen":
        return on_scale(answer, item["option_scores"])
    if answer["mode"] == "logprob" and not answer["fallback"]:
        return None if answer["log_odds"] is None else tanh(answer["log_odds"] / 2)
    return {"yes": 1.0, "no": -1.0, "unsure": 0.0}[answer["state"]]


def on_scale(answer, scores):
    if answer["mode"] == "generate" or answer["fallback"]:
        return scores[answer["chosen"]]
    if answer["probabilities"] is None:
        return None
    counted = [(p, s) for p, s in zip(answer["probabilities"], scores, strict=True) if s is not None]
    return sum(p * s for p, s in counted) / sum(p for p, _ in counted)


def stored(folder, plan, responses):
    """Plan file and store in `folder`; every seventh row begins another part."""
    file = folder / "plan.parquet"
    pq.write_table(pa.Table.from_pylist(plan, PLAN_SCHEMA), file, row_group_size=50)
    store = ResponseStore(folder / "responses")
    for start in range(0, len(responses), 7):
        store.append(pa.Table.from_pylist(responses[start : start + 7], schema=RESPONSE_SCHEMA))
    order = {i: n for n, i in enumerate(store.ids().to_pylist())}
    assert len(order) <= len(responses)
    return file, store


def in_part_order(store, responses):
    """The responses as the parts hold them: that is the order in which the first counts."""
    names = ["request_id", "mode", "state", "log_odds", "fallback", "backend", "dtype", "device"]
    names += ["chosen", "probabilities"]
    rows = pa.Table.from_batches(store.batches(names)).to_pylist()
    assert len(rows) == len(responses)
    return rows


@pytest.mark.parametrize("mode", ["generate", "logprob"])
@pytest.mark.parametrize("slice_rows", [10_000, 40, 7])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_number_of_slices_gives_the_same_tables(tmp_path_factory, mode, slice_rows, seed):
    folder = tmp_path_factory.mktemp("tally")
    plan, responses = made(seed, mode)
    file, store = stored(folder, plan, responses)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE_ROWS", slice_rows)
        assert slices_for(len(plan)) == -(-len(plan) // slice_rows)
        found = tally(file, store, ITEMS)
    rows = in_part_order(store, responses)
    whole = tally_frames(
        pl.DataFrame(pa.Table.from_pylist(plan, PLAN_SCHEMA)),
        pl.DataFrame(rows, schema_overrides={"log_odds": pl.Float64, "probabilities": pl.List(pl.Float64)}),
        ITEMS,
    )
    for make in (profiles.answer_rates, profiles.acquiescence, profiles.constant_items, profiles.reliability):
        assert_frame_equal(make(found), make(whole), check_exact=True)
    ours = profiles.profiles(found, drop_shared=True)
    assert ours.equals(profiles.profiles(whole, drop_shared=True))
    expected = oracle(plan, rows)
    assert {(r["role"], r["condition"]) for r in ours.iter_rows(named=True)} == set(expected)
    for row in ours.iter_rows(named=True):
        cell = expected[row["role"], row["condition"]]
        for value in ("Zeal", "Awe", "Calm"):
            assert row[value] == (pytest.approx(cell[value], abs=1e-11) if value in cell else None)
    ids = {row["request_id"] for row in plan}
    answered = {row["request_id"] for row in rows}
    counts = (found.requests, found.stored, found.rows, found.duplicates)
    assert counts == (len(ids), len(answered), len(rows), len(rows) - len(answered))
    assert found.workers.sort(found.workers.columns).equals(whole.workers.sort(whole.workers.columns))


def test_of_some_cells_only(tmp_path):
    plan, responses = made(1, "generate")
    found = tally(*stored(tmp_path, plan, responses), ITEMS)
    kept = pl.DataFrame({"role": ["r1", "r2"], "condition": ["hot", BASELINE]})
    some = found.of(kept)
    table = profiles.profiles(some)
    assert set(table.select("role", "condition").rows()) == {("r1", "hot"), ("r2", BASELINE)}
    whole = profiles.profiles(found)
    assert_frame_equal(
        table, whole.join(kept, on=["role", "condition"], how="semi").sort("condition", "role")
    )
    assert set(some.items["role"]) == {"r2"}
    assert set(profiles.answer_rates(some)["planned"]) == {12}


def test_an_empty_store(tmp_path):
    plan, _ = made(1, "generate")
    found = tally(*stored(tmp_path, plan, []), ITEMS)
    assert (found.stored, found.rows, found.duplicates) == (0, 0, 0)
    assert profiles.answer_rates(found)["answered"].sum() == 0
    assert profiles.profiles(found).is_empty()


def test_unknown_items_and_damaged_parts_are_named(tmp_path):
    plan, responses = made(1, "generate")
    file, store = stored(tmp_path, plan, responses)
    with pytest.raises(RunError, match="i3"):
        tally(file, store, ITEMS.filter(pl.col("item_id") != "i3"))
    part = store.parts()[2]
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(RunError, match=part.name):
        tally(file, store, ITEMS)


def test_slices_keep_the_order_of_equal_ids_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(slices.tempfile, "tempdir", None)
    schema = pa.schema([("request_id", pa.binary(16)), ("name", pa.dictionary(pa.int32(), pa.string()))])
    ids = [digest(bytes([n % 50])) for n in range(200)]
    with Slices(5, schema) as made_slices:
        for start in range(0, 200, 30):
            rows = [{"request_id": i, "name": f"n{start + k}"} for k, i in enumerate(ids[start : start + 30])]
            made_slices.add(pa.RecordBatch.from_pylist(rows, schema))
        frames = list(made_slices.frames())
    assert not list(tmp_path.iterdir())
    assert len(frames) == 5
    whole = pl.concat([frame.with_columns(pl.col("name").cast(pl.String)) for frame in frames])
    by_id = {
        key: group["name"].to_list() for (key,), group in whole.group_by("request_id", maintain_order=True)
    }
    assert by_id == {i: [f"n{k}" for k in range(200) if ids[k] == i] for i in set(ids)}
    seen = [set(frame["request_id"]) for frame in frames]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 50
