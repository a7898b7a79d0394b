"""`pantala status`, from values to lines."""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
import yaml
from rich.console import Console, RenderableType

from pantala.cli.coldstart import replica
from pantala.cli.summary import Summary, summarize
from pantala.cli.tree import page
from pantala.cli.waterfall import human, seconds, sources
from tests.golden import DATA, assert_golden

NOW = datetime(2026, 1, 5, 10, 30, 0, tzinfo=UTC)
CASES = ("good", "starting", "failed", "replacing", "unseen", "peers", "split", "cards", "scaling")


def case(name: str) -> Summary:
    """The summary of a case under tests/data/cli-status."""
    given: dict[str, Any] = yaml.safe_load((DATA / "cli-status" / f"{name}.yaml").read_text())
    return summarize(given["model"], given["pods"], given["node"], NOW)


def drawn(what: RenderableType, width: int = 100) -> str:
    """The lines without colour, at a fixed width, without the spaces at their ends."""
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(what, highlight=False)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_tree(name: str) -> None:
    """The tree of a model says in words what colour and symbol say as well."""
    assert_golden(f"cli-status/{name}.txt", drawn(page([case(name)], whole=True)))


@pytest.mark.parametrize("name", CASES)
def test_json(name: str) -> None:
    """The JSON form of a model has the documented fields, and is all that the tree is drawn from."""
    found = case(name)
    assert json.loads(json.dumps(found)) == found
    assert_golden(f"cli-status/{name}.json", json.dumps(found, indent=2) + "\n")


@pytest.mark.parametrize("name", CASES)
def test_cold_start(name: str) -> None:
    """The start of each replica is drawn to scale at 80 columns, also of those that are gone or on their way."""
    assert_golden(f"cli-status/{name}-cold-start.txt", drawn(page([case(name)], whole=True, cold_start=True), 80))


def test_narrow_cold_start() -> None:
    """However narrow the terminal is, each phase has a bar and a figure, and no line is cut."""
    lines = drawn(page([case("peers")], whole=True, cold_start=True), 40).splitlines()
    assert sum(" fetch " in line and line.endswith(" s") for line in lines) == 5
    assert max(len(line) for line in lines) <= 40


def test_table() -> None:
    """Without a name there is a line for each model, wrapped to the width."""
    assert_golden("cli-status/table.txt", drawn(page([case(name) for name in CASES], whole=False), 110))


def test_ascii() -> None:
    """A terminal without Unicode gets signs of its own."""
    assert drawn(page([case("good")], whole=True, ascii_only=True)).startswith("+ Ready vision/resnet")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"deletionTimestamp": "2026-01-05T10:00:00Z"}, "Deleting"),
        ({"generation": 4}, "Outdated"),
        ({}, "Ready"),
    ],
)
def test_state(change: dict[str, Any], state: str) -> None:
    """Only a status about the present spec counts, and a model on its way out is not ready."""
    given = yaml.safe_load((DATA / "cli-status" / "good.yaml").read_text())["model"]
    given["metadata"].update(change)
    found = summarize(given, [], None, NOW)
    assert (found["state"], found["ready"]) == (state, state == "Ready")


def test_clock_skew() -> None:
    """A node whose clock is behind makes no negative phase."""
    given = yaml.safe_load((DATA / "cli-status" / "good.yaml").read_text())["pods"][0]
    given["metadata"]["creationTimestamp"] = "2026-01-05T10:00:05Z"
    assert replica(given, NOW)["phases"]["scheduled"] == 0


def test_restarted_while_starting() -> None:
    """A server that ended before it was ready is loading, not waiting for its image."""
    given = yaml.safe_load((DATA / "cli-status" / "good.yaml").read_text())["pods"][0]
    given["status"]["conditions"][2]["status"] = "False"
    given["status"]["containerStatuses"] = [
        {"name": "server", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    ]
    found = replica(given, NOW)
    assert (found["step"], found["waiting"], found["restarts"]) == ("load", "CrashLoopBackOff", 1)


@pytest.mark.parametrize(
    ("span", "text"), [(0, "0 s"), (0.004, "0.00 s"), (0.81, "0.81 s"), (3.217, "3.2 s"), (3600, "3600 s")]
)
def test_seconds(span: float, text: str) -> None:
    """Seconds are told as exactly as they are known, and no more so than anybody reads."""
    assert seconds(span) == text


def test_shares() -> None:
    """Shares of less than a thousandth are not told as nothing, and no share is rounded up to all."""
    counts = {"origin": 1, "peer": 10**9, "local": 0}
    assert sources(counts, shares=True) == "1 B from origin (< 0.1 %), 953.7 MiB from peer (99.9 %)"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (2**52, "4096.0 TiB")]
)
def test_human(count: int, text: str) -> None:
    """Bytes are told in the unit that makes a short number."""
    assert human(count) == text


def test_measures_come_last() -> None:
    """What keeps a model from answering is told before what its autoscaler misses, and a measure that may still come is not told."""
    given: dict[str, Any] = yaml.safe_load((DATA / "cli-status" / "scaling.yaml").read_text())
    ready = {"type": "Ready", "status": "False", "reason": "ImagePullFailed", "message": "no such image"}
    conditions = given["model"]["status"]["conditions"]
    conditions[2] = ready
    assert [it["types"] for it in summarize(given["model"], [], None, NOW)["conditions"]] == [
        ["Ready"],
        ["MetricsAvailable"],
    ]
    conditions[1] |= {"status": "Unknown", "reason": "Starting"}
    assert [it["types"] for it in summarize(given["model"], [], None, NOW)["conditions"]] == [["Ready"]]
