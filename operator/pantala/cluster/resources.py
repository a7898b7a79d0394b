"""The kinds that the operator reads and writes, and their paths in the API."""

from __future__ import annotations

from dataclasses import dataclass

from pantala import naming


@dataclass(frozen=True)
class Resource:
    """A kind of the Kubernetes API."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """As `apiVersion` in a manifest: `apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def title(self) -> str:
        """The plural as logs and metrics have it; two groups have `gateways`."""
        return f"{self.plural}.{self.group}" if self.plural == "gateways" else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection (of all namespaces, or of one), of an object or of its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)


MODEL = Resource(naming.GROUP, naming.VERSION, naming.KIND, naming.PLURAL)
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
SERVICE = Resource("", "v1", "Service", "services")
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps")
POD = Resource("", "v1", "Pod", "pods")
DISRUPTION_BUDGET = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
AUTOSCALER = Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
VIRTUAL_SERVICE = Resource("networking.istio.io", "v1", "VirtualService", "virtualservices")
DESTINATION_RULE = Resource("networking.istio.io", "v1", "DestinationRule", "destinationrules")
ENVOY_FILTER = Resource("networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters")
ISTIO_GATEWAY = Resource("networking.istio.io", "v1", "Gateway", "gateways")
AUTHORIZATION_POLICY = Resource("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies")
REQUEST_AUTHENTICATION = Resource("security.istio.io", "v1", "RequestAuthentication", "requestauthentications")
HTTP_ROUTE = Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
K8S_GATEWAY = Resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
EVENT = Resource("events.k8s.io", "v1", "Event", "events")
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")
NODE = Resource("", "v1", "Node", "nodes")
CLAIM_TEMPLATE = Resource("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
SCALED_OBJECT = Resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
SERVICE_MONITOR = Resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")

ROUTES = (VIRTUAL_SERVICE, HTTP_ROUTE)
"""Kinds that name Services and policies, and the hosts of a model."""
POLICIES = (DESTINATION_RULE, ENVOY_FILTER, AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION)
"""Kinds that a mesh applies to what a route leads to."""
GATEWAYS = (ISTIO_GATEWAY, K8S_GATEWAY)
"""Somebody else's. Both kinds are called Gateway, so they are in no map by kind."""
MESHES = (*POLICIES, *ROUTES, *GATEWAYS)
"""Kinds that come with a mesh or the Gateway API."""
ADDED = (SCALED_OBJECT, SERVICE_MONITOR)
"""Kinds by which KEDA and the Prometheus Operator are told of a model; nothing rests on them."""
FOREIGN = (*GATEWAYS, NODE)
"""What no label marks as ours: read only, and elsewhere than a model."""
OPTIONAL = (CLAIM_TEMPLATE, *MESHES, *ADDED)
"""Kinds that an API server may serve or not, and that may come and go while the operator runs."""

WRITTEN = (CONFIG_MAP, CLAIM_TEMPLATE, SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER, *POLICIES, *ROUTES, *ADDED)
"""Kinds of children, in the order in which they are written: what a pod needs comes before the Deployment, and a route,
which may only name what exists, behind what it names."""
WATCHED = (CONFIG_MAP, SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER, POD)
"""Kinds that every API server has and the cache always follows."""
BY_KIND = {resource.kind: resource for resource in (MODEL, *WATCHED, *WRITTEN, EVENT, LEASE)}


def wave(kind: str) -> int:
    """When a child of this kind is written: everything of a lower number has been written then."""
    if kind in {resource.kind for resource in ADDED}:
        return 3  # KEDA's webhook refuses a ScaledObject whose Deployment is not there
    if kind in {route.kind for route in ROUTES}:
        return 2
    return 1 if kind == DEPLOYMENT.kind or kind in {policy.kind for policy in POLICIES} else 0
