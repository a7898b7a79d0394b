"""Blocks that end up in the pod template: environment, resources, cards, the template subset, the update strategy."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from pantala.api.base import (
    Block,
    IntOrPercent,
    Label,
    NameRef,
    ObjectName,
    Path,
    Quantity,
    ShortText,
    atomic,
    list_map,
)

EnvName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
KeyName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelMap = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)]


class KeyRef(Block):
    """One key of a Secret or ConfigMap."""

    name: ObjectName = Field(examples=["tokens"])
    """Name of the Secret or ConfigMap, in the namespace of the model."""
    key: KeyName = Field(examples=["api-key"])
    """Key inside it."""
    optional: bool | None = None
    """Whether the pod may start without it. Default: false."""


class FieldRef(Block):
    """A field of the pod itself."""

    field_path: ShortText = Field(examples=["metadata.name"])
    """Path of the field, such as metadata.name, spec.nodeName or status.podIP."""


class ResourceFieldRef(Block):
    """A resource of the server's container."""

    resource: ShortText = Field(examples=["limits.memory"])
    """Resource to read, such as limits.memory."""
    divisor: Quantity | None = Field(default=None, examples=["1Mi"])
    """Unit that the value is divided by. Default: 1."""


class EnvSource(Block):
    """Where the value of a variable comes from: set exactly one."""

    secret_key_ref: KeyRef | None = None
    """A key of a Secret. Default: none."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap. Default: none."""
    field_ref: FieldRef | None = None
    """A field of the pod. Default: none."""
    resource_field_ref: ResourceFieldRef | None = None
    """A resource of the server's container. Default: none."""


class EnvVar(Block):
    """One environment variable of the model server."""

    name: EnvName = Field(examples=["OMP_NUM_THREADS"])
    """Name of the variable. Names that the operator sets itself, and names that begin with PANTALA_, are rejected."""
    value: Annotated[str, Field(max_length=4096)] | None = Field(default=None, examples=["4"])
    """Its value. Default: empty."""
    value_from: EnvSource | None = None
    """Where the value comes from, in place of `value`. Default: none."""


Quantities = Annotated[dict[str, Quantity], Field(max_length=8)]


class Resources(Block):
    """What one replica needs, for the container of the model server."""

    requests: Quantities | None = Field(default=None, examples=[{"cpu": "2", "memory": "4Gi"}])
    """What the scheduler reserves, by resource: cpu (cores), memory and ephemeral-storage (bytes), with the suffixes of Kubernetes. A request above its limit is refused when the Deployment is written; the condition Accepted says so. Default: none, or the limit of the same resource."""
    limits: Quantities | None = Field(default=None, examples=[{"memory": "8Gi"}])
    """What a replica may use at most, by resource: cpu (cores), memory and ephemeral-storage (bytes). Default: none."""


class Toleration(Block):
    """A taint of nodes that the pods accept."""

    key: ShortText | None = Field(default=None, examples=["nvidia.com/gpu"])
    """Key of the taint. Default: every key (the operator must be Exists then)."""
    operator: Literal["Exists", "Equal"] | None = Field(default=None, examples=["Exists"])
    """How key and value are compared. Default: Equal."""
    value: ShortText | None = Field(default=None, examples=["present"])
    """Value of the taint, for Equal. Default: empty."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(default=None, examples=["NoSchedule"])
    """Effect of the taint. Default: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = Field(default=None, examples=[300])
    """Seconds that a pod stays on a node with a NoExecute taint. Default: for ever."""


class Requirement(Block):
    """One condition on a label."""

    key: ShortText = Field(examples=["pantala.dev/model"])
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(examples=["In"])
    """How the label is compared with the values."""
    values: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=32), atomic()] | None = Field(
        default=None, examples=[["resnet"]]
    )
    """Values for In and NotIn. Default: none."""


