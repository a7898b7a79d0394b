"""The notes that Helm prints after an installation, about what reads the rules and alerts of the release."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.charts.helm import CHART, Helm

RULES, MONITORS = (f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in ("PrometheusRule", "ServiceMonitor"))
MONITORED = {"metrics": {"serviceMonitor": {"enabled": True}}}
UNREAD = "WARNING: alerts read what the operator tells, and nothing of this release makes Prometheus scrape it"


@pytest.fixture(scope="module")
def noting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with its notes as a template: `helm template` prints none, and `helm install` takes no --api-versions."""
    chart = tmp_path_factory.mktemp("chart") / "pantala"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates/NOTES.txt").read_text()
    (chart / "templates/_notes.tpl").write_text('{{- define "notes" }}' + notes + "{{- end }}")
    (chart / "templates/notes.yaml").write_text('notes: |\n  {{- include "notes" . | nindent 2 }}\n')
    return chart


def notes(chart: Path, values: dict[str, Any] | None, *apis: str) -> str:
    """The notes of a release in one line."""
    options = ("--kube-version=1.36.0", "--show-only=templates/notes.yaml", *apis)
    return " ".join(Helm().run("template", "pantala", str(chart), *options, values=values).split())


@pytest.mark.parametrize(
    ("values", "apis", "warns"),
    [
        ({}, (RULES, MONITORS), True),
        (MONITORED, (RULES, MONITORS), False),
        ({"monitoring": {"alerts": {"enabled": False}}}, (RULES, MONITORS), False),
        ({}, (), False),
    ],
)
def test_alerts_that_nothing_feeds_are_told(
    noting: Path,
    values: dict[str, Any],
    apis: tuple[str, ...],
    warns: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Where alerts are made, and nothing that has the operator scraped, the notes say which one will fire, and what to set."""
    words = notes(noting, values, *apis)
    assert (UNREAD in words) == warns
    if warns:
        assert "PantalaOperatorDown fires in five minutes. Set metrics.serviceMonitor.enabled=true" in words
        assert "port 8080 of the Service pantala-metrics with `honor_labels: true`" in words


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, "ConfigMaps pantala-recording-rules and pantala-alerts"),
        ({"autoscaling": {"rules": {"enabled": False}}}, "ConfigMap pantala-alerts"),
        (
            {"monitoring": {"alerts": {"enabled": False}}},
            "ConfigMaps pantala-recording-rules and pantala-requests",
        ),
    ],
)
def test_rules_that_nobody_loads_are_told(noting: Path, values: dict[str, Any], names: str) -> None:
    """Without the kind PrometheusRule the notes name the ConfigMaps with the files; with it they say nothing of them."""
    assert (
        f"No PrometheusRule was made: this cluster has no monitoring.coreos.com/v1. Have Prometheus load the files of the {names} by"
        in notes(noting, values)
    )
    assert "No PrometheusRule" not in notes(noting, values, RULES)


def test_no_rules_no_words(noting: Path) -> None:
    """A release without any rules says nothing of them."""
    off = {"enabled": False}
    values = {"autoscaling": {"rules": off}, "monitoring": {"alerts": off, "dashboards": off}}
    assert "PrometheusRule" not in notes(noting, values)
