"""What the status and the events say, after a plan has been carried out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.manifest.canonical import canonical
from pantala.manifest.types import Manifest
from pantala.planner import (
    account,
    autoscaler_report,
    cards_report,
    ledger,
    live_route,
    metrics_report,
    placement,
    traffic_report,
)
from pantala.planner.addresses import addresses
from pantala.planner.ledger import Ledger
from pantala.planner.observed import Observed, ready_pods, rolled_out, wanted_replicas
from pantala.planner.plan import Plan
from pantala.planner.probed import Ask
from pantala.planner.verdicts import Version, verdicts
from pantala.planner.weights import weights
from pantala.status import conditions, transitions
from pantala.status.conditions import Condition
from pantala.status.diagnosis import diagnose, present
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.status.transitions import Notice

STATUS_BYTES = 60 * 1024
"""Most bytes of the whole status: where it would be more, the ledger is shorter."""
LAZY_SECONDS = 2.0
"""How long a change that nobody waits for may wait for company, so that several make one write."""


@dataclass(frozen=True)
class Started:
    """A replica that just got ready."""

    version: str
    entry: Manifest
    """As it is in the ledger."""


@dataclass(frozen=True)
class Report:
    """The whole status, and what to tell about its change."""

    status: Manifest
    events: tuple[Notice, ...] = ()
    urgent: bool = True
    """False if only figures changed: such a status may wait `LAZY_SECONDS` for the next change."""
    started: tuple[Started, ...] = ()
    """Replicas that this status is the first to call ready."""
    asks: tuple[Ask, ...] = ()
    """Measures of which is to be found out why autoscalers do not have them."""
    wait: float | None = None
    """Seconds after which to report again though nothing happens."""


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
    every = [*names, *plan.frozen]
    ledgers = _ledgers(seen, {name: known.get(name, {}) for name in every}, now)
    versions = {name: _version(model, seen, plan, name, ledgers[name], now) for name in every}
    # Without the model's own Service (a stranger may have its name) no request reaches a pod.
    outside = model.spec.expose
    ports = outside is not None and (outside.node_port is not None or outside.load_balancer is not None)
    found = verdicts(plan, versions, problems, routed=seen.stable == plan.serving, ports=ports)
    generation = model.metadata.generation
    serving, idle = versions.get(plan.serving), _idle(plan, seen, versions.values())
    blocks, large = _cards(model, plan, ledgers, known)
    scaling = autoscaler_report.views(seen, plan)
    metrics = metrics_report.state(model, seen, plan, scaling, now)
    if metrics.condition is not None:
        found.append(metrics.condition)
    status: Manifest = {
        "observedGeneration": generation,
        "conditions": conditions.merge(before.get("conditions", ()), found, generation, now),
        "version": plan.serving,
        "versions": [
            _version_status(plan, version, known.get(version.name, {}), now, idle=version.name in idle)
            | blocks.get(version.name, {})
            | _autoscaler(plan, scaling.get(version.name), known.get(version.name, {}), version.name)
            for version in versions.values()
        ],
        **addresses(model, seen, plan),
    }
    if serving is not None:
        status["replicas"] = f"{serving.ready}/{serving.wanted}"
    if traffic := traffic_report.traffic(plan, seen):
        status["traffic"] = traffic
    size = (
        STATUS_BYTES
        - ledger.MARKS_BYTES
        - len(canonical(status))
        - len(canonical([book.totals for book in ledgers.values()]))
    )
    for item, short in zip(status["versions"], ledger.bounded(ledgers, size).values(), strict=True):
        item.update(short.status())
    started = tuple(Started(name, entry) for name, book in ledgers.items() for entry in book.started)
    events = (*transitions.events(before, status), *cards_report.notices(before, status, large))
    return Report(status, events, transitions.urgent(before, status), started, metrics.asks, metrics.wait)


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
    return Report(status, transitions.events(before, status))


def _ledgers(seen: Observed, before: Mapping[str, Mapping[str, Any]], now: datetime) -> dict[str, Ledger]:
    """The ledgers of all versions, not bounded yet."""
    marks = {name: len((version.get("fetch") or {}).get("unlisted", ())) for name, version in before.items()}
    found = {}
    for name, version in before.items():
        pods = [pod for pod in seen.pods if pod["metadata"].get("labels", {}).get(naming.LABEL_VERSION) == name]
        room = ledger.UNLISTED - sum(count for other, count in marks.items() if other != name)
        found[name] = ledger.update(version, pods, now, room=room)
    return found


def _autoscaler(
    plan: Plan, view: autoscaler_report.View | None, before: Mapping[str, Any], name: str
) -> dict[str, Manifest]:
    """What the status says of the autoscaler of a version; of one that was not rendered now only what cannot pass."""
    told: Manifest = before.get("autoscaler") or {}
    if view is not None:
        return {"autoscaler": autoscaler_report.status(view, told)}
    if name not in plan.frozen and name not in plan.invalid:
        return {}
    # Nobody looks at it any more: what it misses, and what limits it, would never end.
    kept: Manifest = {field: told[field] for field in ("engine", "lastScale") if field in told}
    return {"autoscaler": kept} if kept else {}


def _cards(
    model: InferenceModel, plan: Plan, ledgers: Mapping[str, Ledger], known: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Manifest], dict[str, str]]:
    """What the status says of the cards of versions that have some, and what there is to say of weights that do not fit them."""
    # Of what was not rendered now, because it is paused, frozen or refused, the pods are as they were.
    kept = {name: known.get(name, {}) for name in ledgers if name not in plan.images}
    blocks: dict[str, Manifest] = {
        name: {"accelerator": told["accelerator"]} for name, told in kept.items() if "accelerator" in told
    }
    large: dict[str, str] = {}
    for name, cards in plan.cards.items():
        version = resolve.resolve(model, name)
        blocks[name] = {"accelerator": cards_report.status(version, cards, ledgers[name], len(ledgers))}
        if words := cards_report.too_large(version, cards, ledgers[name]):
            large[name] = words
    return blocks, large


def _version(model: InferenceModel, seen: Observed, plan: Plan, name: str, book: Ledger, now: datetime) -> Version:
    live, pods = seen.deployment(name), seen.pods_of(name)
    wanted = wanted_replicas(live)
    ready = ready_pods(pods)
    done = rolled_out(live)
    problem: Problem | None = None
    if name in plan.invalid:
        bad = plan.invalid[name]
        reason = Reason.INVALID_SPEC if bad.reason not in set(Reason) else Reason(bad.reason)
        problem = Problem(reason, f"Version {name}, {bad.field}: {bad.message}")
    elif wanted and not done:
        # Pods of two templates are there at a time: one without a node is the additional one of the update.
        status = live.get("status", {}) if live else {}
        updating = ready > 0 and status.get("updatedReplicas", 0) < status.get("replicas", 0)
        telling = present(live, pods)
        asked = placement.asked_by(model, name, plan.cards.get(name), live, plan.accelerators)
        problem = (
            None
            if telling is None
            else diagnose(
                live, telling, updating=updating, explain=lambda pod: placement.explain(pod, asked, seen.nodes, now)
            )
        )
    note = _without_effect(model, name, account.newest(pods))
    return Version(name, ready, wanted, done, problem, book, weights(pods), note)


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


def _version_status(plan: Plan, version: Version, before: Mapping[str, Any], now: datetime, *, idle: bool) -> Manifest:
    status: Manifest = {
        "name": version.name,
        "state": _state(plan, version),
        "desiredReplicas": version.wanted,
        "readyReplicas": version.ready,
    }
    if idle:
        status["idleSince"] = before.get("idleSince") or conditions.timestamp(now)
    if version.name in plan.images:
        status["image"] = plan.images[version.name]
    if version.problem is not None:
        status["message"] = conditions.bounded(version.problem.message)
    elif version.note is not None:
        status["message"] = conditions.bounded(version.note)
    return status


def _state(plan: Plan, version: Version) -> str:
    routing = plan.routing
    if version.name in plan.frozen:
        return "Frozen"
    if version.ready > 0 and (version.name == plan.serving or version.name in {*routing.shares, *routing.rules}):
        return "Serving"
    if version.ready > 0 and version.name in routing.mirrors:
        return "Mirroring"
    if version.problem is not None and version.problem.terminal:
        return "Failed"
    if version.name in {plan.target, plan.serving} | plan.asked:
        return "Starting"
    return "Idle" if version.wanted else "Parked"


def _idle(plan: Plan, seen: Observed, versions: Iterable[Version]) -> frozenset[str]:
    """Versions with replicas that nothing asks for, and to which nothing leads any more: a write may have failed."""
    asked = {plan.target, plan.serving, seen.stable, *plan.asked, *plan.routing.shares, *live_route.read(seen).ends}
    return frozenset(version.name for version in versions if version.wanted > 0 and version.name not in asked)
