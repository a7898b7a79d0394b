"""The rules in a real Prometheus that scrapes exporters: its labels, and how soon what has ended is gone."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pantala.autoscaling import signals
from tests.charts import rules
from tests.charts.helm import ROOT
from tests.charts.rules import LANGUAGE, VISION
from tests.cluster.addons.exporter import Exporter
from tests.cluster.addons.prometheus import PodDiscovery, Prometheus

SHORT = {"rules": {"interval": "500ms", "window": "20s", "rateWindow": "5s"}}
EVERY = "500ms"
TARGET = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p"}
ARTICLE = "(sum(avg_over_time(DCGM_FI_DEV_GPU_UTIL[20s])) by (exported_pod,pod))/100"
"""The article's rule, with a window as short as ours here."""


def _text(prefix: str) -> str:
    """The node of four cards, with pods of its own."""
    return rules.text("dcgm").replace('pod="', f'pod="{prefix}-')


@pytest.fixture(scope="module")
def exporters() -> Iterator[dict[str, Exporter]]:
    """A node for each way in which Prometheus may call the labels, a node that ends, and a Triton that idles."""
    with ExitStack() as stack:
        texts = {name: _text(name) for name in ("renamed", "honored", "listed", "ends")}
        texts["triton"] = rules.text("triton-ensemble").replace("} 7", "} 0")
        yield {name: stack.enter_context(Exporter(text)) for name, text in texts.items()}


