"""Whatever a pod says, the status can be written: hundreds of accounts that no fetcher would give."""

import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from pantala.api.check import check
from pantala.manifest.types import Manifest
from pantala.planner import account
from tests.planner.world import World, model, ready_pod

FIELDS = (
    "fingerprint",
    "files",
    "seconds",
    "config",
    "bytes",
    "direct",
    "parents",
    "retries",
    "fallback",
    "digest",
    "x",
)
NUMBERS = (0, 1, -1, 2**63 - 1, 2**63, 10**300, 1.5, -0.0, 1e308, float("inf"), float("nan"), 3600.0 * 99_999, True)
TEXTS = ("", "origin", "sha256:ab", "NoSocket: x", "\x00", "\ud800", "\N{PILE OF POO}" * 90, "'; --", "x" * 4000, "a b")
NAMES = (*account.SOURCES, "others", "gpu-1", "host.example.com", "")


def told(text: str) -> Manifest:
    """A pod with this as the last word of its fetcher."""
    pod = ready_pod("v1")
    pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["message"] = text
    return pod


def figures(text: str) -> Manifest:
    found = account.of(told(text))
    assert found is not None
    return found.figures


def anything(dice: random.Random, depth: int = 0) -> Any:
    """Any JSON."""
    kind = dice.randrange(4 if depth > 2 else 6)
    if kind < 2:
        return dice.choice(NUMBERS)
    if kind == 2:
        return dice.choice(TEXTS)
    if kind == 3:
        return None
    if kind == 4:
        return [anything(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice((*NAMES, *TEXTS)): anything(dice, depth + 1) for _ in range(dice.randrange(6))}


def accounts() -> Iterator[str]:
    """Accounts with fields of any kind, and some that are cut or no JSON at all."""
    dice = random.Random(5)
    for _ in range(400):
        text = json.dumps({name: anything(dice) for name in dice.sample(FIELDS, dice.randrange(len(FIELDS)))})
        yield text if dice.random() < 0.9 else text[: dice.randrange(len(text) + 1)]
    yield from (
        "[" * 4096,
        '{"a":' * 800,
        "9" * 4096,
        '{"bytes":{"origin":' + "9" * 4000 + "}}",
        "null",
        '"\\ud800"',
        "[1]",
    )


def test_whatever_a_pod_says() -> None:
    """The status of a model is one that the API server takes, under its bound, and the same in the next pass."""
    world = World(model())
    world.settle()
    world.roll_out("v1")
    spec = check(world.model)
    for text in accounts():
        world.model.pop("status", None)
        world.pods = [told(text)]
        status = world.report().status
        assert check({**world.model, "status": status}) == spec, text
        assert json.loads(orjson.dumps(status)) == status
        assert world.report().status == status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"files":1,"bytes":{"origin":5}}', {"files": 1, "bytes": {"origin": 5}}),
        ('{"bytes":{"origin":5,"moon":6,"peer":0}}', {"bytes": {"origin": 5, "peer": 0}}),
        ('{"bytes":{"origin":5,"peer":-1}}', {}),
        ('{"bytes":{}}', {}),
        ('{"files":"many","direct":-1,"retries":1.0,"fingerprint":7,"fallback":["x"]}', {}),
        ('{"files":true,"bytes":[1],"fingerprint":"' + "x" * 200 + '"}', {}),
        ('{"parents":{"gpu-1":1,"b":2,"c":3,"others":4}}', {"parents": {"gpu-1": 1, "b": 2, "c": 3, "others": 4}}),
        ('{"parents":{"a":1,"b":2,"c":3,"d":4,"e":5}}', {}),
        ('{"parents":{"a b":1}}', {}),
        ('{"fingerprint":"sha256:\\u0000"}', {}),
        ('{"direct":0,"retries":0}', {"direct": 0, "retries": 0}),
        ('{"fallback":"Stalled: \\u001b]0;x\\u0007\\n\\u009b1m"}', {"fallback": "Stalled:  ]0;x   1m"}),
        ("no JSON", {}),
    ],
)
def test_figures(text: str, expected: Manifest) -> None:
    """Each figure is taken if it is one, and left out if it is not; counts that belong together only together."""
    assert figures(text) == expected


@pytest.mark.parametrize(
    ("seconds", "phase"), [("123.456", "2m3s456ms"), ("86400", "24h"), ("-1", "2s"), ("1e300", "2s"), ("NaN", "2s")]
)
def test_seconds(seconds: str, phase: str) -> None:
    """The fetcher's own time is exact; without one it is that of its container, to the second."""
    world = World(model())
    world.settle()
    world.roll_out("v1")
    world.pods = [told(f'{{"seconds":{seconds}}}')]
    assert world.report().status["versions"][0]["replicas"][0]["phases"]["fetch"] == phase


def test_long_words() -> None:
    """Why a fetcher fell back is cut to a line or two."""
    (words,) = figures(json.dumps({"fallback": "Stalled: " + "x" * 3000})).values()
    assert words.startswith("Stalled: xxx")
    assert len(words) <= 250
    assert account.reason(words) == "Stalled"
    assert account.reason("Stalled") == "Stalled"
    assert account.reason("nonsense: x") == "Other"
