"""What the status says of the way of requests: shares as asked, as configured and as counted, and `TrafficReady`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pantala.manifest.types import Manifest
from pantala.planner import live_route, measured, routing
from pantala.planner.observed import Mesh, Observed
from pantala.planner.plan import Plan
from pantala.status.conditions import Condition
from pantala.status.problem import Problem
from pantala.status.reasons import Reason


def traffic(plan: Plan, seen: Observed) -> list[Manifest]:
    """The entries of `status.traffic`, one for each version that gets requests or copies, or is asked to.

    Args:
        plan: What was planned.
        seen: What the cluster holds after the plan's writes: its route tells what is configured.
    """
    if plan.routing.mesh is Mesh.NONE:
        return []
    live = live_route.read(seen)
    names = dict.fromkeys([*plan.routing.asked, *live.shares, *plan.routing.mirrors, *live.mirrors])
    entries = [_entry(plan, live, name) for name in names]
    return measured.merged(entries, seen.measured, (seen.model.get("status") or {}).get("traffic") or ())


def _entry(plan: Plan, live: live_route.Live, name: str) -> Manifest:
    entry: Manifest = {"version": name}
    if name in plan.routing.asked:
        entry["asked"] = plan.routing.asked[name]
    if name in plan.routing.asked or name in live.shares:
        entry["configured"] = live.shares.get(name, 0)
    if name in live.mirrors:
        entry["mirror"] = live.mirrors[name]
    return entry


def condition(plan: Plan, unwritten: Iterable[Problem], *, ports: bool) -> Condition | None:
    """Whether requests go where the spec wants them; nothing is said where no mesh is there and none is asked for.

    Args:
        plan: What was planned.
        unwritten: What kept objects from being written.
        ports: Whether a Service of the model's leads to one version from outside.
    """
    made = plan.routing
    if wrong := [*(problem for problem in unwritten if problem.about in routing.OBJECTS), *made.problems]:
        words = " ".join(problem.message for problem in wrong)
        return Condition("TrafficReady", status=False, reason=wrong[0].reason, message=words)
    if made.mesh is Mesh.NONE:
        return None
    return Condition("TrafficReady", status=True, reason=Reason.ROUTED, message=_words(plan, ports=ports))


def _words(plan: Plan, *, ports: bool) -> str:
    made = plan.routing
    shares = ", ".join(f"{name} ({weight} %)" for name, weight in made.shares.items())
    words = f"Requests go to {shares}."
    if made.mirrors:
        words += f" Copies go to {', '.join(f'{name} ({share} %)' for name, share in made.mirrors.items())}."
    if ports and len(made.shares) > 1:
        words += f" Node ports and load balancers reach version {plan.serving} only."
    return words
