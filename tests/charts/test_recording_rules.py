"""What of the rules and of the adapter's configuration can be seen without series."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala.autoscaling import signals
from tests.charts import rules
from tests.charts.helm import Helm, HelmError, documents, of_kind

RECORDED = {*signals.POD_SERIES, *signals.SERVICE_SERIES}
OPERATOR = "--api-versions=monitoring.coreos.com/v1/PrometheusRule"
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "shared": {"dcgm": {"sharedPerProcess": True}},
    "labels": {"dcgm": {"podLabel": "pod_name", "namespaceLabel": "pod_namespace", "sharedPerProcess": True}},
    "times": {"rules": {"interval": "1m", "window": "1m30s", "rateWindow": "4m"}},
}


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm without a cluster."""
    return Helm()


def _rendered(helm: Helm, autoscaling: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
    return documents(helm.template({"autoscaling": autoscaling}, *arguments))


@pytest.mark.parametrize("name", VALUES)
def test_promtool_accepts_the_file(name: str, tmp_path: Path) -> None:
    """Prometheus' own check finds no fault with what any values render."""
    file = tmp_path / "rules.yaml"
    file.write_text(rules.file(VALUES[name]))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 rules found" in done.stdout


def test_names_are_those_of_the_signals() -> None:
    """The rules record exactly the series that autoscalers read, each once."""
    groups = yaml.safe_load(rules.file())["groups"]
    assert sorted(rule["record"] for group in groups for rule in group["rules"]) == sorted(RECORDED)


def test_the_times_are_values() -> None:
    """The three times reach the rules, and no other time is in them."""
    text = rules.file(VALUES["times"])
    assert {group["interval"] for group in yaml.safe_load(text)["groups"]} == {"1m"}
    assert "[1m30s]" in rules.expression(signals.GPU_UTILIZATION, VALUES["times"])
    assert "[4m]" in rules.expression(signals.REQUESTS, VALUES["times"])
    assert not any(default in text for default in ("[2m]", "[1m]", "15s"))


@pytest.mark.parametrize(
    ("autoscaling", "words"),
    [
        ({"rules": {"window": "2 minutes"}}, "at '/autoscaling/rules/window': '2 minutes' does not match pattern"),
        ({"rules": {"window": "0s"}}, "at '/autoscaling/rules/window': '0s' does not match pattern"),
        ({"rules": {"rateWindow": 60}}, "at '/autoscaling/rules/rateWindow': got number, want string"),
        ({"rules": {"interval": ""}}, "at '/autoscaling/rules/interval': '' does not match pattern"),
        ({"dcgm": {"podLabel": 'a",b="'}}, "at '/autoscaling/dcgm/podLabel': 'a\",b=\"' does not match pattern"),
        ({"dcgm": {"labels": {}}}, "at '/autoscaling/dcgm': additional properties 'labels' not allowed"),
        ({"adapter": {"namespace": "A"}}, "at '/autoscaling/adapter/namespace': 'A' does not match pattern"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, autoscaling: dict[str, Any], words: str) -> None:
    """What is no time, no name of a label or no value at all is refused by name."""
    with pytest.raises(HelmError) as caught:
        helm.template({"autoscaling": autoscaling})
    assert words in str(caught.value)


def test_a_prometheus_rule_where_the_cluster_has_that_kind(helm: Helm) -> None:
    """It has the groups of the file, and the labels by which Prometheus looks for rules."""
    values = {"rules": {"labels": {"release": "monitoring"}}}
    found = of_kind(_rendered(helm, values, OPERATOR), "PrometheusRule")
    (rule,) = [one for one in found if one["metadata"]["name"] == "pantala-recording"]
    assert rule["spec"] == yaml.safe_load(rules.file())
    assert rule["metadata"]["labels"]["release"] == "monitoring"
    assert of_kind(_rendered(helm, values), "PrometheusRule") == []


def test_rules_and_configuration_can_be_left_out(helm: Helm) -> None:
    """Without them the chart makes nothing of either."""
    found = _rendered(helm, {"rules": {"enabled": False}, "adapter": {"enabled": False}}, OPERATOR)
    names = [one["metadata"]["name"] for one in found]
    assert not [name for name in names if name.endswith(("-recording", "-recording-rules", "-prometheus-adapter"))]
    assert len(_rendered(helm, {}, OPERATOR)) == len(found) + 3


def test_the_adapters_configuration_publishes_every_series(helm: Helm) -> None:
    """Pods and Services have the series that the signals name, under the same names, in both forms of the configuration."""
    config, namespace = _adapter(helm, {})
    (pods, services) = yaml.safe_load(config["config.yaml"])["rules"]
    assert yaml.safe_load(config["values.yaml"]) == {"rules": {"custom": [pods, services]}}
    assert all(name.removeprefix(signals.PREFIX) in pods["seriesQuery"] for name in signals.POD_SERIES)
    assert all(name in services["seriesQuery"] for name in signals.SERVICE_SERIES)
    assert list(pods["resources"]["overrides"]) == ["namespace", "pod"]
    assert list(services["resources"]["overrides"]) == ["namespace", "service"]
    assert "name" not in pods
    assert "name" not in services
    assert namespace == "pantala-system"


def test_the_adapters_configuration_is_where_the_adapter_is(helm: Helm) -> None:
    """A pod mounts ConfigMaps of its own namespace alone."""
    assert _adapter(helm, {"namespace": "monitoring"})[1] == "monitoring"


def _adapter(helm: Helm, adapter: dict[str, Any]) -> tuple[dict[str, str], str]:
    text = helm.template({"autoscaling": {"adapter": adapter}}, "--show-only=templates/adapter-config.yaml")
    (config,) = of_kind(documents(text), "ConfigMap")
    return config["data"], config["metadata"]["namespace"]
