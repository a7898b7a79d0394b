"""The hosts of a model at a gateway: which it may have, and who has those that it may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pantala.api.model import InferenceModel
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest
from pantala.planner.observed import Observed, Rival
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic import gateways
from pantala.traffic.gateways import Listener


@dataclass(frozen=True)
class Exposure:
    """How a model is exposed by a gateway."""

    hosts: tuple[str, ...] = ()
    """Hosts that are its own."""
    gateway: tuple[str, str] | None = None
    """Namespace and name of the gateway; None: none leads to it."""
    listener: Listener | None = None
    """What of the gateway takes the first host; None: unknown, or nothing does."""
    problems: tuple[Problem, ...] = ()


def wanted(model: InferenceModel) -> bool:
    """Whether a gateway is to lead to the model."""
    expose = model.spec.expose
    if expose is None:
        return False
    asked = expose.hosts is not None or expose.gateway_ref is not None or expose.prefix is not None
    return asked or (expose.node_port is None and expose.load_balancer is None)


def automatic(name: str, namespace: str, domain: str) -> str:
    """The host of a model that names none."""
    return f"{name}.{namespace}.{domain}".lower()


def domains_of(namespace: str, allowed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The domains below which hosts of a namespace may be; None: any.

    Args:
        namespace: Of the model.
        allowed: As in `Settings.allowed_domains`.
    """
    return allowed.get(namespace, allowed.get("*"))


def is_reserved(host: str, namespace: str, domain: str | None) -> bool:
    """Whether a host is an automatic one of another namespace: whoever took it first would keep it from its model.

    Args:
        host: The host.
        namespace: Of the model that asks for it.
        domain: As in `Settings.domain`.
    """
    if domain is None or not is_below(host, (domain,)):
        return False
    *rest, space = host.lower().removesuffix(domain.lower()).rstrip(".").split(".")
    return bool(rest) and space != namespace


def is_below(host: str, domains: Iterable[str]) -> bool:
    """Whether a host is one of the domains or below one, without regard to case (RFC 4343)."""
    return any(host.lower() == domain or host.lower().endswith(f".{domain}") for domain in map(str.lower, domains))


def exposure(model: InferenceModel, seen: Observed, settings: Settings, live: tuple[str, ...]) -> Exposure:
    """The hosts that a model gets, with what stands in the way of others.

    Args:
        model: The resource.
        seen: What the cluster holds; `rivals` are the other models that claim its hosts.
        settings: The installation's domain, gateway, and who may use which domains.
        live: The hosts that its live route has.
    """
    expose = model.spec.expose
    if expose is None or not wanted(model):
        return Exposure()
    hosts, problems = _claimed(model, settings)
    granted = []
    for host in hosts:
        owner = _owner(model, seen, host, holds=host in live)
        if owner is None:
            granted.append(host)
        else:
            problems.append(_conflict(host, owner))
    gateway = settings.gateway
    if expose.gateway_ref is not None:
        gateway = (expose.gateway_ref.namespace or model.metadata.namespace, expose.gateway_ref.name)
    if gateway is None:
        step = "Name one in expose.gatewayRef, or have the installation make one (gateway.create of the chart)."
        problems.append(
            Problem(Reason.GATEWAY_MISSING, f"No gateway leads to the model: there is no default one. {step}")
        )
        return Exposure(problems=tuple(problems))
    listener, more = _listener(model, seen, gateway, granted)
    return Exposure(tuple(granted), gateway, listener, (*problems, *more))


def _claimed(model: InferenceModel, settings: Settings) -> tuple[tuple[str, ...], list[Problem]]:
    """The hosts that the spec asks for and the namespace may use."""
    expose, meta = model.spec.expose, model.metadata
    if expose is None or expose.hosts is None:
        if settings.domain is None:
            step = "Write expose.hosts, or give the installation a domain (traffic.domain of the chart)."
            words = f"The model has no host: the installation has no domain for automatic ones. {step}"
            return (), [Problem(Reason.HOST_MISSING, words)]
        return (automatic(meta.name, meta.namespace, settings.domain),), []
    free = tuple(host for host in expose.hosts if not is_reserved(host, meta.namespace, settings.domain))
    problems = []
    if taken := [host for host in expose.hosts if host not in free]:
        words = (
            f"The host {' and '.join(taken)} is kept for another namespace: hosts NAME.NAMESPACE.{settings.domain} are given "
            "by themselves. Take another host, or remove expose.hosts to get the model's own."
        )
        problems.append(Problem(Reason.HOST_NOT_ALLOWED, words))
    allowed = domains_of(meta.namespace, settings.allowed_domains)
    fine = tuple(host for host in free if allowed is None or is_below(host, allowed))
    if refused := [host for host in free if host not in fine]:
        step = f"Take a host below {' or '.join(allowed)}" if allowed else "Remove expose.hosts"
        words = (
            f"Namespace {meta.namespace} may not use the host {' and '.join(refused)}. {step}, or have the installation allow "
            "it (traffic.allowedDomains of the chart)."
        )
        problems.append(Problem(Reason.HOST_NOT_ALLOWED, words))
    return fine, problems


def _owner(model: InferenceModel, seen: Observed, host: str, *, holds: bool) -> Rival | None:
    """The model that has the host in place of this one: who holds it keeps it, else the oldest gets it."""
    meta = model.metadata
    prefix = (model.spec.expose.prefix if model.spec.expose else None) or "/"
    mine = (not holds, meta.creation_timestamp or "", meta.namespace, meta.name)
    rivals = [rival for rival in seen.rivals.get(host, ()) if _overlap(rival.prefix, prefix)]
    first = min(rivals, key=_rank, default=None)
    return first if first is not None and _rank(first) < mine else None


def _rank(rival: Rival) -> tuple[bool, str, str, str]:
    return (not rival.holds, rival.created, rival.namespace, rival.name)


def _overlap(one: str, other: str) -> bool:
    """Whether a path can lie below both prefixes."""
    first, second = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return first.startswith(second) or second.startswith(first)


def _conflict(host: str, owner: Rival) -> Problem:
    where = f" below {owner.prefix}" if owner.prefix != "/" else ""
    step = "Choose another host, or different prefixes in expose.prefix for both."
    return Problem(
        Reason.HOST_CONFLICT,
        f"The host {host} belongs to InferenceModel {owner.namespace}/{owner.name}{where}, which had it first. {step}",
    )


def _listener(
    model: InferenceModel, seen: Observed, name: tuple[str, str], hosts: list[str]
) -> tuple[Listener | None, list[Problem]]:
    """What of the gateway takes the first host; a gateway that is not there, or does not take a host, is a problem."""
    if seen.gateways is None:
        return None, []
    found: Manifest | None = seen.gateways.get(name)
    if found is None:
        step = "Create it, or name another one in expose.gatewayRef."
        return None, [Problem(Reason.GATEWAY_MISSING, f"Gateway {name[0]}/{name[1]} does not exist. {step}")]
    namespace = model.metadata.namespace
    listeners = {host: gateways.listener(found, host, namespace) for host in hosts}
    deaf = [host for host, listener in listeners.items() if listener is None]
    problems = []
    if deaf:
        step = "Add a server (of Istio) or a listener (of the Gateway API) for it, or take a host that it has."
        words = (
            f"Gateway {name[0]}/{name[1]} takes no requests for {' and '.join(deaf)} from namespace {namespace}. {step}"
        )
        problems.append(Problem(Reason.HOST_NOT_SERVED, words))
    return next((listener for listener in listeners.values() if listener is not None), None), problems
