"""What the sidecars of a model's replicas enforce, as objects of Istio.

Policies live in the model's namespace and select its pods, so they hold for every way in: gateway, mesh and NodePort. Where
a pod has no sidecar nothing holds (`route.protected` names the fields). Istio's injection makes kubelets ask the sidecar's
agent for the health of a container (`rewriteAppHTTPProbers`, its default); without that their probes are requests like
others.
"""

from collections.abc import Iterator

from pantala.api.traffic import Traffic
from pantala.manifest.types import Manifest
from pantala.traffic import authentication
from pantala.traffic.access import access
from pantala.traffic.api_keys import api_keys
from pantala.traffic.body_size import body_size
from pantala.traffic.rate_limit import rate_limit
from pantala.traffic.route import Refusal, Route


def objects(route: Route) -> list[Manifest]:
    """All policies of a model, in an order in which they are safe to be written: what refuses before what opens.

    None while no version has replicas: then there is no port to guard, and nobody who answers.
    """
    return list(_objects(route)) if route.client_ports else []


def refusals(traffic: Traffic) -> list[Refusal]:
    """What of the user's wishes Istio would refuse to take."""
    wanted = traffic.authentication
    return authentication.refusals(wanted.jwt) if wanted and wanted.jwt else []


def _objects(route: Route) -> Iterator[Manifest]:
    traffic = route.traffic
    if traffic.authentication and traffic.authentication.jwt:
        yield from authentication.jwt(route, traffic.authentication.jwt)
    if traffic.authentication and traffic.authentication.api_keys:
        yield api_keys(route, traffic.authentication.api_keys)
    if traffic.rate_limit:
        yield rate_limit(route, traffic.rate_limit)
    if traffic.limits and traffic.limits.max_body_size:
        yield body_size(route, traffic.limits.max_body_size)
    if traffic.access:
        yield from access(route, traffic.access)