@pytest.fixture(scope="module")
def prometheus(exporters: dict[str, Exporter], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with the chart's rules and these exporters."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(rules.file(SHORT))
    triton = {"namespace": VISION[0], "pod": VISION[1]}
    jobs = [
        exporters["renamed"].scrape_job("renamed", EVERY, labels=TARGET),
        exporters["honored"].scrape_job("honored", EVERY, honor_labels=True, labels=TARGET),
        exporters["listed"].scrape_job("listed", EVERY),
        exporters["ends"].scrape_job("ends", EVERY, labels=TARGET),
        exporters["triton"].scrape_job("triton", EVERY, labels=triton),
    ]
    with Prometheus({"rule_files": [str(file)], "scrape_configs": jobs}) as server:
        yield server


def _values(found: list[dict[str, object]]) -> dict[tuple[str, str], float]:
    return {
        (one["metric"].get("namespace", ""), one["metric"].get("pod", "")): float(one["value"][1])  # type: ignore[attr-defined, index] - the API's JSON
        for one in found
    }


def _of(prometheus: Prometheus, prefix: str, series: str = signals.GPU_UTILIZATION) -> dict[tuple[str, str], float]:
    return {key: value for key, value in _values(prometheus.query(series)).items() if key[1].startswith(prefix)}


@pytest.mark.parametrize("name", ["renamed", "honored", "listed"])
def test_labels(prometheus: Prometheus, name: str) -> None:
    """However Prometheus calls them, pods have the mean of their cards, and nobody has the card that is nobody's."""
    expected = {(VISION[0], f"{name}-{VISION[1]}"): 70.0, (LANGUAGE[0], f"{name}-{LANGUAGE[1]}"): 60.0}
    prometheus.wait_for(signals.GPU_UTILIZATION, lambda found: expected.items() <= _values(found).items())
    assert _of(prometheus, name) == expected
    pods = {pod for _, pod in _values(prometheus.query(signals.GPU_UTILIZATION))}
    assert not {"", TARGET["pod"]} & pods


def test_a_pod_that_has_ended(prometheus: Prometheus, exporters: dict[str, Exporter]) -> None:
    """It is gone within a scrape and an evaluation; the article's rule goes on to count it for its whole window."""
    gone, stays = f"renamed-{VISION[1]}", f"renamed-{LANGUAGE[1]}"
    prometheus.wait_for(f'{signals.GPU_UTILIZATION}{{pod="{gone}"}}')
    text = exporters["renamed"].text
    begun = time.monotonic()
    exporters["renamed"].text = "".join(line for line in text.splitlines(keepends=True) if gone not in line)
    prometheus.wait_for(signals.GPU_UTILIZATION, lambda found: gone not in {pod for _, pod in _values(found)}, 10)
    took = time.monotonic() - begun
    counted = prometheus.query(f'{ARTICLE} and on (exported_pod) DCGM_FI_DEV_GPU_UTIL{{exported_pod="{gone}"}}')
    assert counted == []  # the card's own series is stale
    assert {one["metric"]["exported_pod"] for one in prometheus.query(ARTICLE) if "exported_pod" in one["metric"]} >= {
        gone,
        stays,
    }
    print(f"gone after {took:.1f} s")
    assert list(_of(prometheus, "renamed")) == [(LANGUAGE[0], stays)]


def test_a_pod_that_has_just_come(prometheus: Prometheus, exporters: dict[str, Exporter]) -> None:
    """Its figure is there after a scrape and an evaluation, and others' do not change."""
    before = _of(prometheus, "listed")
    line = next(line for line in exporters["listed"].text.splitlines() if line.startswith("DCGM_FI_DEV_GPU_UTIL{"))
    new = line.replace(f"listed-{VISION[1]}", "listed-new").replace('gpu="0"', 'gpu="7"').rpartition(" ")[0]
    exporters["listed"].text += f"{new} 12\n"
    prometheus.wait_for(f'{signals.GPU_UTILIZATION}{{pod="listed-new"}} == 12', seconds=10)
    assert _of(prometheus, "listed") == before | {(VISION[0], "listed-new"): 12.0}


def test_a_node_that_has_ended(prometheus: Prometheus, exporters: dict[str, Exporter]) -> None:
    """When the exporter itself answers no more, the figures of its pods end: they are not held at what they were."""
    prometheus.wait_for(signals.GPU_UTILIZATION, lambda found: any(pod.startswith("ends") for _, pod in _values(found)))
    exporters["ends"].stop()
    prometheus.wait_for(
        signals.GPU_UTILIZATION, lambda found: not any(pod.startswith("ends") for _, pod in _values(found)), 15
    )


def test_a_server_that_idles(prometheus: Prometheus) -> None:
    """All figures of an idle Triton are 0; each rule sees what the rule before it has just recorded."""
    for series in (signals.REQUESTS, signals.QUEUE_LENGTH, signals.QUEUE_TIME):
        found = prometheus.wait_for(f'{series}{{pod="{VISION[1]}"}}', lambda all_: bool(_values(all_)), 30)
        assert _values(found) == {VISION: 0.0}


def test_the_scrape_job_of_the_exporter(tmp_path: Path) -> None:
    """The job of manifests/ finds both installations of dcgm-exporter, and the rules read what it scrapes."""
    selectors = set()

    with Exporter(rules.text("dcgm")) as exporter:
        port = int(exporter.scrape_job()["static_configs"][0]["targets"][0].rpartition(":")[2])

        def pods(selector: str) -> list[dict[str, object]]:
            selectors.add(selector)
            name = "dcgm-exporter-x7k2p" if selector.startswith("app.kubernetes.io") else "nvidia-dcgm-exporter-9fz4c"
            ports = [{"containerPort": port, "name": "metrics"}, {"containerPort": 1, "name": "other"}]
            spec = {"nodeName": "node-1", "containers": [{"name": "exporter", "ports": ports}]}
            meta = {"name": name, "namespace": "gpu-operator"}
            return [{"metadata": meta, "spec": spec, "status": {"podIP": "127.0.0.1", "phase": "Running"}}]

        file = tmp_path / "rules.yaml"
        file.write_text(rules.file(SHORT))
        with PodDiscovery(pods) as discovery:
            job = discovery.scrape_job(EVERY, ROOT / "manifests/prometheus-scrape-gpu.yaml")
            with Prometheus({"rule_files": [str(file)], "scrape_configs": [job]}) as server:
                found = server.wait_for(signals.GPU_UTILIZATION, lambda all_: len(all_) == 2)
                assert _values(found) == {VISION: 70.0, LANGUAGE: 60.0}
                # Two targets, scraped one after the other.
                jobs = {"dcgm-exporter-x7k2p", "nvidia-dcgm-exporter-9fz4c"}
                server.wait_for("up == 1", lambda all_: {one["metric"]["pod"] for one in all_} == jobs)
    assert selectors == {"app.kubernetes.io/name=dcgm-exporter", "app=nvidia-dcgm-exporter"}
