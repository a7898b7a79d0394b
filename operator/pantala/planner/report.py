"""What the status and the events say, after a plan has been carried out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.manifest.types import Manifest
from pantala.planner import account
from pantala.planner.observed import Observed, ready_pods, rolled_out
from pantala.planner.plan import Plan
from pantala.status import conditions
from pantala.status.conditions import Condition
from pantala.status.diagnosis import diagnose
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

LAZY_SECONDS = 2.0
"""How long a change that nobody waits for may wait for company, so that several make one write."""


@dataclass(frozen=True)
class Notice:
    """An Event to be: told on transitions only."""

    type: str
    """`Normal` or `Warning`."""
    reason: str
    message: str


@dataclass(frozen=True)
class Report:
    """The whole status, and what to tell about its change."""

    status: Manifest
    events: tuple[Notice, ...] = ()
    urgent: bool = True
    """False if only figures changed: such a status may wait `LAZY_SECONDS` for the next change."""


@dataclass(frozen=True)
class _Version:
    name: str
    ready: int
    wanted: int
    rolled_out: bool
    problem: Problem | None
    fetch: Manifest | None
    note: str | None = None
    """What the user should know although nothing is in the way."""


def report(model: InferenceModel, seen: Observed, plan: Plan, problems: tuple[Problem, ...], now: datetime) -> Report:
    """The status of a model.

    Args:
        model: The resource.
        seen: What the cluster holds after the plan's writes.
        plan: What was planned.
        problems: What kept children from being written.
        now: The time for conditions that flip.
    """
    names = [version.name for version in model.spec.versions]
    before: Mapping[str, Any] = seen.model.get("status") or {}
    known = {version["name"]: version for version in before.get("versions", ())}
    versions = {
        name: _version(model, seen, plan, name, known.get(name, {}))
        for name in [*names, *([plan.frozen] if plan.frozen else [])]
    }
    # Without the model's own Service (a stranger may have its name) no request reaches a pod.
    found = _conditions(plan, versions, problems, routed=seen.stable == plan.serving)
    generation = model.metadata.generation
    serving = versions.get(plan.serving)
    status: Manifest = {
        "observedGeneration": generation,
        "conditions": conditions.merge(before.get("conditions", ()), found, generation, now),
        "version": plan.serving,
        "versions": [_version_status(plan, version) for version in versions.values()],
    }
    url = _url(model, seen)
    if url is not None:
        status["url"] = url
    if serving is not None:
        status["replicas"] = f"{serving.ready}/{serving.wanted}"
    ports = _node_ports(seen, model)
    if ports:
        status["nodePort"] = ports
    return Report(status, _events(before, status), urgent=_urgent(before, status))


def unreadable(seen: Observed, error: ValidationError, now: datetime) -> Report:
    """The status of a resource that this operator cannot read; its children stay as they are."""
    words = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()[:5])
    message = f"The resource cannot be read: {words}. Correct the field, or update the operator; nothing is changed meanwhile."
    before: Mapping[str, Any] = seen.model.get("status") or {}
    generation = seen.model["metadata"].get("generation", 0)
    found = [
        Condition("Accepted", status=False, reason=Reason.INVALID_SPEC, message=message),
        Condition("Ready", status=None, reason=Reason.INVALID_SPEC, message=message),
        Condition("Stalled", status=True, reason=Reason.INVALID_SPEC, message=message),
    ]
    merged = conditions.merge(before.get("conditions", ()), found, generation, now)
    status = {**before, "observedGeneration": generation, "conditions": merged}
    return Report(status, _events(before, status))


def _version(model: InferenceModel, seen: Observed, plan: Plan, name: str, before: Mapping[str, Any]) -> _Version:
    live, pods = seen.deployment(name), seen.pods_of(name)
    wanted = int(live["spec"].get("replicas", 1)) if live else 0
    ready = ready_pods(pods)
    done = rolled_out(live)
    problem: Problem | None = None
    if name in plan.invalid:
        bad = plan.invalid[name]
        problem = Problem(Reason.INVALID_SPEC, f"Version {name}, {bad.field}: {bad.message}")
    elif wanted and not done:
        # Pods of two templates are there at a time: one without a node is the additional one of the update.
        status = live.get("status", {}) if live else {}
        updating = ready > 0 and status.get("updatedReplicas", 0) < status.get("replicas", 0)
        problem = diagnose(live, pods, updating=updating)
    told = account.newest(pods)
    # Latched: a pod that is gone takes nothing away from what is known of the weights.
    fetch = told.status if told is not None else before.get("fetch")
    return _Version(name, ready, wanted, done, problem, fetch, _without_effect(model, name, told))


def _without_effect(model: InferenceModel, name: str, told: account.Account | None) -> str | None:
    """Settings that a `config.pbtxt` of the store overrules: said, never ignored."""
    if told is None or told.config != "store" or resolve.find(model, name) is None:
        return None
    runtime = resolve.resolve(model, name).runtime
    fields = [field for field in ("batching", "workers") if getattr(runtime, field) is not None]
    if not fields:
        return None
    words = " and ".join(f"runtime.{field}" for field in fields)
    return f"{words}: without effect, because the store has a config.pbtxt for the model. Set it there, or remove the file."


def _conditions(
    plan: Plan, versions: Mapping[str, _Version], problems: tuple[Problem, ...], *, routed: bool
) -> list[Condition]:
    target, serving = versions[plan.target], versions.get(plan.serving)
    invalid = [version.problem for version in versions.values() if version.name in plan.invalid and version.problem]
    refused = (*problems, *invalid)
    found = []
    if plan.paused:
        found.append(
            Condition("Accepted", status=True, reason=Reason.PAUSED, message="spec.paused is set: nothing is changed.")
        )
    elif refused:
        message = " ".join(problem.message for problem in refused)
        found.append(Condition("Accepted", status=False, reason=refused[0].reason, message=message))
    else:
        found.append(
            Condition("Accepted", status=True, reason=Reason.ACCEPTED, message="All objects are as the spec asks.")
        )
    trouble = next(iter(refused), None) or target.problem or (serving.problem if serving else None)
    answers = routed and serving is not None and serving.ready > 0
    found.append(_ready(plan, target, serving, trouble, answers=answers))
    distributed = _distributed(target)
    if distributed is not None:
        found.append(distributed)
    settled = plan.serving == plan.target and target.rolled_out and plan.frozen is None and not refused
    if not settled and not plan.paused:
        if trouble is not None and trouble.terminal:
            found.append(Condition("Stalled", status=True, reason=trouble.reason, message=trouble.message))
        else:
            found.append(_progress(plan, target, trouble, answers=answers))
    return found


def _ready(
    plan: Plan, target: _Version, serving: _Version | None, trouble: Problem | None, *, answers: bool
) -> Condition:
    if answers and serving is not None:
        rest = "" if plan.serving == plan.target else f" Version {plan.target} does not have the traffic yet."
        return Condition("Ready", status=True, reason=Reason.SERVING, message=f"Version {serving.name} answers.{rest}")
    if trouble is not None:
        return Condition("Ready", status=False, reason=trouble.reason, message=trouble.message)
    return Condition("Ready", status=False, reason=Reason.STARTING, message=_waiting(target))


def _waiting(target: _Version) -> str:
    return f"Version {target.name} is starting; no replica is ready yet."


def _progress(plan: Plan, target: _Version, trouble: Problem | None, *, answers: bool) -> Condition:
    if trouble is not None:
        return Condition("Reconciling", status=True, reason=trouble.reason, message=trouble.message)
    if plan.serving != plan.target:
        message = f"Version {plan.serving} answers until version {plan.target} is ready."
        return Condition("Reconciling", status=True, reason=Reason.REPLACING, message=message)
    if answers:
        message = f"Version {target.name} answers; its replicas are being brought up to date."
        return Condition("Reconciling", status=True, reason=Reason.ROLLING_OUT, message=message)
    return Condition("Reconciling", status=True, reason=Reason.STARTING, message=_waiting(target))


_FETCH_REASONS = frozenset(
    {
        Reason.WEIGHTS_NOT_FOUND,
        Reason.WEIGHTS_DENIED,
        Reason.DISK_FULL,
        Reason.DIGEST_MISMATCH,
        Reason.WEIGHTS_CHANGED,
        Reason.WEIGHTS_INVALID,
        Reason.STORE_UNAVAILABLE,
        Reason.FETCH_FAILED,
        Reason.SECRET_MISSING,
    }
)


def _distributed(target: _Version) -> Condition | None:
    """Whether the target's weights arrived; nothing is said before a replica has tried."""
    if target.problem is not None and target.problem.reason in _FETCH_REASONS:
        return Condition("Distributed", status=False, reason=target.problem.reason, message=target.problem.message)
    if target.fetch is not None or target.rolled_out:
        return Condition(
            "Distributed", status=True, reason=Reason.FETCHED, message=f"The weights of version {target.name} arrived."
        )
    return None