class LabelSelector(Block):
    """Which pods are meant, by their labels."""

    match_labels: LabelMap | None = Field(default=None, examples=[{"pantala.dev/model": "resnet"}])
    """Labels that a pod must have. Default: none."""
    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=16), atomic()] | None = None
    """Conditions that a pod must meet, all of them. Default: none."""


class TopologySpreadConstraint(Block):
    """How replicas are spread over zones or nodes."""

    max_skew: Annotated[int, Field(ge=1, le=1000)] = Field(examples=[1])
    """By how many pods two domains may differ."""
    topology_key: ShortText = Field(examples=["topology.kubernetes.io/zone"])
    """Label of nodes that names the domain."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(examples=["ScheduleAnyway"])
    """What the scheduler does with a pod that breaks the constraint."""
    label_selector: LabelSelector | None = None
    """Pods that are counted. Default: the pods of the same version."""
    match_label_keys: Annotated[tuple[ShortText, ...], Field(max_length=8), atomic()] | None = Field(
        default=None, examples=[["pod-template-hash"]]
    )
    """Labels whose value, taken from the pod, narrows the pods that are counted. Default: none."""
    min_domains: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, examples=[2])
    """Least number of domains, for DoNotSchedule. Default: 1."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes that the pod's affinity and node selector exclude count. Default: Honor."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes whose taints the pod does not tolerate are left out. Default: Ignore."""


class SeccompProfile(Block):
    """System calls that the pod may make."""

    type: Literal["RuntimeDefault", "Localhost", "Unconfined"] = Field(examples=["RuntimeDefault"])
    """Which profile."""
    localhost_profile: ShortText | None = Field(default=None, examples=["profiles/audit.json"])
    """File of the profile on the node, for Localhost. Default: none."""


class PodSecurityContext(Block):
    """Identity of the pod's processes. A field that is set here replaces the operator's value."""

    run_as_user: Annotated[int, Field(ge=0)] | None = Field(default=None, examples=[1000])
    """User id of the processes. Default: 1000."""
    run_as_group: Annotated[int, Field(ge=0)] | None = Field(default=None, examples=[1000])
    """Group id of the processes. Default: that of the image."""
    run_as_non_root: bool | None = None
    """Whether Kubernetes refuses to run the pod as root. Default: true."""
    fs_group: Annotated[int, Field(ge=0)] | None = Field(default=None, examples=[1000])
    """Group id that owns the pod's volumes. Default: 1000."""
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    """When Kubernetes changes the owner of a volume's files. Default: Always."""
    supplemental_groups: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=32), atomic()] | None = (
        Field(default=None, examples=[[44]])
    )
    """Further group ids of the processes. Default: none."""
    seccomp_profile: SeccompProfile | None = None
    """System calls that the processes may make. Default: RuntimeDefault."""


Volume = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "A volume of the pod: a name, and one source as in a Pod.",
            "required": ["name"],
            "minProperties": 2,
            "maxProperties": 2,
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {
                "name": {
                    "type": "string",
                    "description": "Name of the volume; `volumeMounts` refers to it. models, config, tmp and source are the operator's own. Required.",
                    "minLength": 1,
                    "maxLength": 63,
                    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                }
            },
        }
    ),
]
"""A volume in the words of a Pod: kept as it is, and checked by the API server in the Deployment."""


class VolumeMount(Block):
    """Where a volume appears in the container of the model server."""

    name: Label = Field(examples=["labels"])
    """Name of a volume of `volumes`."""
    mount_path: Path = Field(examples=["/srv/labels"])
    """Folder in the container. /models, /etc/pantala and /tmp are the operator's own."""
    sub_path: ShortText | None = None
    """Path inside the volume. Default: its root."""
    read_only: bool | None = None
    """Whether the container may only read it. Default: false."""


