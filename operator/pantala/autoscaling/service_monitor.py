"""The ServiceMonitor of a model: by it the Prometheus Operator has Prometheus read the metrics of its replicas. Pure.

Series carry `namespace`, `service` and `pod`, which the Prometheus Operator adds, and the model and the version as
`pantala_dev_model` and `pantala_dev_version`, as manifests/prometheus-scrape.yaml has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pantala import naming
from pantala.manifest.settings import MonitorSettings
from pantala.manifest.types import Manifest

API_VERSION = "monitoring.coreos.com/v1"
KIND = "ServiceMonitor"
_VERSION = "__meta_kubernetes_service_label_" + re.sub(r"[^a-zA-Z0-9_]", "_", naming.LABEL_VERSION)
"""What Prometheus calls the version's label of a Service (configuration, `kubernetes_sd_config`)."""


@dataclass(frozen=True)
class Endpoint:
    """Where some versions have their metrics."""

    port: str
    """Name of the port in the Services of these versions."""
    path: str
    versions: tuple[str, ...] | None = None
    """Their names. None: all that have the port."""


def service_monitor(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    endpoints: Sequence[Endpoint],
    settings: MonitorSettings,
) -> Manifest:
    """The monitor of all versions of a model.

    It selects the Services of versions alone: each replica is behind one of them, and is read once.

    Args:
        name: Name of the monitor and of the model.
        namespace: Namespace of both.
        labels: Labels that mark it as the model's; they win over those of the installation.
        owner: Its owner references.
        endpoints: Where metrics are; at least one.
        settings: How often to look, and the labels by which Prometheus selects monitors.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**settings.labels, **labels},
            "ownerReferences": list(owner),
        },
        "spec": {
            "selector": {
                "matchLabels": naming.model_selector(name),
                "matchExpressions": [{"key": naming.LABEL_VERSION, "operator": "Exists"}],
            },
            "targetLabels": [naming.LABEL_MODEL, naming.LABEL_VERSION],
            "endpoints": [_endpoint(it, settings) for it in endpoints],
        },
    }


def _endpoint(endpoint: Endpoint, settings: MonitorSettings) -> Manifest:
    # A pod that still fetches its weights has an address, and answers nothing.
    rules: list[Manifest] = [{"sourceLabels": ["__meta_kubernetes_pod_phase"], "regex": "Pending", "action": "drop"}]
    if endpoint.versions is not None:
        names = "|".join(re.escape(name) for name in endpoint.versions)
        rules.append({"sourceLabels": [_VERSION], "regex": names, "action": "keep"})
    return {
        "port": endpoint.port,
        "path": endpoint.path,
        "interval": settings.interval,
        "relabelings": rules,
    }
