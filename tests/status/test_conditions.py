"""How conditions get into the status."""

from datetime import UTC, datetime, timedelta

import orjson

from pantala.status import conditions
from pantala.status.conditions import Condition
from pantala.status.reasons import TERMINAL, Reason

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def ready(status: str, reason: Reason = Reason.STARTING, message: str = "words") -> Condition:
    return Condition(
        "Ready", status={"True": True, "False": False, "Unknown": None}[status], reason=reason, message=message
    )


def test_form() -> None:
    """A condition has exactly the fields of Kubernetes' metav1.Condition, with a time to the second."""
    assert conditions.merge([], [ready("Unknown")], 3, NOW) == [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Starting",
            "message": "words",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 3,
        }
    ]


def test_time_stays_while_the_status_does() -> None:
    """Reason, message and generation may change without moving the time."""
    before = conditions.merge([], [ready("False")], 1, NOW)
    after = conditions.merge(before, [ready("False", Reason.WEIGHTS_DENIED, "other words")], 2, LATER)
    assert after[0]["lastTransitionTime"] == before[0]["lastTransitionTime"]
    assert (after[0]["reason"], after[0]["message"], after[0]["observedGeneration"]) == (
        "WeightsDenied",
        "other words",
        2,
    )


def test_time_moves_when_the_status_flips() -> None:
    """False to True is a transition, and so is True to Unknown."""
    first = conditions.merge([], [ready("False")], 1, NOW)
    second = conditions.merge(first, [ready("True")], 1, LATER)
    third = conditions.merge(second, [ready("Unknown")], 1, LATER + timedelta(seconds=1))
    assert [it[0]["lastTransitionTime"] for it in (second, third)] == ["2026-01-02T03:09:05Z", "2026-01-02T03:09:06Z"]


def test_order_and_absence() -> None:
    """Conditions are in the order of their types, and one that is not given any more disappears."""
    stalled = Condition("Stalled", status=True, reason=Reason.UNSCHEDULABLE, message="words")
    both = conditions.merge([], [stalled, ready("False")], 1, NOW)
    assert [it["type"] for it in both] == ["Ready", "Stalled"]
    assert [it["type"] for it in conditions.merge(both, [ready("True")], 1, NOW)] == ["Ready"]


def test_messages_are_bounded_in_bytes() -> None:
    """A long message is cut to what takes 1024 bytes in JSON, whatever its characters are."""
    for text in ("x" * 5000, "\N{PILE OF POO}" * 5000, '"' * 5000, "\x1b" * 5000):
        message = conditions.merge([], [ready("False", message=text)], 1, NOW)[0]["message"]
        assert text.startswith(message.removesuffix("..."))
        assert 900 < len(orjson.dumps(message)) <= conditions.MESSAGE_LIMIT + 2
    assert conditions.bounded("short") == "short"


def test_a_file_name_that_is_no_text() -> None:
    """Half of a surrogate pair, as Python reads a file name that is no UTF-8, does not keep the status from being written."""
    assert orjson.dumps(conditions.bounded("caf\udce9.bin")) == b'"caf?.bin"'


def test_terminal_reasons() -> None:
    """What passes by itself is waited out; what needs a person is terminal."""
    assert {Reason.STORE_UNAVAILABLE, Reason.EVICTED, Reason.STARTING, Reason.FETCH_FAILED}.isdisjoint(TERMINAL)
    assert {Reason.NAME_CONFLICT, Reason.INVALID_SPEC, Reason.SECRET_MISSING, Reason.NO_ROOM_TO_SURGE} <= TERMINAL