FreeForm = Annotated[
    dict[str, Any], Field(max_length=8, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
]


class Affinity(Block):
    """Where pods prefer to run, or must run, in the words of a Pod. Checked by the API server when the Deployment is written: what it says is the message of the condition Accepted."""

    node_affinity: FreeForm | None = None
    """Nodes by their labels, as in spec.affinity.nodeAffinity of a Pod. Default: none."""
    pod_affinity: FreeForm | None = None
    """Nodes that run certain pods, as in spec.affinity.podAffinity of a Pod. Default: none."""
    pod_anti_affinity: FreeForm | None = None
    """Nodes that do not run certain pods, as in spec.affinity.podAntiAffinity of a Pod. Default: none."""


class TemplateMetadata(Block):
    """Labels and annotations of the pods."""

    labels: LabelMap | None = Field(default=None, examples=[{"team": "vision"}])
    """Labels of the pods, beside those of the operator. Keys under pantala.dev/ and app.kubernetes.io/ are rejected. Default: none."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] | None = Field(
        default=None, examples=[{"sidecar.istio.io/inject": "false"}]
    )
    """Annotations of the pods, beside those of the operator. Keys under pantala.dev/ are rejected. Default: none."""


class TemplatePodSpec(Block):
    """The part of a pod's spec that the user decides."""

    node_selector: LabelMap | None = Field(default=None, examples=[{"gpu": "a100"}])
    """Labels that a node must have. Default: none."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16), atomic()] | None = None
    """Taints that the pods accept. Default: none."""
    affinity: Affinity | None = None
    """Where pods prefer to run, or must run. Default: none."""
    topology_spread_constraints: (
        Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=8), atomic()] | None
    ) = None
    """How replicas are spread over zones or nodes. Default: none."""
    priority_class_name: ObjectName | None = Field(default=None, examples=["high"])
    """PriorityClass of the pods. Default: that of the cluster."""
    service_account_name: ObjectName | None = Field(default=None, examples=["models"])
    """ServiceAccount of the pods, in the namespace of the model. Default: default."""
    image_pull_secrets: Annotated[tuple[NameRef, ...], Field(max_length=8), list_map("name")] | None = Field(
        default=None, examples=[[{"name": "registry"}]]
    )
    """Secrets with the keys of image registries. Default: none."""
    runtime_class_name: ObjectName | None = Field(default=None, examples=["nvidia"])
    """RuntimeClass of the pods. Default: that of the node."""
    scheduler_name: ObjectName | None = Field(default=None, examples=["default-scheduler"])
    """Scheduler of the pods. Default: default-scheduler."""
    security_context: PodSecurityContext | None = None
    """Identity of the pod's processes. Default: non-root, user and file group 1000, seccomp RuntimeDefault."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16), list_map("name")] | None = Field(
        default=None, examples=[[{"name": "labels", "configMap": {"name": "labels"}}]]
    )
    """Further volumes of the pods; each needs a mount in `volumeMounts`. The source is checked by the API server when the Deployment is written. Default: none."""
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=16), list_map("mountPath")] | None = Field(
        default=None, examples=[[{"name": "labels", "mountPath": "/srv/labels"}]]
    )
    """Where the volumes appear in the container of the model server. Default: none."""
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=86400)] | None = Field(default=None, examples=[320])
    """Seconds that a replica has to finish its requests before it is killed. Default: the operator's, 60."""


class Template(Block):
    """A subset of a PodTemplateSpec: what a cluster asks of pods, and the operator cannot know."""

    metadata: TemplateMetadata | None = None
    """Labels and annotations of the pods. Default: none."""
    spec: TemplatePodSpec | None = None
    """Scheduling, identity and volumes of the pods. Default: none."""


class Update(Block):
    """How a change of a version reaches its replicas: the rolling update of its Deployment."""

    max_surge: IntOrPercent = Field(default=1, examples=[1])
    """Pods above the wanted number while updating: an integer, or a percentage that is rounded up."""
    max_unavailable: IntOrPercent = Field(default=0, examples=[0])
    """Pods below the wanted number while updating: an integer, or a percentage that is rounded down."""
