"""The lines of `pantala top`, from usages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from pantala.cli.columns import aligned
from pantala.cli.figures import Figures, Usage, Version
from pantala.cli.scaler import Autoscaler

_HEAD = (
    *(
        "MODEL",
        "VERSION",
        "READY",
        "BOUNDS",
        "GPU",
        "MEMORY",
        "REQ/S",
        "QUEUE",
        "WAIT",
        "WANTS",
        "BY",
        "SCALED",
        "MISSING",
    ),
)
_RIGHT = range(2, 10)
_UNKNOWN = "-"
_EXACT = 100
_LEAST = 0.1
_SECONDS = 10000
"""Milliseconds from which on a time is told in seconds."""
_KEYS: Mapping[str, Callable[[Figures], float | None]] = {
    "gpu": lambda of: of["gpuUtilization"],
    "memory": lambda of: of["gpuMemory"],
    "requests": lambda of: of["requestsPerSecond"],
    "queue": lambda of: of["queueLength"],
    "wait": lambda of: of["queueMilliseconds"],
}
ORDERS = ("name", *_KEYS, "replicas")
"""What can be sorted by: names upwards, everything else downwards, with what is unknown at the end."""


def ordered(models: Sequence[Usage], by: str) -> list[Usage]:
    """The models, and their pods, in an order of `ORDERS`; a model counts as its highest version does."""

    def rank(figures: Figures) -> float:
        value = _KEYS[by](figures) if by in _KEYS else None
        return -1.0 if value is None else value

    def version(of: Version) -> float:
        return of["readyReplicas"] if by == "replicas" else rank(of)

    found: list[Usage] = []
    for model in models:
        versions = [
            {
                **of,
                "pods": None if of["pods"] is None else sorted(of["pods"], key=lambda pod: (-rank(pod), pod["name"])),
            }
            for of in model["versions"]
        ]
        found.append({**model, "versions": versions})  # type: ignore[typeddict-item]  # mypy takes {**version} for a dict
    if by == "name":
        return found
    return sorted(found, key=lambda model: -max(map(version, model["versions"]), default=-1.0))


def lines(models: Iterable[Usage], now: datetime) -> Iterator[str]:
    """A line for each version that has replicas or shall have some, and below it one for each pod where pods are told of.

    No line is fitted to a width: names must be whole to be searched and copied.
    """
    found: list[Sequence[str]] = [_HEAD]
    for model in models:
        name = f"{model['namespace']}/{model['name']}"
        for version in _shown(model):
            found.append(_row(name, version, now))
            found += [
                [f"  {pod['name']}", "", "ready" if pod["ready"] else "not ready", "", *_cells(pod)]
                for pod in version["pods"] or ()
            ]
    return aligned(found, _RIGHT)


def remarks(models: Iterable[Usage]) -> Iterator[str]:
    """Why a measure is missing and what holds an autoscaler back, for those who look at one model."""
    for model in models:
        if model["message"]:
            yield f"{model['namespace']}/{model['name']}: {model['message']}"
        for version in model["versions"]:
            if version["autoscaler"] and version["autoscaler"]["limited"]:
                yield f"{model['namespace']}/{model['name']}, version {version['name']}: {version['autoscaler']['limited']}"


def _shown(model: Usage) -> list[Version]:
    """The versions without those that are parked, if that leaves any."""
    running = [version for version in model["versions"] if version["desiredReplicas"] or version["readyReplicas"]]
    return running or model["versions"][:1]


def _row(name: str, version: Version, now: datetime) -> list[str]:
    scaler = version["autoscaler"]
    replicas = f"{version['readyReplicas']}/{version['desiredReplicas']}"
    row = [name, version["name"], replicas, _bounds(version), *_cells(version)]
    return row if scaler is None else [*row, *_scaler(scaler, now)]


def _bounds(version: Version) -> str:
    if version["minReplicas"] is None:
        return _UNKNOWN
    if version["autoscaler"] is None:
        return str(version["minReplicas"])
    return f"{version['minReplicas']}-{version['maxReplicas']}"


def _cells(of: Figures) -> list[str]:
    return [
        _with_unit(of["gpuUtilization"], "%"),
        _with_unit(of["gpuMemory"], "%"),
        _number(of["requestsPerSecond"]),
        _number(of["queueLength"]),
        _time(of["queueMilliseconds"]),
    ]


def _scaler(scaler: Autoscaler, now: datetime) -> list[str]:
    wants = _UNKNOWN if scaler["desiredReplicas"] is None else str(scaler["desiredReplicas"])
    first = next((it for it in scaler["measures"] if it["name"] == scaler["decisive"]), None)
    why = f"{first['name']} {_number(first['value'])}/{_number(first['target'])}" if first else _UNKNOWN
    names = f" ({', '.join(scaler['missing'])})" if scaler["missing"] else ""
    return [wants, why, _last(scaler, now), f"{scaler['reason']}{names}" if scaler["reason"] else ""]


def _last(scaler: Autoscaler, now: datetime) -> str:
    last = scaler["lastScale"]
    if last is None:
        return _UNKNOWN
    age = f"{_age((now - datetime.fromisoformat(last['time'])).total_seconds())} ago"
    if last["toReplicas"] is None:
        return age
    before = "" if last["fromReplicas"] is None else f"{last['fromReplicas']}->"
    return f"{before}{last['toReplicas']}, {age}"


def _age(seconds: float) -> str:
    """A span as kubectl says it: in one unit, of which there are at least two."""
    span = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if span >= 2 * size:
            return f"{span // size}{unit}"
    return f"{span}s"


def _with_unit(value: float | None, unit: str) -> str:
    return _UNKNOWN if value is None else f"{_number(value)} {unit}"


def _time(milliseconds: float | None) -> str:
    if milliseconds is not None and milliseconds >= _SECONDS:
        return _with_unit(milliseconds / 1000, "s")
    return _with_unit(milliseconds, "ms")


def _number(value: float | None) -> str:
    """A figure of three digits or so."""
    if value is None:
        return _UNKNOWN
    if 0 < value < _LEAST:
        return f"<{_LEAST}"
    return f"{value:.0f}" if value >= _EXACT else f"{value:.1f}".removesuffix(".0")
