"""The tutorial of cards, as a newcomer types it, on simulated nodes with a stand-in for dcgm-exporter."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster, ClusterSpec, build
from tests.cluster.addons import aggregation, loopback
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import NAMESPACE as MONITORING
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.addons.s3 import S3Server
from tests.cluster.fixtures import running, unique
from tests.e2e import pages
from tests.e2e.standin_cards import StandinCards
from tests.e2e.support import Space

pytestmark = [pytest.mark.apiserver, pytest.mark.adapter]

SYSTEM = "pantala-system"
EXPORTER = {"namespace": "gpu-operator", "pod": "dcgm-exporter-x7k2p"}
"""Labels of Prometheus' target, which are those of the exporter's own pod."""
LOAD = 195
"""Percent of a card."""
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two simulated nodes with cards, where nobody has installed Pantala."""
    with running("apiserver", ClusterSpec(unique("cards"), kwok=2)) as made:
        yield made


class Around:
    """What a cluster makes of what the page installs, where its pods run nothing; a context manager.

    Prometheus reads the rules of the ConfigMap, the Prometheus Adapter its own one, and the operator runs with the arguments of
    the chart's Deployment and the rights of its service account.
    """

    def __init__(self, cluster: Cluster, folder: Path, cards: StandinCards) -> None:
        """Start Prometheus, which scrapes the cards and has no rules yet."""
        self._cluster, self._stack = cluster, ExitStack()
        self._rules, self._log = folder / "rules.yaml", folder / "operator.log"
        self._rules.write_text("groups: []")
        jobs = [cards.scrape_job("dcgm-exporter", labels=EXPORTER)]
        self._config = {"rule_files": [str(self._rules)], "scrape_configs": jobs}
        self.prometheus = Prometheus(self._config)
        self._stack.callback(self.prometheus.stop)
        self._begun = False

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self._stack.close()

    def follow(self, command: str) -> None:
        """Take over what a command of Helm changed."""
        if "helm upgrade" not in command:
            return
        self._rules.write_text(self._files(SYSTEM, "pantala-recording-rules").get("pantala.rules.yaml", "groups: []"))
        self.prometheus.reload(self._config)
        if not self._begun:
            self._begun = True
            self._operate()
            config = yaml.safe_load(self._files(MONITORING, "pantala-prometheus-adapter")["config.yaml"])
            # The adapter's chart registers this version alone.
            adapter = PrometheusAdapter(self._cluster, self.prometheus.url, config, versions=("v1beta1",))
            self._stack.callback(adapter.stop)

    def _operate(self) -> None:
        deployment = json.loads(self._cluster.kubectl("-n", SYSTEM, "get", "deployment", "pantala", "-o", "json"))
        pod = deployment["spec"]["template"]["spec"]
        user = aggregation.service_account(self._cluster, SYSTEM, pod["serviceAccountName"])
        other = ("operator", "--port", "--log-format")  # as the test's process has them
        arguments = [argument for argument in pod["containers"][0]["args"] if not argument.startswith(other)]
        quick = ("--metrics-grace=1s", "--metrics-probe-interval=1s")
        operator = Operator(user, self._log, *arguments, *quick, identity="pantala-0")
        self._stack.callback(lambda: print(self._log.read_text()[-8000:]))
        self._stack.callback(operator.terminate)
        operator.wait("leader")

    def _files(self, namespace: str, name: str) -> dict[str, str]:
        told = self._cluster.kubectl("-n", namespace, "get", "configmap", name, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(told or "{}")
        files: dict[str, str] = found.get("data", {})
        return files


def test_every_step_does_what_the_page_says(cluster: Cluster, s3: S3Server, tmp_path: Path) -> None:
    """From the chart to three replicas under load, through missing rules and back: outputs are those on the page."""
    if reason := loopback.missing():
        pytest.skip(reason)
    for namespace in ("cards", MONITORING):
        cluster.kubectl("create", "namespace", namespace)
    (tmp_path / "charts").symlink_to(_ROOT / "charts")
    load = tmp_path / "load"
    functions = {"load": f"echo {LOAD} > {load}", "rest": f"rm {load}"}
    helm = build.ensure(["helm"])["helm"]
    path = f"{tmp_path}/bin:{helm.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (
        tempfile.TemporaryDirectory(prefix="pantala-around-") as folder,
        StandinCards(cluster.kubeconfig, "cards", "vision", load) as cards,
        Around(cluster, Path(folder), cards) as around,
    ):
        variables = {
            **{f"BASH_FUNC_{name}%%": f"() {{ {body}; }}" for name, body in functions.items()},
            "PATH": path,
            "MODEL": "s3://models/vision/1/",
            "INTERVAL": "1s",
            "WINDOW": "5s",
            "PROMETHEUS": around.prometheus.url,
        }
        space = Space(cluster, s3, "cards")
        printed = pages.follow(pages.DOCS / "tutorial-gpu.md", space, tmp_path, around.follow, **variables)
        assert len(printed) >= 12
        pages.nothing_is_left(space)
