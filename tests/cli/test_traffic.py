"""The table of shares, and the words that compare a shadow."""

from typing import Any

import pytest

from pantala.cli.traffic import compared, drawn, entries
from tests.cli.test_status import drawn as lines

USERS = {"requests": 1000, "errorPercent": "0.4", "p50": "12ms", "p99": "30ms"}
COPIES = {"requests": 250, "errorPercent": "1.6", "p50": "14ms", "p99": "42ms"}


def told(copies: dict[str, Any] | None, users: dict[str, Any] | None, stable: str | None = "v1") -> str:
    """The words about the shadow v3 of the stable version v1."""
    found = entries(
        [
            {"version": "v1", "asked": 100, **({"measured": users} if users else {})},
            {"version": "v3", "mirror": 100, **({"measured": copies} if copies else {})},
        ]
    )
    return compared(found[1], found, stable)


@pytest.mark.parametrize(
    ("copies", "users", "words"),
    [
        (COPIES, USERS, "errors +1.2 points, p50 1.2x, p99 1.4x of v1"),
        (USERS, COPIES, "errors -1.2 points, p50 0.9x, p99 0.7x of v1"),
        (USERS, USERS, "errors +0 points, p50 1.0x, p99 1.0x of v1"),
        ({"requests": 3, "errorPercent": "0.0"}, USERS, "errors -0.4 points of v1"),
        (COPIES | {"p50": "0s"}, USERS | {"p50": "0s"}, "errors +1.2 points, p50 1.0x, p99 1.4x of v1"),
        (None, USERS, "no copies were counted in the last five minutes"),
        ({"requests": 0}, USERS, "no copies were counted in the last five minutes"),
        (COPIES, None, "nothing to compare with: no requests of v1 were counted"),
        (COPIES, {"requests": 0}, "nothing to compare with: no requests of v1 were counted"),
    ],
)
def test_words(copies: dict[str, Any] | None, users: dict[str, Any] | None, words: str) -> None:
    """A shadow is compared in what both have; what is missing is said."""
    assert told(copies, users) == words


def test_only_shadows_are_compared() -> None:
    """The version that answers, and those without copies, are compared with nothing."""
    found = entries(
        [{"version": "v1", "asked": 100, "measured": USERS}, {"version": "v2", "mirror": 5, "measured": COPIES}]
    )
    assert compared(found[0], found, "v1") == ""
    assert compared(found[1], found, "v2") == ""
    assert told(COPIES, USERS, None).startswith("nothing to compare with")


def test_without_prometheus() -> None:
    """Where nothing is measured the columns of figures are left out, and shares are still told."""
    found = lines(drawn(entries([{"version": "v1", "asked": 100, "configured": 100}]), "v1"))
    assert "REQUESTS" not in found
    assert found.splitlines()[1].split() == ["v1", "100", "%", "100", "%"]


def test_not_counted() -> None:
    """A version that was not counted is not one without requests."""
    status = [{"version": "v1", "asked": 90, "measured": USERS}, {"version": "v2", "asked": 10}]
    status.append({"version": "v4", "asked": 0, "measured": {"requests": 0}})
    rows = [line.split() for line in lines(drawn(entries(status), "v1")).splitlines()]
    assert rows[2] == ["v2", "10", "%", "unknown"]
    assert rows[3] == ["v4", "0", "%", "0"]
