"""The long form of some tests: more of the same, for figures that are written down (`make soak`).

What a test proves it proves in the short form, in every run; the long one has larger models and more rounds.
"""

import os
from typing import TypeVar

_T = TypeVar("_T")


def soak(short: _T, long: _T) -> _T:
    """A size or a number: the second where PANTALA_SOAK is set, else the first. Tests that ask carry the mark `soak`."""
    return long if os.environ.get("PANTALA_SOAK") else short
