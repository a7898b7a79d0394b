"""What `pantala status` tells of a model, as one value: its JSON form is documented in docs/cli.md and stable. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from pantala import naming
from pantala.cli.coldstart import Entry, Replica, entry, replica
from pantala.cli.scaled import Scaler, scaler
from pantala.cli.traffic import Traffic, entries
from pantala.manifest.types import Manifest
from pantala.planner import ledger, phases

State = Literal["Ready", "Starting", "Failed", "Outdated", "Unseen", "Deleting"]
"""Ready; Starting; Failed: needs a change by somebody; Outdated: the status is about an older spec; Unseen: no operator has
looked at it; Deleting."""


class Condition(TypedDict):
    """Conditions that are not as one would like them; several with one cause are one."""

    types: list[str]
    reason: str
    message: str


class Fetch(TypedDict):
    """What all replicas of a version that got ready have fetched, taken together."""

    replicas: int
    files: int
    bytes: dict[str, int]
    """By source."""
    fallbacks: int
    """Replicas that read the store because peers did not deliver."""


class Grant(TypedDict):
    """One thing that was asked of the provider of cards."""

    resource: str
    asked: str
    granted: str
    unit: str
    amount: int


class Cards(TypedDict):
    """The cards of a replica, or its shares of cards."""

    provider: str
    grants: list[Grant]
    utilization: str | None
    """The metric of one replica, or why there is none."""
    warnings: list[str]


class Version(TypedDict):
    """One version of a model."""

    name: str
    state: str | None
    readyReplicas: int
    desiredReplicas: int
    image: str | None
    accelerator: Cards | None
    """None if it asks for no cards."""
    autoscaler: Scaler | None
    """None where the number of replicas is fixed."""
    fetch: Fetch | None
    message: str | None
    pods: list[Replica]
    """Those that exist."""
    replicas: list[Entry]
    """The ledger: the last starts, those of pods that are gone included."""


class Summary(TypedDict):
    """One model."""

    namespace: str
    name: str
    state: State
    ready: bool
    """Whether `state` is Ready: the exit code's business."""
    paused: bool
    version: str | None
    """The version that has the traffic."""
    target: str
    """The version that is to have it."""
    url: str | None
    example: str | None
    addresses: dict[str, str]
    """Address from outside by protocol (`http`, `grpc`), through a NodePort."""
    conditions: list[Condition]
    versions: list[Version]
    traffic: list[Traffic]
    """Empty where no mesh routes."""


def summarize(model: Manifest, pods: Iterable[Manifest], node: str | None, now: datetime) -> Summary:
    """The summary of a model.

    Args:
        model: The resource as it is stored.
        pods: Its pods.
        node: Address of a node, for NodePorts; None if that is unknown.
        now: For how long a replica has been at a step.
    """
    meta, spec, status = model["metadata"], model["spec"], model.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    state = _state(meta, status, conditions)
    names = [version["name"] for version in spec["versions"]]
    known = {version["name"]: version for version in status.get("versions") or ()}
    grouped: dict[str, list[Manifest]] = {}
    for pod in pods:
        grouped.setdefault(pod["metadata"].get("labels", {}).get(naming.LABEL_VERSION, ""), []).append(pod)
    every = [*names, *(name for name in known if name not in names)]
    return {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "state": state,
        "ready": state == "Ready",
        "paused": bool(spec.get("paused")),
        "version": status.get("version"),
        "target": (spec.get("traffic") or {}).get("target") or names[0],
        "url": status.get("url"),
        "example": status.get("example"),
        "addresses": _addresses(status.get("nodePort") or {}, node),
        "conditions": _trouble(conditions),
        "versions": [_version(name, known.get(name, {}), grouped.get(name, []), now) for name in every],
        "traffic": entries(status.get("traffic") or ()),
    }


def _state(meta: Mapping[str, Any], status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> State:
    if "deletionTimestamp" in meta:
        return "Deleting"
    if not conditions:
        return "Unseen"
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return "Outdated"
    if conditions.get("Ready", {}).get("status") == "True":
        return "Ready"
    return "Failed" if conditions.get("Stalled", {}).get("status") == "True" else "Starting"


_BAD_WHEN_TRUE = frozenset({"Reconciling", "Stalled"})
_FINE_BUT_TOLD = frozenset({"Paused", "FellBack"})
_LAST = "MetricsAvailable"
"""What is in the way of the model itself comes before what is in the way of its autoscaler."""


def _trouble(conditions: Mapping[str, Mapping[str, Any]]) -> list[Condition]:
    """What is not fine, each cause once, in the order of the resource's own conditions, measures of autoscalers last."""
    found: dict[tuple[str, str], Condition] = {}
    for kind, item in sorted(conditions.items(), key=lambda pair: pair[0] == _LAST):
        fine = (item["status"] == "True") != (kind in _BAD_WHEN_TRUE)
        # Whether measures are there is open as long as replicas start: that is told already.
        fine |= kind == _LAST and item["status"] == "Unknown"
        if fine and item["reason"] not in _FINE_BUT_TOLD:
            continue
        key = (item["reason"], item.get("message", ""))
        found.setdefault(key, {"types": [], "reason": key[0], "message": key[1]})["types"].append(kind)
    return list(found.values())


def _version(name: str, status: Mapping[str, Any], pods: list[Manifest], now: datetime) -> Version:
    fetch, told = status.get("fetch"), {item["pod"]: item for item in ledger.entries(status)}
    names = {pod["metadata"]["name"] for pod in pods}
    return {
        "name": name,
        "state": status.get("state"),
        "readyReplicas": status.get("readyReplicas", 0),
        "desiredReplicas": status.get("desiredReplicas", 0),
        "image": status.get("image"),
        "accelerator": _cards(status["accelerator"]) if "accelerator" in status else None,
        "autoscaler": scaler(status["autoscaler"]) if "autoscaler" in status else None,
        "fetch": _fetch(fetch) if fetch is not None else None,
        "message": status.get("message"),
        "pods": [replica(pod, now, told.get(pod["metadata"]["name"])) for pod in sorted(pods, key=phases.age)],
        "replicas": [entry(item, exists=item["pod"] in names) for item in told.values()],
    }


def _cards(status: Mapping[str, Any]) -> Cards:
    return {
        "provider": status["provider"],
        "grants": [
            {
                "resource": grant["resource"],
                "asked": grant["asked"],
                "granted": grant["granted"],
                "unit": grant["unit"],
                "amount": grant["amount"],
            }
            for grant in status.get("grants", ())
        ],
        "utilization": status.get("utilization"),
        "warnings": list(status.get("warnings", ())),
    }


def _fetch(status: Mapping[str, Any]) -> Fetch:
    return {
        "replicas": status.get("replicas", 0),
        "files": status.get("files", 0),
        "bytes": status.get("bytes", {}),
        "fallbacks": status.get("fallbacks", 0),
    }


def _addresses(ports: Mapping[str, int], node: str | None) -> dict[str, str]:
    host = node or "NODE"
    host = f"[{host}]" if ":" in host else host
    return {
        name: f"{'http://' if name == 'http' else ''}{host}:{port}"
        for name, port in sorted(ports.items(), reverse=True)
    }
