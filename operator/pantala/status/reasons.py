"""Reasons of conditions and events: one CamelCase word each, listed in docs/conditions.md."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition has its status."""

    # Nothing is wrong.
    ACCEPTED = "Accepted"
    """The resource can be served as it is written."""
    SERVING = "Serving"
    """The version that has the traffic answers."""
    FETCHED = "Fetched"
    """The weights of the target version are on a node, verified."""
    FELL_BACK = "FellBack"
    """The weights are there, but replicas read the store because peers did not deliver."""
    PAUSED = "Paused"
    """`spec.paused` is set: nothing is changed until it is not. Of measures: KEDA is paused by an annotation."""

    # On the way.
    STARTING = "Starting"
    """The pods are being made, fetched, loaded."""
    ROLLING_OUT = "RollingOut"
    """The version answers and its pods are being replaced."""
    REPLACING = "Replacing"
    """The old version answers until the new one is ready."""

    # The resource or its surroundings.
    INVALID_SPEC = "InvalidSpec"
    """A field has a value that cannot work."""
    API_MISSING = "APIMissing"
    """A version needs a kind of object that the cluster does not serve."""
    NAME_CONFLICT = "NameConflict"
    """Another object, not of this model, has the name of a child."""
    REJECTED = "Rejected"
    """The API server refuses a child as it would have to be."""
    FORBIDDEN = "Forbidden"
    """The operator lacks a right that it needs in this namespace."""
    WEBHOOK_FAILED = "WebhookFailed"
    """An admission webhook of the cluster does not answer."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """A ResourceQuota of the namespace has no room for the pods."""
    LIMIT_RANGE = "LimitRange"
    """A LimitRange of the namespace does not allow what the pods ask for."""
    POD_SECURITY = "PodSecurity"
    """The Pod Security level of the namespace does not allow the pods."""
    PODS_REJECTED = "PodsRejected"
    """The API server refuses the pods."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has what the pod asks for."""
    NO_GPU = "NoGPU"
    """All cards that would do are taken."""
    CARDS_MISSING = "CardsMissing"
    """No node offers such cards."""
    ASKED_TOO_MUCH = "AskedTooMuch"
    """No node has that many cards, or no card that much memory."""
    CARDS_NOT_SELECTED = "CardsNotSelected"
    """The nodes that have the cards are not among those that the pod may use."""
    CARDS_TAINTED = "CardsTainted"
    """The nodes that have the cards keep the pod away."""
    CARDS_REFUSED = "CardsRefused"
    """A node did not hand out the cards that a scheduler had chosen there."""
    CLAIM_MISSING = "ClaimMissing"
    """Kubernetes did not make the pod's claim of devices."""
    SCHEDULER_MISSING = "SchedulerMissing"
    """The scheduler that must place the pod did not see it."""
    NO_ROOM_TO_SURGE = "NoRoomToSurge"
    """The additional pod of an update fits on no node."""

    # The pod.
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """An image cannot be pulled."""
    SECRET_MISSING = "SecretMissing"  # noqa: S105 -- a reason, not a password
    """A Secret, a ConfigMap or one of its keys that a container needs does not exist."""
    CONTAINER_FAILED = "ContainerFailed"
    """The container cannot be created or started."""
    EVICTED = "Evicted"
    """The node threw the pod out."""

    # The weights: the fetcher's own words (pantala.errors.FetchFailure).
    WEIGHTS_NOT_FOUND = "WeightsNotFound"
    """The store has nothing under this URI."""
    WEIGHTS_DENIED = "WeightsDenied"
    """The store refuses the credentials."""
    DISK_FULL = "DiskFull"
    """The weights do not fit on the volume."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The weights are not those that the digest promises."""
    WEIGHTS_CHANGED = "WeightsChanged"
    """The weights were replaced while they were being read."""
    WEIGHTS_INVALID = "WeightsInvalid"
    """What lies under the URI is not a model for this runtime."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """The store does not answer."""
    PEERS_UNAVAILABLE = "PeersUnavailable"
    """Peers do not deliver, and the store may not be read in their place."""
    PEERS_UNSUPPORTED = "PeersUnsupported"
    """Peers cannot be asked for this store, and the store may not be read in their place."""
    WEIGHTS_DIFFER = "WeightsDiffer"
    """Replicas of one version have different weights."""
    FETCH_FAILED = "FetchFailed"
    """The fetcher ended without a word."""

    # The server.
    MODEL_LOAD_FAILED = "ModelLoadFailed"
    """The model server cannot load the model."""
    MODEL_TOO_LARGE = "ModelTooLarge"
    """The weights are larger than the memory of the cards that was granted."""
    OUT_OF_MEMORY = "OutOfMemory"
    """A container was killed at its memory limit."""
    RESTART_LOOP = "RestartLoop"
    """The model server ends again and again."""
    STARTUP_TIMEOUT = "StartupTimeout"
    """The pods did not get ready within `runtime.startupTimeout`."""

    # The way of requests.
    ROUTED = "Routed"
    """The live route gives every version the share that the spec asks for."""
    VERSION_NOT_READY = "VersionNotReady"
    """A version that is to get requests or copies is not ready: others get its share meanwhile."""
    MESH_MISSING = "MeshMissing"
    """The spec asks for what only a mesh can do, and the cluster has none."""
    NOT_SUPPORTED = "NotSupported"
    """The spec asks for what the mesh in use cannot do."""
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    """The gateway does not take the route."""
    NOT_ENFORCED = "NotEnforced"
    """Replicas have no sidecar, which alone could enforce what the spec asks for."""
    HOST_CONFLICT = "HostConflict"
    """Another model has the host."""
    HOST_NOT_ALLOWED = "HostNotAllowed"
    """The namespace may not use the host."""
    HOST_MISSING = "HostMissing"
    """The model is to be exposed, and has no host."""
    HOST_NOT_SERVED = "HostNotServed"
    """The gateway takes no requests for the host."""
    GATEWAY_MISSING = "GatewayMissing"
    """The gateway does not exist, or there is none to be used."""

    # The measures of autoscalers.
    METRICS_FOUND = "MetricsFound"
    """The autoscaler has a value of every measure."""
    NO_METRICS_API = "NoMetricsAPI"
    """The cluster does not serve the API by which an autoscaler reads measures, or it does not answer."""
    ADAPTER_RULE_MISSING = "AdapterRuleMissing"
    """Prometheus has the series, but the metrics adapter does not offer it."""
    RECORDING_RULE_MISSING = "RecordingRuleMissing"
    """Prometheus has what the exporter measures, but not the series that is made of it."""
    NO_SERIES = "NoSeries"
    """Prometheus has nothing of what the measure is made of."""
    WRONG_LABELS = "WrongLabels"
    """Prometheus has the exporter's series, but they do not name the replicas."""
    SHARED_DEVICE_METRIC = "SharedDeviceMetric"
    """What is measured is the whole card, which other pods share."""
    PROMETHEUS_UNREACHABLE = "PrometheusUnreachable"
    """A measure is missing, and Prometheus does not answer the operator's question why."""
    KEDA_MISSING = "KEDAMissing"
    """The spec asks for KEDA, and the cluster does not have it."""
    TRIGGER_FAILED = "TriggerFailed"
    """KEDA cannot read a measure."""
    AUTOSCALER_CONFLICT = "AutoscalerConflict"
    """Another autoscaler is at work on the same pods."""
    METRIC_FAILED = "MetricFailed"
    """The autoscaler cannot read a measure, and only it knows why."""


