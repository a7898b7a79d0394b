"""How many replicas run, and what decides about it."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, Label, atomic, list_map

MetricType = Literal[
    "GPUUtilization",
    "GPUMemory",
    "RequestsPerSecond",
    "QueueLength",
    "QueueTime",
    "CPUUtilization",
    "MemoryUtilization",
]
"""What can be measured of a replica without a query of one's own."""
Engine = Literal["HPA", "KEDA"]
"""Who decides about the number of replicas."""


class Metric(Block):
    """One measure that decides the number of replicas."""

    type: MetricType = Field(examples=["GPUUtilization"])
    """What is measured of each replica. GPUUtilization and GPUMemory: use of its cards, or of its share of a card, in percent of what is granted. RequestsPerSecond: requests that it answers in a second. QueueLength: requests that wait in the server. QueueTime: how long they wait, in milliseconds. CPUUtilization and MemoryUtilization: in percent of what is requested."""
    target: Annotated[int, Field(ge=1, le=1000000)] = Field(examples=[70])
    """The value that the autoscaler aims at, as a mean over the replicas: percent, requests, or milliseconds, as a whole number (70, not 0.7)."""


class PrometheusQuery(Block):
    """A measure of one's own, in PromQL."""

    name: Label = Field(examples=["tokens"])
    """Name of the measure in the status."""
    query: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        examples=['sum(rate(generated_tokens_total{namespace="vision",pod=~"bert-v1-.+"}[1m]))']
    )
    """PromQL that gives one number. No answer is no data: the number of replicas then stays as it is. Every version has an autoscaler of its own, which asks the query as it stands: so let it be of the pods of one version (`pod=~"NAME-VERSION-.+"`), and where several run put `scaling` into each of `versions[]`."""
    target: Annotated[str, Field(max_length=16, pattern=r"^[0-9]{1,9}([.][0-9]{1,3})?$")] = Field(examples=["1000"])
    """The value that the autoscaler aims at, a decimal number above zero: in quotes, with up to three decimals, such as '250' or '0.5'."""
    metric_type: Literal["AverageValue", "Value"] = Field(default="AverageValue", examples=["AverageValue"])
    """AverageValue: the number is a total, and is divided by the number of replicas before it is compared with `target`. Value: it is compared as it is, such as a latency."""


class ScalingPolicy(Block):
    """One bound on how fast the number of replicas changes."""

    type: Literal["Pods", "Percent"] = Field(examples=["Pods"])
    """Pods: a number of replicas. Percent: a share of those that run."""
    value: Annotated[int, Field(ge=1, le=100000)] = Field(examples=[2])
    """How many replicas, or percent, within `periodSeconds`."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)] = Field(examples=[60])
    """The time for which the bound holds."""


class ScalingRules(Block):
    """How fast the number of replicas may change in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = Field(default=None, examples=[300])
    """How long the autoscaler looks back: upwards the least, downwards the most that it wanted in this time counts. Default: 0 upwards; downwards 300, or twice the time that a replica takes to start if that is more."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(default=None, examples=["Max"])
    """Which of several policies counts: that of the largest change, that of the smallest, or none, so that the number never changes in this direction. Default: Max."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(min_length=1, max_length=4), atomic()] | None = Field(
        default=None, examples=[[{"type": "Pods", "value": 2, "periodSeconds": 60}]]
    )
    """Bounds on the change. Default: upwards by 100 percent or 4 pods, whichever is more, in the time that a replica takes to start; downwards by 1 pod or 10 percent, whichever is more, within 60 seconds."""


class Behavior(Block):
    """How fast the number of replicas changes, in the fields of a HorizontalPodAutoscaler."""

    scale_up: ScalingRules | None = None
    """Upwards. Default: at once, but at most to the double or by 4 replicas, whichever is more, in the time that a replica takes to start."""
    scale_down: ScalingRules | None = None
    """Downwards. Default: slowly, since a replica that is needed again has to load its model anew."""


class Scaling(Block):
    """How many replicas run."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, examples=[1])
    """Least number of replicas; zero is not possible yet."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, examples=[8])
    """Most replicas; more than `minReplicas` needs `metrics` or `prometheus`. Default: minReplicas (a fixed number)."""
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=7), list_map("type")] | None = Field(
        default=None, examples=[[{"type": "GPUUtilization", "target": 70}]]
    )
    """Measures that decide between `minReplicas` and `maxReplicas`; the one that asks for most wins. Default: none."""
    prometheus: Annotated[tuple[PrometheusQuery, ...], Field(min_length=1, max_length=4), list_map("name")] | None = (
        None
    )
    """Measures in PromQL, beside `metrics`; needs `engine: KEDA`, since an HPA reads only what the cluster's metrics adapter was configured for. Default: none."""
    behavior: Behavior | None = None
    """How fast the number changes. Default: see its fields."""
    engine: Engine = Field(default="HPA", examples=["HPA"])
    """Who decides about the number: HPA is Kubernetes' own HorizontalPodAutoscaler, KEDA a ScaledObject of KEDA, which reads Prometheus itself."""
