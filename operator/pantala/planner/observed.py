"""What the cluster holds of one model, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pantala import naming
from pantala.manifest.types import Manifest, Ref
from pantala.planner.measured import Measurements
from pantala.planner.probed import Findings

REPLICAS_OWNERS = "replicasOwners"
"""Key that the cache adds to a Deployment's metadata: the field managers that own `spec.replicas`."""

SCALED = "scaledStatus"
"""Key that the cache adds to the metadata of an autoscaler: its status at the moment of the last change that the operator saw."""


class Mesh(StrEnum):
    """The API by which routes are written."""

    ISTIO = "istio"
    GATEWAY_API = "gateway-api"
    NONE = "none"


def choose_mesh(wanted: str, *, istio: bool, gateway_api: bool) -> Mesh:
    """The API in use.

    Args:
        wanted: What the installation asks for: `auto`, or a value of `Mesh`. `auto` takes Istio where both are there.
        istio: Whether VirtualServices can be written.
        gateway_api: Whether HTTPRoutes can be written.

    Returns:
        `Mesh.NONE` also where what is wanted is not there.
    """
    if istio and wanted in {"auto", Mesh.ISTIO}:
        return Mesh.ISTIO
    if gateway_api and wanted in {"auto", Mesh.GATEWAY_API}:
        return Mesh.GATEWAY_API
    return Mesh.NONE


class Availability(StrEnum):
    """Whether objects of a kind can be written."""

    SERVED = "served"
    ABSENT = "absent"
    """The API server does not serve the kind."""
    FORBIDDEN = "forbidden"
    """The operator may not watch it."""


@dataclass(frozen=True)
class Rival:
    """Another model that claims a host."""

    namespace: str
    name: str
    created: str
    """Its creationTimestamp; whole seconds, so two models may have the same."""
    prefix: str
    """The path under which it is exposed; `/` if it names none."""
    holds: bool
    """Whether its live route has the host."""


@dataclass(frozen=True)
class Observed:
    """One model and all that belongs to it."""

    model: Manifest
    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    mesh: Mesh = Mesh.NONE
    """The API of routes that the cluster has and the installation wants."""
    gateways: Mapping[tuple[str, str], Manifest] | None = None
    """Gateways of the mesh in use by namespace and name, with the spec and what matters of the status. None: they
    cannot be known, because the operator has rights in some namespaces only, or none on Gateways."""
    assume_ready: bool = False
    """Whether every version counts as ready: for rendering what is to be, without a cluster."""
    measured: Measurements = field(default_factory=dict)
    """What was counted of the requests of its versions. Empty: nothing is known."""
    probed: Findings = field(default_factory=dict)
    """What was found out about measures that its autoscalers have no value of."""
    rivals: Mapping[str, tuple[Rival, ...]] = field(default_factory=dict)
    """Hosts (in lower case) of this model that other models claim as well, with those models, oldest first."""
    nodes: tuple[Manifest, ...] | None = None
    """All nodes of the cluster by name, with labels, taints, extended resources and the vendors' annotations. None: they
    cannot be known, because the operator may not see them."""

    claim_templates: Availability = Availability.SERVED
    """Whether ResourceClaimTemplates can be written."""
    scaled_objects: Availability = Availability.SERVED
    """Whether ScaledObjects can be written: whether KEDA is there."""
    service_monitors: Availability = Availability.SERVED
    """Whether ServiceMonitors can be written: whether the Prometheus Operator is there."""

    @property
    def namespace(self) -> str:
        """Namespace of the model."""
        return str(self.model["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.model["metadata"]["name"])

    def child(self, kind: str, name: str) -> Manifest | None:
        """A child of this model by kind and name; None as well where a stranger has that name."""
        found = self.children.get(Ref(kind, self.namespace, name))
        return found if found is not None and self.owns(found) else None

    def owns(self, obj: Manifest) -> bool:
        """Whether this very model (by uid) controls an object."""
        return any(
            owner.get("controller") and owner.get("uid") == self.model["metadata"]["uid"]
            for owner in obj["metadata"].get("ownerReferences", ())
        )

    def deployment(self, version: str) -> Manifest | None:
        """The Deployment of a version."""
        return self.child("Deployment", naming.child_name(self.name, version))

    def versions(self) -> frozenset[str]:
        """Versions that have at least one object in the cluster."""
        return frozenset(
            label
            for obj in self.children.values()
            if self.owns(obj) and (label := obj["metadata"].get("labels", {}).get(naming.LABEL_VERSION))
        )

    def pods_of(self, version: str) -> tuple[Manifest, ...]:
        """Pods of a version, those on their way out left out."""
        return tuple(
            pod
            for pod in self.pods
            if pod["metadata"].get("labels", {}).get(naming.LABEL_VERSION) == version
            and "deletionTimestamp" not in pod["metadata"]
        )

    @property
    def stable(self) -> str | None:
        """The version that the model's Service selects: the one with the traffic. None before there is a Service."""
        service = self.child("Service", self.name)
        if service is not None:
            version: str | None = service["spec"].get("selector", {}).get(naming.LABEL_VERSION)
            return version
        # Somebody deleted the Service: it must come back where it was, not where it shall be once that is ready.
        told = (self.model.get("status") or {}).get("version")
        live = self.deployment(told) if told else None
        return told if wanted_replicas(live) else None


def wanted_replicas(deployment: Manifest | None) -> int:
    """How many replicas a Deployment asks for; 0 where there is none."""
    return int(deployment["spec"].get("replicas", 1)) if deployment is not None else 0


def rolled_out(deployment: Manifest | None) -> bool:
    """Whether all replicas of a Deployment run its present template and are available."""
    if deployment is None:
        return False
    status = deployment.get("status", {})
    wanted = wanted_replicas(deployment)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("availableReplicas", 0) >= wanted
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
        and wanted > 0
    )


def ready_pods(pods: tuple[Manifest, ...]) -> int:
    """How many of the pods answer requests."""
    return sum(
        any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in pod.get("status", {}).get("conditions", ())
        )
        for pod in pods
    )