def _version_status(plan: Plan, version: _Version) -> Manifest:
    status: Manifest = {
        "name": version.name,
        "state": _state(plan, version),
        "replicas": version.wanted,
        "readyReplicas": version.ready,
    }
    if version.name in plan.images:
        status["image"] = plan.images[version.name]
    if version.problem is not None:
        status["message"] = conditions.bounded(version.problem.message)
    elif version.note is not None:
        status["message"] = conditions.bounded(version.note)
    if version.fetch is not None:
        status["fetch"] = version.fetch
    return status


def _state(plan: Plan, version: _Version) -> str:
    if version.name == plan.frozen:
        return "Frozen"
    if version.name == plan.serving and version.ready > 0:
        return "Serving"
    if version.problem is not None and version.problem.terminal:
        return "Failed"
    return "Starting" if version.name in {plan.target, plan.serving} else "Parked"


def _url(model: InferenceModel, seen: Observed) -> str | None:
    service = seen.child("Service", model.metadata.name)
    if service is None:
        return None
    ports = service["spec"].get("ports", ())
    port = next((item["port"] for item in ports if item["name"] == "http"), 80)
    suffix = "" if port == 80 else f":{port}"  # noqa: PLR2004 -- the default of HTTP
    return f"http://{model.metadata.name}.{model.metadata.namespace}.svc{suffix}"


