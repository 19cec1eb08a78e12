"""One paragraph that names place, expectation, finding and remedy, also after a trip through a process."""

from __future__ import annotations

import pickle

import pytest

from axiograph.engine.errors import AxiographError, InputError, RunError


@pytest.mark.parametrize(("kind", "code"), [(InputError, 2), (RunError, 1)])
def test_message_exit_code_and_pickling(kind, code):
    error = kind("study.yaml, field out", "a folder", "a file", "Choose another.")
    assert str(error) == "study.yaml, field out: expected a folder, found a file. Choose another."
    assert error.exit_code == code
    assert isinstance(error, AxiographError)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.where, copy.remedy) == (str(error), error.where, error.remedy)