TERMINAL = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.API_MISSING,
        Reason.NAME_CONFLICT,
        Reason.REJECTED,
        Reason.FORBIDDEN,
        Reason.QUOTA_EXCEEDED,
        Reason.LIMIT_RANGE,
        Reason.POD_SECURITY,
        Reason.PODS_REJECTED,
        Reason.UNSCHEDULABLE,
        Reason.NO_ROOM_TO_SURGE,
        Reason.IMAGE_PULL_FAILED,
        Reason.SECRET_MISSING,
        Reason.CONTAINER_FAILED,
        Reason.WEIGHTS_NOT_FOUND,
        Reason.WEIGHTS_DENIED,
        Reason.DISK_FULL,
        Reason.DIGEST_MISMATCH,
        Reason.WEIGHTS_INVALID,
        Reason.PEERS_UNSUPPORTED,
        Reason.MODEL_LOAD_FAILED,
        Reason.OUT_OF_MEMORY,
        Reason.RESTART_LOOP,
        Reason.STARTUP_TIMEOUT,
        Reason.MESH_MISSING,
        Reason.NOT_SUPPORTED,
        Reason.NOT_ENFORCED,
        Reason.HOST_CONFLICT,
        Reason.HOST_NOT_ALLOWED,
        Reason.HOST_MISSING,
        Reason.HOST_NOT_SERVED,
        Reason.GATEWAY_MISSING,
    }
)
"""Reasons that pass only when somebody changes something: they set `Stalled`. All others are waited out."""

WAITING = frozenset(
    {
        Reason.NO_GPU,
        Reason.CARDS_MISSING,
        Reason.ASKED_TOO_MUCH,
        Reason.CARDS_NOT_SELECTED,
        Reason.CARDS_TAINTED,
        Reason.CARDS_REFUSED,
        Reason.CLAIM_MISSING,
        Reason.SCHEDULER_MISSING,
    }
)
"""Reasons of a pod that waits for cards: the cluster may get them at any time, so nothing is stalled."""
