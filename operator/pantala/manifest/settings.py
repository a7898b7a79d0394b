"""Settings of an installation: what the chart sets and the planner needs. A value, read once at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FETCHER_IMAGE = "docker.io/pantala/pantala:0.1.0"
"""Image of the init container: the release's own, as the chart names it."""


@dataclass(frozen=True)
class AcceleratorSettings:
    """How the cards of this installation are handed out."""

    provider: str = "nvidia"
    """Provider of models that name none."""
    pools: tuple[tuple[Mapping[str, str], str], ...] = ()
    """Labels of nodes and the provider of models that name none and whose `template.spec.nodeSelector` has these labels;
    the first that matches counts, before `provider`."""
    shared_resource: str = "nvidia.com/gpu.shared"
    """Resource of time slices and MPS shares: `nvidia.com/gpu` where the device plugin does not rename it."""
    aliyun_unit: str = "GiB"
    """Unit of aliyun.com/gpu-mem: GiB, or MiB if the device plugin runs with `--memory-unit=MiB`. No node tells."""
    resource_names: Mapping[str, str] = field(default_factory=dict)
    """Other names of resources, by the vendor's own name: HAMi's can be chosen at its installation. NVIDIA's plugin keeps its
    names, also where HAMi's nvidia.com/gpu is called something else beside it."""


@dataclass(frozen=True)
class AutoscalingSettings:
    """Where autoscalers find the measures of models."""

    keda_prometheus_url: str | None = None
    """Where KEDA finds Prometheus. None: where the operator does."""
    keda_authentication: tuple[str, str] | None = None
    """Kind (`ClusterTriggerAuthentication` or `TriggerAuthentication`, the latter in each model's namespace) and name of KEDA's
    authentication at Prometheus. None: it needs none."""
    pod_label: str | None = None
    """Label in which dcgm-exporter's series name the pod that has the card. None: `exported_pod` where a series has it, else `pod`."""
    namespace_label: str | None = None
    """The same for the pod's namespace: `exported_namespace`, else `namespace`."""
    shared_per_process: bool = False
    """Whether dcgm-exporter's figures of shared cards are those of each pod, not of the whole card."""
    start_grace: float = 120.0
    """Seconds that a replica must have been ready before a measure that it should give counts as missing: exporters, Prometheus
    and the metrics adapter each look at intervals."""
    probe_interval: float = 30.0
    """Seconds between two looks for the cause while a measure is missing."""


@dataclass(frozen=True)
class MonitorSettings:
    """The ServiceMonitors that models get."""

    interval: str = "15s"
    """Time between two scrapes."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by which Prometheus selects monitors."""


@dataclass(frozen=True)
class Settings:
    """Defaults of the installation; they reach a version at its first rendering only."""

    fetcher_image: str = FETCHER_IMAGE
    runtime_images: Mapping[str, str] = field(default_factory=dict)
    """Overrides of the built-in image by runtime name (`triton`, `torchserve`)."""
    image_pull_policy: str = "IfNotPresent"
    drain_seconds: int = 10
    """preStop sleep: long enough for every kube-proxy to learn that the pod is leaving."""
    dragonfly_socket_folder: str = "/var/run/dragonfly"
    """Folder of every node in which dfdaemon has its socket."""
    cache_host_paths: tuple[str, ...] = ("/var/lib/pantala", "/var/lib/dragonfly")
    """Folders of the nodes at or below which `storage.cache.hostPath` may be."""
    mesh: str = "auto"
    """Who routes: `istio`, `gateway-api`, `none`, or `auto`: Istio where it is installed, else the Gateway API where that is."""
    gateway: tuple[str, str] | None = None
    """Namespace and name of the gateway of models that name none."""
    domain: str | None = None
    """Domain of automatic hosts: NAME.NAMESPACE.DOMAIN. None: there are none."""
    allowed_domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Domains below which the hosts of models may be, by namespace; `*` stands for the namespaces that are not named.
    A namespace without an entry, where there is no `*` either, may use any host."""
    cluster_domain: str = "cluster.local"
    """Domain of the cluster's own names."""
    prometheus_url: str | None = None
    """Where Prometheus answers. None: nothing is measured."""
    prometheus_token_file: str | None = None
    """File with a bearer token for it. None: none is sent."""
    accelerators: AcceleratorSettings = field(default_factory=AcceleratorSettings)
    """How cards are handed out."""
    autoscaling: AutoscalingSettings = field(default_factory=AutoscalingSettings)
    """Where autoscalers find measures."""
    service_monitor: MonitorSettings | None = None
    """How a model's ServiceMonitor is made, where the cluster has that kind. None: models get none."""
