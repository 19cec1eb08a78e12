"""The score of a key that does not count."""

from __future__ import annotations

# Finite, so that a row that sees nothing here has a weight of zero beside what it sees elsewhere, and not
# NaN; within the range of float16.
HIDDEN = -3e4
