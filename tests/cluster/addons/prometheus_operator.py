"""The real Prometheus Operator as a process of this machine: it turns ServiceMonitors into the configuration of Prometheus.

It runs with the rights of its own manifests. The StatefulSet that it makes for a Prometheus has no replicas here: what it
would run with lies in a Secret, from where `scrape_configs` takes it.
"""

import base64
import gzip
import json
from typing import Any

import yaml

from tests.cluster import Access, build
from tests.cluster.addons import aggregation, gateway_api
from tests.cluster.addons.service import Service
from tests.cluster.process import free_port, wait_for

_NAMESPACE = "default"
"""Where its manifests have its service account."""
_KINDS = ("prometheuses", "servicemonitors", "podmonitors", "probes", "prometheusrules")
"""Those that it needs to serve a Prometheus."""


def install(cluster: Access, *kinds: str) -> None:
    """Apply CRDs by the plural of their kinds, such as `servicemonitors`; returns when they are served."""
    gateway_api.apply_crds(cluster, _crds(kinds))


def remove(cluster: Access, *kinds: str) -> None:
    """Delete CRDs, if they are there, and all objects of these kinds; returns when they are gone."""
    gateway_api.delete_crds(cluster, _crds(kinds or _KINDS))


class PrometheusOperator(Service):
    """A Prometheus Operator with one Prometheus, which selects monitors and rules by labels in all namespaces; a context manager.

    Kinds and rights stay when it stops; `remove` takes the kinds away.
    """

    def __init__(self, cluster: Access, selector: dict[str, str]) -> None:
        """Install its kinds and rights, start it and make the Prometheus.

        Args:
            cluster: where it runs.
            selector: labels of the monitors and rules that the Prometheus selects.

        Raises:
            ClusterError: it did not start; the message has the end of its output.
        """
        self.cluster = cluster
        install(cluster, *_KINDS)
        program = build.ensure(["prometheus-operator"])["prometheus-operator"]
        rights = program.parent / "rbac/prometheus-operator"
        names = ("service-account", "cluster-role", "cluster-role-binding")
        texts = [(rights / f"prometheus-operator-{name}.yaml").read_text() for name in names]
        aggregation.apply(cluster, [yaml.safe_load(text) for text in texts])
        user = aggregation.service_account(cluster, _NAMESPACE, "prometheus-operator")
        address = f"127.0.0.1:{free_port()}"
        super().__init__(
            [str(program), f"--web.listen-address={address}", "--kubelet-endpoints=false"],
            f"http://{address}/healthz",
            aggregation.environment(KUBECONFIG=str(user)),
        )
        spec = {
            "replicas": 0,
            "version": "v2.42.0",  # Debian's, which reads the result
            "serviceMonitorSelector": {"matchLabels": selector},
            "serviceMonitorNamespaceSelector": {},
            "ruleSelector": {"matchLabels": selector},
            "ruleNamespaceSelector": {},
        }
        made = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "spec": spec}
        aggregation.apply(cluster, [made | {"metadata": {"name": "all", "namespace": _NAMESPACE}}])

    def scrape_configs(self) -> list[dict[str, Any]]:
        """Return what its Prometheus would read, as it is now; nothing before it has made it."""
        options = ("-n", _NAMESPACE, "get", "secret", "prometheus-all", "--ignore-not-found", "-o", "json")
        found = self.cluster.kubectl(*options)
        if not found:
            return []
        packed = json.loads(found)["data"]["prometheus.yaml.gz"]
        text = gzip.decompress(base64.b64decode(packed)).decode()
        # In the pod of the first of one shard its config-reloader does this.
        jobs: list[dict[str, Any]] = yaml.safe_load(text.replace("$(SHARD)", "0"))["scrape_configs"]
        return jobs

    def rules(self) -> list[str]:
        """Return the names of the groups of rules that its Prometheus would read, as they are now."""
        options = ("-n", _NAMESPACE, "get", "configmaps", "-l", "prometheus-name=all", "-o", "json")
        files = [text for it in json.loads(self.cluster.kubectl(*options))["items"] for text in it["data"].values()]
        return [group["name"] for text in files for group in yaml.safe_load(text)["groups"]]

    def wait_for_jobs(self, names: set[str], seconds: float = 60) -> list[dict[str, Any]]:
        """Wait until there are these jobs, `serviceMonitor/NAMESPACE/NAME/INDEX`, and return them.

        Raises:
            ClusterError: they were not in time.
        """
        wait_for(lambda: {job["job_name"] for job in self.scrape_configs()} >= names, f"jobs {sorted(names)}", seconds)
        return [job for job in self.scrape_configs() if job["job_name"] in names]


def _crds(kinds: tuple[str, ...]) -> str:
    folder = build.ensure(["prometheus-operator"])["prometheus-operator"].parent / "prometheus-operator-crd"
    texts = [(folder / f"monitoring.coreos.com_{kind}.yaml").read_text() for kind in kinds]
    return "\n---\n".join(text.removeprefix("---\n") for text in texts)
