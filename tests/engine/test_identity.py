"""Digests: everything counts, nothing runs together, and the same input gives the same bytes for ever."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.engine.identity import DIGEST_SIZE, RequestIds, digest, digest_files, digest_json, digest_text

PARTS = st.lists(st.binary(max_size=6), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PARTS, PARTS)
def test_two_lists_of_parts_never_run_together(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)
    assert len(digest(*one)) == DIGEST_SIZE


def test_the_digests_are_pinned():
    """Other bytes for the same request would orphan every stored answer."""
    assert digest(b"a", b"bc").hex() == "f14abc19c330e936bb9c8506d69bac9b"
    assert digest_text("é", "").hex() == "6f85bc9f2ba446959ef15ee0c9ea80b2"
    assert digest_json({"b": [0.1, None], "a": 1}).hex() == "b8584163276238856b774f0dfc0dae90"
    assert (
        RequestIds(b"b" * 16)(b"r" * 16, b"c" * 16, b"i" * 16, 3).hex() == "ba08e196ba82ed9248ed58f4dff39df9"
    )


@given(JSON)
def test_json_is_canonical(value):
    assert digest_json(json.loads(json.dumps(value))) == digest_json(value)


def test_json_keys_have_no_order_and_nan_no_digest():
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    assert digest_json([0.1]) != digest_json([0.1 + 2**-55])
    with pytest.raises(ValueError, match="JSON"):
        digest_json(float("nan"))


def test_files_count_by_name_and_content(tmp_path):
    def made(folder, **files):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
        return list((tmp_path / folder).iterdir())

    one = made("one", a="x", b="y")
    assert digest_files(one) == digest_files(reversed(one)) == digest_files(made("copy", b="y", a="x"))
    others = [made("swapped", a="y", b="x"), made("more", a="x", b="y", c=""), made("renamed", a="x", c="y")]
    assert len({digest_files(files) for files in (one, *others)}) == 4


@given(st.lists(st.tuples(*[st.sampled_from([b"0" * 16, b"1" * 16])] * 3, st.integers(0, 3)), unique=True))
def test_request_ids_differ_in_every_part(requests):
    for base in (b"x", b"y"):
        ids = RequestIds(base)
        made = [ids(*request) for request in requests]
        assert len(set(made)) == len(requests)
        assert made == [ids(*request) for request in requests]  # earlier calls leave no trace
    if requests:
        assert RequestIds(b"x")(*requests[0]) != RequestIds(b"y")(*requests[0])
