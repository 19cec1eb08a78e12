"""Array types, and nothing heavy: who only names a type need not import what computes with it.

NumPy's types do not hold shapes; docstrings say them in brackets, as in marks [R, n, n].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]
IntegerArray = NDArray[np.integer]  # of any width
UnsignedArray = NDArray[np.unsignedinteger]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
CountArray = NDArray[np.int64]
IndexArray = NDArray[np.int64]
EntryArray = NDArray[np.int32]  # column numbers of tests, a row each: x, y and what they are conditioned on
NodeArray = NDArray[np.uint32]  # unsigned: numba would ask each time whether an index counts from the end
WordArray = NDArray[np.uint64]  # 64 bits a word: sets of nodes, random numbers
ObjectArray = NDArray[np.object_]
