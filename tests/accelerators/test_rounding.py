"""What is granted covers what was asked, by less than one step of the vendor more, whatever is asked."""

import random
import re
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import pytest

from pantala.accelerators.registry import PROVIDERS
from pantala.api import quantity
from pantala.api.status import AcceleratorStatus
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest
from tests.accelerators.claims import claimed

ASKS = 200
STEPS = {
    "nvidia.com/gpumem": 1 << 20,
    "volcano.sh/vgpu-memory": 1 << 20,
    "tencent.com/vcuda-memory": 256 << 20,
}
"""Bytes of one unit, as the vendors have them; Aliyun's is a setting."""
PERCENTS = {"nvidia.com/gpumem-percentage": "memoryPercent", "tencent.com/vcuda-core-limit": "coreLimit"}
PERCENTS |= dict.fromkeys(("nvidia.com/gpucores", "volcano.sh/vgpu-cores", "tencent.com/vcuda-core"), "corePercent")
DOMAINS = {"hami": "nvidia.com/", "volcano": "volcano.sh/", "tencent": "tencent.com/"}
"""Beginnings of the names of what can be asked of a provider in those units."""
SUFFIXES: list[tuple[int | Fraction, str]] = [
    (1, ""),
    (1 << 10, "Ki"),
    (1 << 20, "Mi"),
    (1 << 30, "Gi"),
    (1 << 40, "Ti"),
]
SUFFIXES += [(10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T"), (Fraction(1, 1000), "m")]
LEAST, MOST = 64 << 20, 1 << 40
WRITTEN: dict[str, Fraction] = {}
"""The bytes of every amount of memory that was written down."""


def memory(draw: random.Random) -> str:
    """Some amount of memory between the bounds, in one of the ways to write it."""
    size = draw.choice(
        [
            draw.randint(LEAST, 4 << 30),
            draw.randint(LEAST, MOST),
            draw.randint(1, 4096) * (256 << 20),
            draw.randint(1, 1023) * (1 << 30) + draw.randint(-1, 1),
        ]
    )
    unit, suffix = draw.choice(SUFFIXES)
    digits = 0 if suffix in {"", "m"} else draw.choice([0, 0, 1, 3])
    # Rounded up, so that it stays above the least; the most is whole in every unit but the decimal ones.
    number = -(-size * 10**digits // unit) + (draw.randint(0, 1) if suffix == "m" else 0)
    value = Fraction(number, 10**digits) * unit
    if value > MOST:
        return memory(draw)
    text = str(number) if not digits else f"{number // 10**digits}.{number % 10**digits:0{digits}}"
    WRITTEN[text + suffix] = value
    return text + suffix


def some(draw: random.Random, **fields: Callable[[], Any]) -> Manifest:
    """Each of the fields, or not."""
    return {name: make() for name, make in fields.items() if draw.random() < 0.6}


def uuid(draw: random.Random) -> str:
    """A card's UUID."""
    digits = f"{draw.getrandbits(128):032x}"
    return f"GPU-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def nvidia(draw: random.Random) -> Manifest:
    """Whole cards, or one share."""
    return some(draw, sharing=lambda: draw.choice(["TimeSlicing", "MPS"])) or {"count": draw.randint(1, 64)}


def mig(draw: random.Random) -> Manifest:
    """Slices of some profile."""
    end = draw.choice(["", "", "+me", "+me.all", "-me", "+gfx"])
    profile = f"{draw.randint(1, 7)}g.{draw.randint(1, 999)}gb{end}"
    fields = some(draw, count=lambda: draw.randint(1, 64), strategy=lambda: draw.choice(["Mixed", "Single"]))
    return fields | {"profile": profile}


def hami(draw: random.Random) -> Manifest:
    """Shares of cards, with all the choices that HAMi has."""
    fields = some(
        draw,
        count=lambda: draw.randint(1, 16),
        memoryPerCard=lambda: memory(draw),
        corePercent=lambda: draw.randint(1, 100),
        oversubscribe=lambda: draw.random() < 0.5,
        nodePolicy=lambda: draw.choice(["Binpack", "Spread"]),
        cardPolicy=lambda: draw.choice(["Binpack", "Spread", "TopologyAware"]),
        cardType=lambda: {"allow": ["A100", "Tesla V100"]} | some(draw, deny=lambda: ["T4"]),
    )
    if "memoryPerCard" not in fields:
        fields |= some(draw, memoryPercent=lambda: draw.randint(1, 100))
    if not {"corePercent", "oversubscribe"} & set(fields):
        fields |= some(draw, mode=lambda: draw.choice(["HAMiCore", "MIG"]))
    return fields | some(draw, devices=lambda: [uuid(draw) for _ in range(fields.get("count", 1))])


def volcano(draw: random.Random) -> Manifest:
    """Shares of cards, with the choices that Volcano has."""
    fields = some(
        draw,
        count=lambda: draw.randint(1, 16),
        memoryPerCard=lambda: memory(draw),
        corePercent=lambda: draw.randint(1, 100),
        cardType=lambda: {"allow": ["A100", "H100"]},
    )
    modes = ["HAMiCore"] if "corePercent" in fields else ["HAMiCore", "MIG"]
    return fields | some(draw, mode=lambda: draw.choice(modes))


def tencent(draw: random.Random) -> Manifest:
    """Whole cards, or a share of one."""
    if draw.random() < 0.3:
        return {"count": draw.randint(1, 16)} | some(draw, corePercent=lambda: 100)
    core = draw.randint(1, 99)
    limits = some(draw, coreLimit=lambda: draw.randint(core + 1, 100))
    return {"corePercent": core, "memoryPerCard": memory(draw), **limits}


def aliyun(draw: random.Random) -> Manifest:
    """Memory of one card."""
    return {"memoryPerCard": memory(draw)}


def dra(draw: random.Random) -> Manifest:
    """Devices of a class."""
    fields = some(
        draw, count=lambda: draw.randint(1, 32), profile=lambda: f"{draw.randint(1, 7)}g.{draw.randint(1, 99)}gb"
    )
    if "profile" not in fields:
        fields |= some(draw, cardType=lambda: {"allow": ["A100"]})
    return fields | some(draw, selectors=lambda: ["device.attributes['gpu.nvidia.com'].architecture == 'Hopper'"])


def visible_devices(draw: random.Random) -> Manifest:
    """Cards by number or UUID."""
    numbers = [str(number) for number in draw.sample(range(100), draw.randint(1, 8))]
    return {"devices": draw.choice([numbers, [uuid(draw)]])}


MAKERS = {
    "nvidia": nvidia,
    "mig": mig,
    "hami": hami,
    "volcano": volcano,
    "tencent": tencent,
    "aliyun": aliyun,
    "dra": dra,
    "visible-devices": visible_devices,
}


def asks(provider: str, seed: int = 7) -> list[tuple[Manifest, AcceleratorSettings]]:
    """Blocks of a provider that nobody thought of, which its rules accept, and the installations that they meet."""
    draw = random.Random(f"{provider} {seed}")
    return [
        ({"provider": provider, **MAKERS[provider](draw)}, AcceleratorSettings(aliyun_unit=draw.choice(["GiB", "MiB"])))
        for _ in range(ASKS)
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_granted_is_what_was_asked_rounded_up(provider: str) -> None:
    """Memory is never below the ask nor a whole step above it, and percents are as asked: in the limits and in the status."""
    seen: set[str] = set()
    for block, settings in asks(provider):
        made = claimed(block, settings)
        steps = STEPS | {"aliyun.com/gpu-mem": 1 << {"GiB": 30, "MiB": 20}[settings.aliyun_unit]}
        for grant in made.grants:
            seen.add(grant.resource)
            if (step := steps.get(grant.resource)) is not None:
                asked = WRITTEN[grant.asked]
                assert grant.asked == block["memoryPerCard"]
                assert (grant.amount - 1) * step < asked <= grant.amount * step, (block, grant)
                assert quantity.parse(grant.granted) == grant.amount * step
                assert quantity.parse(grant.unit) == step
                if made.memory is not None:
                    assert made.memory.bytes == grant.amount * step
            elif grant.asked.endswith("%"):
                assert grant.amount == block[PERCENTS[grant.resource]], (block, grant)
                assert grant.granted == grant.asked == f"{grant.amount}%"
    if domain := DOMAINS.get(provider):
        assert {name for name in (*STEPS, *PERCENTS) if name.startswith(domain)} <= seen


@pytest.mark.parametrize("provider", PROVIDERS)
def test_limits_are_integers_that_the_grants_explain(provider: str) -> None:
    """Each limit is a plain integer above zero and has its grant; cards are as many as asked."""
    for block, settings in asks(provider):
        made = claimed(block, settings)
        amounts = {grant.resource: grant.amount for grant in made.grants}
        assert len(amounts) == len(made.grants)
        for resource, limit in made.parts.limits.items():
            assert re.fullmatch("[1-9][0-9]*", limit), (block, resource, limit)
            assert int(limit) == amounts[resource]
        count = len(block["devices"]) if provider == "visible-devices" else block.get("count", 1)
        assert made.cards == count
        if provider == "tencent" and block.get("corePercent", 100) == 100:
            assert made.parts.limits == {"tencent.com/vcuda-core": str(100 * count)}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_status_has_room(provider: str) -> None:
    """Whatever is asked, what is granted and what is warned of fit into the status."""
    for block, settings in asks(provider):
        made = claimed(block, settings)
        grants = [asdict(grant) for grant in made.grants]
        status = AcceleratorStatus.model_validate({"provider": provider, "grants": grants, "warnings": made.warnings})
        assert status.grants is not None
        assert len(status.grants) == len(made.grants)
        assert all(re.match(r"accelerator\.[a-zA-Z]+: ", text) and text.endswith(".") for text in made.warnings)


def test_amounts_are_written_in_many_ways() -> None:
    """The amounts above have every suffix, fractions, and values of more and of less than a step."""
    draw = random.Random(7)
    texts = [memory(draw) for _ in range(ASKS)]
    assert {suffix for _, suffix in SUFFIXES} == {text.lstrip("0123456789.") for text in texts}
    assert sum("." in text for text in texts) > ASKS // 4
    assert all(LEAST <= WRITTEN[text] <= MOST for text in texts)
    assert all(
        quantity.parse(text) == WRITTEN[text].numerator / quantity.Decimal(WRITTEN[text].denominator) for text in texts
    )