def _node_ports(seen: Observed, model: InferenceModel) -> Manifest:
    service = seen.child("Service", naming.node_port_name(model.metadata.name))
    ports = service["spec"].get("ports", ()) if service else ()
    return {
        item["name"]: item["nodePort"] for item in ports if item["name"] in {"http", "grpc"} and item.get("nodePort")
    }


def _by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {condition["type"]: condition for condition in status.get("conditions", ())}


_TOLD = ("Accepted", "Ready", "Stalled")


def _events(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Notice, ...]:
    """One Event for each condition of interest that flipped, and one for a change of the serving version."""
    old, new = _by_type(before), _by_type(after)
    notices = []
    for kind in _TOLD:
        status, known = new.get(kind, {}).get("status"), old.get(kind, {}).get("status")
        if status == known or status is None:
            continue
        bad = status == ("True" if kind == "Stalled" else "False")
        # What is expected is not told: a new model is accepted and not ready yet.
        if known is None and ((kind == "Accepted" and not bad) or (kind == "Ready" and bad)):
            continue
        if kind == "Stalled" and new.get("Accepted", {}).get("status") == "False":
            continue  # told already, in the same words
        notices.append(Notice("Warning" if bad else "Normal", new[kind]["reason"], new[kind]["message"]))
    moved = before.get("version")
    if moved and moved != after.get("version"):
        notices.append(
            Notice("Normal", "TrafficMoved", f"Version {after.get('version')} has the traffic; it was {moved}.")
        )
    return tuple(notices)


def _urgent(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether somebody waits for the change: a condition that flips or changes its reason, a new generation, a version."""

    def essence(status: Mapping[str, Any]) -> Any:
        told = {
            kind: (condition.get("status"), condition.get("reason"))
            for kind, condition in _by_type(status).items()
            if kind != "Distributed"
        }
        return status.get("observedGeneration"), status.get("version"), status.get("url"), status.get("nodePort"), told

    # The pods are ready a moment before the Deployment says so: the two make one write.
    catching_up = _by_type(after).get("Reconciling", {}).get("reason") == Reason.ROLLING_OUT
    if catching_up and _by_type(before).get("Reconciling", {}).get("reason") == Reason.STARTING:
        return False
    return bool(essence(before) != essence(after))
