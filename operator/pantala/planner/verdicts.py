"""What is true of a model, as conditions: the verdict on a plan and the versions that came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pantala.planner import traffic_report
from pantala.planner.ledger import Ledger
from pantala.planner.plan import Plan
from pantala.planner.weights import Weights
from pantala.status.conditions import Condition
from pantala.status.problem import Problem
from pantala.status.reasons import Reason


@dataclass(frozen=True)
class Version:
    """What is known of one version after a pass."""

    name: str
    ready: int
    wanted: int
    rolled_out: bool
    problem: Problem | None
    ledger: Ledger
    weights: Weights
    note: str | None = None
    """What the user should know although nothing is in the way."""


def verdicts(
    plan: Plan, versions: Mapping[str, Version], problems: tuple[Problem, ...], *, routed: bool, ports: bool = False
) -> list[Condition]:
    """The conditions of a model.

    Args:
        plan: What was planned.
        versions: What came of it, by name; the plan's target is among them.
        problems: What kept children from being written.
        routed: Whether the model's own Service selects the version that is to answer.
        ports: Whether node ports or a load balancer lead to one version.
    """
    target, serving = versions[plan.target], versions.get(plan.serving)
    invalid = [version.problem for version in versions.values() if version.name in plan.invalid and version.problem]
    # Pods that the namespace forbids are a matter of the resource: no node or store will make it better.
    forbidden = [
        item for item in (target.problem, serving and serving.problem) if item and item.reason is Reason.POD_SECURITY
    ]
    astray = plan.routing.problems
    unsupported = [problem for problem in astray if problem.reason is Reason.NOT_SUPPORTED]
    refused = (*problems, *invalid, *dict.fromkeys(forbidden), *unsupported)
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
    distributed = _distributed(target, versions)
    if distributed is not None:
        found.append(distributed)
    if (traffic := traffic_report.condition(plan, problems, ports=ports)) is not None:
        found.append(traffic)
    trouble = trouble or next(iter(astray), None)
    settled = plan.serving == plan.target and target.rolled_out and not plan.frozen and not refused and not astray
    if not settled and not plan.paused:
        if trouble is not None and trouble.terminal:
            found.append(Condition("Stalled", status=True, reason=trouble.reason, message=trouble.message))
        else:
            found.append(_progress(plan, target, trouble, answers=answers))
    return found


def _ready(
    plan: Plan, target: Version, serving: Version | None, trouble: Problem | None, *, answers: bool
) -> Condition:
    if answers and serving is not None:
        rest = "" if plan.serving == plan.target else f" Version {plan.target} does not have the traffic yet."
        return Condition("Ready", status=True, reason=Reason.SERVING, message=f"Version {serving.name} answers.{rest}")
    if trouble is not None:
        return Condition("Ready", status=False, reason=trouble.reason, message=trouble.message)
    return Condition("Ready", status=False, reason=Reason.STARTING, message=_waiting(target))


def _waiting(target: Version) -> str:
    return f"Version {target.name} is starting; no replica is ready yet."


def _progress(plan: Plan, target: Version, trouble: Problem | None, *, answers: bool) -> Condition:
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
        Reason.PEERS_UNAVAILABLE,
        Reason.PEERS_UNSUPPORTED,
        Reason.FETCH_FAILED,
        Reason.SECRET_MISSING,
    }
)


def _distributed(target: Version, versions: Mapping[str, Version]) -> Condition | None:
    """Whether the target's weights arrived, and are the same everywhere; nothing is said before a replica has tried."""
    if target.problem is not None and target.problem.reason in _FETCH_REASONS:
        return Condition("Distributed", status=False, reason=target.problem.reason, message=target.problem.message)
    for version in (target, *versions.values()):
        if words := version.weights.difference(version.name):
            return Condition("Distributed", status=False, reason=Reason.WEIGHTS_DIFFER, message=words)
    if not target.ledger.entries and not target.ledger.totals and not target.rolled_out:
        return None
    if words := target.weights.detour(target.name):
        return Condition("Distributed", status=True, reason=Reason.FELL_BACK, message=words)
    message = f"The weights of version {target.name} arrived."
    return Condition("Distributed", status=True, reason=Reason.FETCHED, message=message)
