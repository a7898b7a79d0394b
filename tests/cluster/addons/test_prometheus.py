import pytest

from tests.cluster.addons.prometheus import PodDiscovery, Prometheus
from tests.cluster.errors import ClusterError


def test_it_scrapes_itself_and_answers_a_query() -> None:
    """Prometheus starts with a given configuration, takes another, and its samples can be waited for."""
    with Prometheus({"scrape_configs": []}) as prometheus:
        address = prometheus.url.removeprefix("http://")
        job = {"job_name": "self", "static_configs": [{"targets": [address]}]}
        prometheus.reload({"global": {"scrape_interval": "200ms"}, "scrape_configs": [job]})
        (sample,) = prometheus.wait_for('up{job="self"}', lambda found: any(one["value"][1] == "1" for one in found))
        assert sample["metric"]["instance"] == address
        assert [target["health"] for target in prometheus.targets()] == ["up"]


def test_a_wrong_configuration_is_shown() -> None:
    """A Prometheus that refuses its configuration fails at once, with its own words."""
    with pytest.raises(ClusterError, match="field nonsense not found"):
        Prometheus({"nonsense": 1})


def test_the_scrape_job_finds_an_annotated_pod() -> None:
    """The job of the manifest scrapes the annotated port and path once, and keeps what tells models apart."""

    def pod(name: str, annotations: dict[str, str]) -> dict:
        labels = {"pantala.dev/model": "net", "pantala.dev/version": "v1"}
        metadata = {"name": name, "namespace": "team", "labels": labels, "annotations": annotations}
        ports = [{"containerPort": 8000, "name": "http"}, {"containerPort": 8002, "name": "metrics"}]
        spec = {"containers": [{"name": "server", "ports": ports}], "initContainers": [{"name": "fetch"}]}
        return {"metadata": metadata, "spec": spec, "status": {"podIP": "127.0.0.1", "phase": "Running"}}

    with Prometheus({"scrape_configs": []}) as prometheus:
        port = prometheus.url.rpartition(":")[2]  # it plays the model server too
        scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": port, "prometheus.io/path": "/metrics"}
        selectors = []

        def pods(selector: str) -> list[dict]:
            selectors.append(selector)
            return [pod("net-1", scraped), pod("plain", {}), pod("off", scraped | {"prometheus.io/scrape": "false"})]

        with PodDiscovery(pods) as discovery:
            prometheus.reload({"scrape_configs": [discovery.scrape_job("200ms")]})
            (sample,) = prometheus.wait_for("up == 1")
            expected = {"namespace": "team", "pod": "net-1", "pantala_dev_model": "net", "pantala_dev_version": "v1"}
            assert expected.items() <= sample["metric"].items()
            assert len(prometheus.targets()) == 1
        assert set(selectors) == {"app.kubernetes.io/managed-by=pantala"}
