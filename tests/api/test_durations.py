from datetime import timedelta

import pytest

from pantala.api import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("250ms", 0.25), ("1s", 1), ("0s", 0), ("90s", 90), ("1h1m1s1ms", 3661.001)],
)
def test_parse(text: str, seconds: float) -> None:
    """A duration is the sum of its pairs; `ms` is not taken for `m` and a rest."""
    assert durations.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "1.5h", "-1s", "1 h", "1d", "123456s", "1s1s1s1s1s", "1s\n"])
def test_parse_refuses(text: str) -> None:
    """What GEP-2257 does not allow is refused, with the way out in the message."""
    with pytest.raises(ValueError, match="such as 30m"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["30m", "1h30m", "250ms", "1s250ms", "0s", "99999h"])
def test_format_is_the_inverse(text: str) -> None:
    """The shortest form survives reading and writing."""
    assert durations.format(durations.parse(text)) == text


def test_format_joins_units() -> None:
    """A value is written in the largest units."""
    assert durations.format(timedelta(seconds=5400)) == "1h30m"


@pytest.mark.parametrize("value", [timedelta(seconds=-1), timedelta(hours=100_000)])
def test_format_refuses(value: timedelta) -> None:
    """What the pattern cannot say is not written."""
    with pytest.raises(ValueError, match="cannot be written"):
        durations.format(value)
