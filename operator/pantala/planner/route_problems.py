"""What keeps requests from going where the spec wants them, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pantala.api.model import InferenceModel
from pantala.api.traffic import Traffic
from pantala.planner import hosts as claims
from pantala.planner import live_route
from pantala.planner.observed import Mesh, Observed
from pantala.planner.shares import Standing
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic import gateway_api, istio, policies
from pantala.traffic.route import Refusal

NEED_MESH: tuple[tuple[str, Callable[[Traffic], object]], ...] = (
    ("traffic.split", lambda it: it.split and len([share for share in it.split if share.weight]) > 1),
    ("traffic.mirrors", lambda it: it.mirrors),
    ("traffic.rules", lambda it: it.rules),
    ("traffic.timeout", lambda it: it.timeout),
    ("traffic.retries", lambda it: it.retries),
    ("traffic.rateLimit", lambda it: it.rate_limit),
    ("traffic.access", lambda it: it.access),
    ("traffic.authentication", lambda it: it.authentication),
    ("traffic.cors", lambda it: it.cors),
    ("traffic.headers", lambda it: it.headers),
    ("traffic.limits", lambda it: it.limits),
    ("traffic.outlierDetection", lambda it: it.outlier_detection),
)
"""Fields that only a mesh carries out, and whether they ask for something."""


def without_mesh(model: InferenceModel) -> tuple[Problem, ...]:
    """What needs a mesh, where there is none."""
    traffic = model.spec.traffic
    fields = [name for name, asks in NEED_MESH if traffic is not None and asks(traffic)]
    expose = model.spec.expose
    if claims.wanted(model) and expose is not None:
        fields += ["expose.hosts"] if expose.hosts else ["expose"]
    if not fields:
        return ()
    words = (
        f"{', '.join(fields)}: without effect, because the cluster has neither Istio nor the Gateway API, or the installation "
        "uses none (traffic.mesh of the chart): all requests go to one version, by its Service. Install Istio (with "
        "networking.istio.io/v1) or the Gateway API; it is noticed within seconds."
    )
    return (Problem(Reason.MESH_MISSING, words),)


def refused(model: InferenceModel, mesh: Mesh) -> tuple[Problem, ...]:
    """What the mesh in use cannot do."""
    traffic = model.spec.traffic or Traffic()
    found: tuple[Refusal, ...]
    if mesh is Mesh.GATEWAY_API:
        found = gateway_api.refusals(traffic, model.spec.expose)
    else:
        found = (*istio.refusals(traffic, model.spec.expose), *policies.refusals(traffic))
    if not found:
        return ()
    words = [f"{refusal.field}: {refusal.message.rstrip('.')}." for refusal in found]
    if mesh is Mesh.GATEWAY_API:
        words.append("Istio can do all of it: install it, and set traffic.mesh of the chart to auto or istio.")
    words.append("A route that is there stays as it is meanwhile.")
    return (Problem(Reason.NOT_SUPPORTED, " ".join(words)),)


def unaccepted(seen: Observed, gateway: tuple[str, str] | None) -> list[Problem]:
    """What the controller of the gateway says against the live route."""
    if seen.mesh is not Mesh.GATEWAY_API:
        return []
    words = [text for route in live_route.routes(seen) if (text := gateway_api.problem(route, gateway)) is not None]
    said = f"{'; '.join(dict.fromkeys(words))}."
    return [Problem(Reason.ROUTE_NOT_ACCEPTED, said[0].upper() + said[1:])] if words else []


def unready(
    asked: Mapping[str, int], configured: Mapping[str, int], extras: frozenset[str], known: Mapping[str, Standing]
) -> list[Problem]:
    """Versions that do not get what they are asked to get, or that nobody would answer for."""
    down = [name for name in asked if name not in known or not known[name].ready]
    if dict(asked) == dict(configured) and not extras and not down:
        return []
    names = dict.fromkeys([*(name for name in asked if name not in configured), *down, *sorted(extras)])
    ready = [name for name in names if name in known and known[name].ready]
    words = []
    if rest := [name for name in names if name not in ready]:
        words.append(f"Version {' and '.join(rest)} has no ready replica.")
    if ready:
        words.append(f"Version {' and '.join(ready)} has just become ready and gets requests soon.")
    if any(known[name].ready for name in configured if name in known):
        shown = ", ".join(f"{name} ({weight} %)" for name, weight in configured.items())
        words.append(f"Meanwhile requests go to {shown}.")
    else:
        words.append("No version answers; the shares stay as they are.")
    return [Problem(Reason.VERSION_NOT_READY, " ".join(words))]
