"""The kinds that the operator reads and writes, and their paths in the API."""

from __future__ import annotations

from dataclasses import dataclass

from pantala import naming


@dataclass(frozen=True)
class Resource:
    """A namespaced kind of the Kubernetes API."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """As `apiVersion` in a manifest: `apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

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
EVENT = Resource("events.k8s.io", "v1", "Event", "events")
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")

WRITTEN = (CONFIG_MAP, SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER)
"""Kinds of children, in the order in which they are written: what a pod needs comes before the Deployment."""
WATCHED = (*WRITTEN, POD)
"""Kinds that the cache follows."""
BY_KIND = {resource.kind: resource for resource in (MODEL, *WATCHED, EVENT, LEASE)}
