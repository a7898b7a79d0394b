"""The chart's alerts, by Prometheus' own `promtool test rules`: each fires on its trouble alone, and all are silent in good days."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.helm import CHART, ROOT, Helm, documents, of_kind
from tests.charts.troubles import GONE, HEALTHY, MODEL, OF_MODEL, OPERATOR, TROUBLES, condition

RULES = CHART / "files/alerts"
LENGTH = 250
"""Minutes that the series of these tests last."""


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm without a cluster."""
    return Helm()


@pytest.fixture(scope="module")
def files(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The rule files that the chart renders for a Prometheus without operator."""
    folder = tmp_path_factory.mktemp("alerts")
    made = []
    for name, text in rendered(helm).items():
        (folder / name).write_text(text)
        made.append(folder / name)
    return made


def rendered(helm: Helm, values: dict[str, Any] | None = None) -> dict[str, str]:
    """The files of the ConfigMap with alerts."""
    (found,) = [
        it
        for it in of_kind(documents(helm.template(values)), "ConfigMap")
        if it["metadata"]["name"] == "pantala-alerts"
    ]
    data: dict[str, str] = found["data"]
    return data


def alerts(text: str) -> list[dict[str, Any]]:
    """The alerts of a rule file."""
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if "alert" in rule]


def promtool(*arguments: str) -> str:
    """Run promtool and return what it says.

    Raises:
        AssertionError: it found something wrong; with its words.
    """
    program = shutil.which("promtool")
    assert program, "no promtool on PATH; it is in Debian's package prometheus"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(
    files: list[Path], folder: Path, series: dict[str, str], expected: list[tuple[int, list[dict[str, str]]]]
) -> None:
    """Play the series of some minutes, and compare the alerts that fire at some of them."""
    inputs = [
        {"series": name, "values": f"{values}x{LENGTH}" if values != GONE else f"_x{LENGTH}"}
        for name, values in series.items()
    ]
    tests = [
        {
            "expr": 'ALERTS{alertstate="firing"}',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": _series(labels), "value": 1} for labels in firing],
        }
        for minute, firing in expected
    ]
    document = {
        "rule_files": [str(file) for file in files],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump(document))
    assert "SUCCESS" in promtool("test", "rules", str(file))


def _series(labels: dict[str, str]) -> str:
    text = ",".join(f"{name}={json.dumps(value)}" for name, value in {"alertstate": "firing", **labels}.items())
    return f"ALERTS{{{text}}}"


def test_the_files_are_rules(files: list[Path]) -> None:
    """Prometheus accepts every rule file of the chart."""
    assert "SUCCESS" in promtool("check", "rules", *map(str, files))


def test_all_are_silent_in_good_days(files: list[Path], tmp_path: Path) -> None:
    """With a healthy model and operator, beside one that stands by and others' pods and Services, nothing fires in hours."""
    check(files, tmp_path, HEALTHY, [(minute, []) for minute in (1, 20, 100, LENGTH - 5)])


@pytest.mark.parametrize("name", TROUBLES)
def test_an_alert_fires_on_its_trouble_alone(files: list[Path], tmp_path: Path, name: str) -> None:
    """Each fires when its time is over and not before, with the labels of what it is about; no other one does."""
    changed, minutes, labels = TROUBLES[name]
    fires = [{"alertname": name, **labels}]
    before = [(minutes - 2, [])] if name != "PantalaPeersFallBack" else [(1, [])]
    check(files, tmp_path, HEALTHY | changed, [*before, (minutes + 1, fires)])


def test_a_long_queue_of_work_is_told(files: list[Path], tmp_path: Path) -> None:
    """An operator that works, but never gets to the end of its queue, is as bad as one that stands still."""
    fires = {"alertname": "PantalaWorkQueueStuck", **TROUBLES["PantalaWorkQueueStuck"][2]}
    check(files, tmp_path, HEALTHY | {f"pantala_queue_depth{{{OPERATOR}}}": "60"}, [(2, []), (30, [fires])])


def test_a_queue_that_drains_is_no_trouble(files: list[Path], tmp_path: Path) -> None:
    """While fewer and fewer requests wait nobody is woken, as many as they are."""
    series = {f'pantala_queue_length{{namespace="vision",pod="resnet-v1-{pod}"}}': "2000-20" for pod in "ab"}
    check(files, tmp_path, HEALTHY | series, [(80, [])])


def test_errors_of_a_version_that_does_not_answer_yet(files: list[Path], tmp_path: Path) -> None:
    """A candidate that fails the few requests of its share is its rollout's business."""
    candidate = {
        f'pantala_version_info{{{MODEL},version="v2",service="resnet-v2",state="Serving"}}': "1",
        'pantala_service_requests_per_second{namespace="vision",service="resnet-v2"}': "1",
        'pantala_service_error_percent{namespace="vision",service="resnet-v2"}': "50",
    }
    check(files, tmp_path, HEALTHY | candidate, [(30, [])])


def test_errors_of_a_service_that_two_models_claim(files: list[Path], tmp_path: Path) -> None:
    """One of the two is told, and errors of other models too; versions without a Service are nobody's."""
    changed, minutes, labels = TROUBLES["PantalaErrorRate"]
    rows = (
        ("a", "b-c", "a-b-c"),
        ("a-b", "c", "a-b-c"),
        ("new", "v1", ""),
        ("newer", "v1", ""),
    )
    claimed = {
        f'pantala_version_info{{namespace="vision",model="{model}",version="{version}",service="{service}"}}': "1"
        for model, version, service in rows
    }
    claimed |= {f'pantala_model_info{{namespace="vision",model="{one}",version="{v}"}}': "1" for one, v, _ in rows}
    series = HEALTHY | changed | claimed
    check(files, tmp_path, series, [(minutes + 1, [{"alertname": "PantalaErrorRate", **labels}])])


def test_what_an_alert_says(files: list[Path], tmp_path: Path) -> None:
    """The text names the model, the reason of its condition and the command that tells more."""
    series = HEALTHY | condition("MetricsAvailable", "False", "NoSeries")
    (alert,) = [it for file in files for it in alerts(file.read_text()) if it["alert"] == "PantalaMetricsMissing"]
    expected = {
        "exp_labels": OF_MODEL | {"severity": "warning"},
        "exp_annotations": {
            "summary": "The autoscaler of vision/resnet has no value of a measure.",
            "description": "It does not scale down, and perhaps not up: NoSeries. The message of its condition MetricsAvailable names the next step.",
            "runbook_url": alert["annotations"]["runbook_url"],
        },
    }
    document = {
        "rule_files": [str(file) for file in files],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": f"{values}x{LENGTH}"}
                    for name, values in series.items()
                    if 'reason="MetricsFound"' not in name
                ],
                "alert_rule_test": [
                    {"eval_time": "11m", "alertname": "PantalaMetricsMissing", "exp_alerts": [expected]}
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(document))
    assert "SUCCESS" in promtool("test", "rules", str(file))


def test_every_alert_is_tried() -> None:
    """No alert of the chart is without a trouble above."""
    assert {alert["alert"] for alert in alerts((RULES / "alerts.yaml").read_text())} == set(TROUBLES)


@pytest.mark.parametrize("name", TROUBLES)
def test_every_alert_has_a_page(name: str) -> None:
    """runbook_url leads to a page of that alert, with what it means, how to look and what to do."""
    (alert,) = [it for it in alerts((RULES / "alerts.yaml").read_text()) if it["alert"] == name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    kebab = re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{kebab}.md"
    page = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert page.startswith(f"# {name}\n")
    for heading in ("## What it means", "## How to look", "## What to do"):
        assert heading in page
    assert "```console\n$ " in page


def test_the_pages_can_be_elsewhere(helm: Helm) -> None:
    """With monitoring.alerts.runbooks every alert leads there."""
    values = {"monitoring": {"alerts": {"runbooks": "https://docs.example.com/pantala/"}}}
    for alert in alerts(rendered(helm, values)["pantala.alerts.yaml"]):
        assert re.fullmatch(r"https://docs[.]example[.]com/pantala/[a-z-]+[.]md", alert["annotations"]["runbook_url"])


def test_a_prometheus_rule_needs_its_crd(helm: Helm) -> None:
    """With Prometheus Operator the same rules are a PrometheusRule with the labels of the values.

    Without alerts what the dashboards need is left, under another name; without both nothing is.
    """
    api = "--api-versions=monitoring.coreos.com/v1/PrometheusRule"
    values = {"monitoring": {"alerts": {"labels": {"release": "prometheus"}}}}

    def made(values: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
        names = ("pantala-alerts", "pantala-requests")
        return [it for it in documents(helm.template(values, *arguments)) if it["metadata"]["name"] in names]

    assert [it["kind"] for it in made(values)] == ["ConfigMap"]
    (rule,) = of_kind(made(values, api), "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    groups = [group for text in rendered(helm).values() for group in yaml.safe_load(text)["groups"]]
    assert sorted(rule["spec"]["groups"], key=lambda it: it["name"]) == sorted(groups, key=lambda it: it["name"])
    off = {"monitoring": {"alerts": {"enabled": False}, "dashboards": {"enabled": False}}}
    assert made(off, api) == []
    recorded, rule = made({"monitoring": {"alerts": {"enabled": False}}}, api)
    assert (recorded["kind"], set(recorded["data"])) == ("ConfigMap", {"pantala.requests.yaml"})
    assert {it["metadata"]["name"] for it in (recorded, rule)} == {"pantala-requests"}
    assert not [it for group in rule["spec"]["groups"] for it in group["rules"] if "alert" in it]
