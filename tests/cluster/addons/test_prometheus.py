import pytest

from tests.cluster.addons.prometheus import Prometheus
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
