"""`traffic.access`: who may ask what, as Istio's AuthorizationPolicies."""

from collections.abc import Iterable

from pantala.api.traffic import Access, AccessEntry
from pantala.manifest.types import Manifest
from pantala.traffic.envoy_filter import metadata, selector
from pantala.traffic.route import Route


def access(route: Route, lists: Access) -> list[Manifest]:
    """The policies of both lists, what is denied first."""
    ports = texts(route.client_ports)
    made = []
    if lists.deny:
        rules = [_rule(entry, ports) for entry in lists.deny]
        made.append(authorization_policy(route, "deny", "DENY", rules))
    if lists.allow:
        # With an ALLOW policy everything that none allows is refused, at every port of the pod: metrics and health, too.
        others = {"to": [{"operation": {"notPorts": ports}}]}
        rules = [_rule(entry, ports) for entry in lists.allow]
        made.append(authorization_policy(route, "allow", "ALLOW", [*rules, others]))
    return made


def authorization_policy(route: Route, suffix: str, action: str, rules: list[Manifest]) -> Manifest:
    """An AuthorizationPolicy for the model's pods.

    Args:
        route: Whose pods.
        suffix: End of the object's name, behind that of the model.
        action: DENY, which goes first, or ALLOW.
        rules: At least one; in Istio a policy without rules never fits, so ALLOW would shut the model off.
    """
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": metadata(route, suffix),
        "spec": {"selector": {"matchLabels": selector(route)}, "action": action, "rules": rules},
    }


def texts(ports: Iterable[int]) -> list[str]:
    """Ports as Istio's security API has them."""
    return [str(port) for port in ports]


def _rule(entry: AccessEntry, ports: list[str]) -> Manifest:
    """One rule: Istio's `from` and `to` must both fit, and so must all fields inside of each."""
    source = _given(namespaces=entry.namespaces, ipBlocks=entry.ip_blocks, remoteIpBlocks=entry.remote_ip_blocks)
    operation = {"ports": ports, **_given(paths=entry.paths, methods=entry.methods)}
    rule: Manifest = {"from": [{"source": source}]} if source else {}
    return rule | {"to": [{"operation": operation}]}


def _given(**fields: tuple[str, ...] | None) -> dict[str, list[str]]:
    return {name: list(values) for name, values in fields.items() if values}
