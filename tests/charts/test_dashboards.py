"""The chart's dashboards: Grafana can read them, and every query has an answer in a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import pantala.handlers.operator  # noqa: F401 - registers the metrics of all parts
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.autoscaling import signals
from pantala.planner import scaling
from pantala.reconcile import metrics
from pantala.reconcile.exposition import FAMILIES
from tests.charts.fleet import SHARED, Fleet
from tests.charts.helm import CHART, ROOT, Helm, documents, of_kind
from tests.charts.monitored import Monitored, recorded

FILES = sorted((CHART / "files/dashboards").glob("*.json"))
UNITS = {"short", "percent", "percentunit", "reqps", "ops", "wps", "ms", "s", "bytes"}
"""Units that Grafana knows (its packages/grafana-data/src/valueFormats/categories.ts)."""
KINDS = {"row", "stat", "table", "timeseries", "state-timeline"}
ITS_OWN = {"__rate_interval", "__data", "__all"}
"""Variables that Grafana has by itself."""
CHOSEN = {"namespace": "vision", "model": "resnet", "version": ".*", "__rate_interval": "5m"}
"""Values of variables, as Grafana puts them into a query."""
SHOWN_BY = {"Without a value": ("text", "bert")}
"""Namespace and name of the model with which a panel shows something, where it is not resnet."""


def dashboard(path: Any) -> dict[str, Any]:
    """A dashboard."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """All panels, with the name of their dashboard."""
    for path in FILES:
        for panel in dashboard(path)["panels"]:
            if panel["type"] != "row":
                yield path.stem, panel


def expressions() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """All queries with the title of their panel and their target."""
    for name, panel in panels():
        for target in panel["targets"]:
            yield f"{name}: {panel['title']}", target["expr"], target


def chosen(expr: str, **values: str) -> str:
    """A query with values in place of its variables."""
    known = CHOSEN | values
    return re.sub(r"\$(\w+)", lambda found: known[found[1]], expr)


@pytest.fixture(scope="module")
def monitored() -> Iterator[Monitored]:
    """Four hours of a fleet, told by the operator that leads."""
    before = metrics.LEADER._value.get()
    metrics.LEADER.set(1)
    with Monitored() as found:
        yield found
    metrics.LEADER.set(before)


def test_they_are_made_of_their_panels() -> None:
    """The JSON is what `python charts/dashboards` writes."""
    done = subprocess.run(
        [sys.executable, ROOT / "charts/dashboards", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_grafana_can_lay_them_out(path: Any) -> None:
    """Panels have numbers of their own and do not overlap; kinds and units are Grafana's; each says what it shows."""
    found = dashboard(path)
    assert found["uid"] == f"pantala-{path.stem}"
    assert found["schemaVersion"] == 39
    numbers = [panel["id"] for panel in found["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["type"] in KINDS
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        refs = [target["refId"] for target in panel["targets"]]
        assert refs
        assert len(set(refs)) == len(refs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_variables_are_defined(path: Any) -> None:
    """The datasource is a variable everywhere, and no query has a variable that nobody defines."""
    text = path.read_text()
    found = json.loads(text)
    defined = {variable["name"] for variable in found["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", text)) <= defined | ITS_OWN
    assert "datasource" in defined
    sources = re.findall(r'"uid": "(.+)"', text)
    assert set(sources) == {found["uid"], "${datasource}"}
    assert all("datasource" in target for panel in found["panels"] for target in panel.get("targets", ()))


def test_every_series_exists(tmp_path: Any) -> None:
    """What dashboards and alerts ask for is told by the operator's code or made by the chart's rules."""
    known = set(FAMILIES)
    for family in REGISTRY.collect():
        known |= {
            family.name,
            f"{family.name}_total",
            f"{family.name}_bucket",
            f"{family.name}_sum",
            f"{family.name}_count",
        }
    rules = "".join((tmp_path / name).read_text() for name in recorded(tmp_path))
    made = set(re.findall(r"record: (\w+)", rules))
    assert {*signals.POD_SERIES, *signals.SERVICE_SERIES} <= made
    asked = [expr for _, expr, _ in expressions()]
    asked.append((CHART / "files/alerts/alerts.yaml").read_text().split("groups:", 1)[1])
    names = set(re.findall(r"\b(?:pantala|process)_\w+", " ".join(asked)))
    assert len(names) > 20
    assert names <= known | made


@pytest.mark.parametrize(
    ("title", "expr", "target"), list(expressions()), ids=[f"{title} {t['refId']}" for title, _, t in expressions()]
)
def test_every_query_has_an_answer(monitored: Monitored, title: str, expr: str, target: dict[str, Any]) -> None:
    """With a broken model, and measures that were missing for a while, every query of every panel returns data.

    That the operator is scraped twice for some minutes makes no query fail.
    """
    dashboard, _, panel = title.partition(": ")
    space, model = SHOWN_BY.get(panel, ("vision", "resnet"))
    query = chosen(expr, namespace=".*" if dashboard == "fleet" else space, model=model)
    found = monitored.range(query)
    values = [float(value) for series in found for _, value in series["values"]]
    assert any(value == value for value in values), query  # noqa: PLR0124 -- NaN is no answer
    legend = target.get("legendFormat", "")
    for label in re.findall(r"{{(\w+)}}", legend):
        assert all(label in series["metric"] for series in found), (title, label)


def test_use_of_a_share(monitored: Monitored) -> None:
    """With half of a card its use is shown in percent of that half, and 100 percent of the target is where the HPA aims."""

    def panel(title: str, series: str) -> dict[int, float]:
        (expr,) = [expr for name, expr, _ in expressions() if name == title and series in expr]
        query = chosen(expr, model=SHARED, namespace="text")
        (found,) = [it for it in monitored.range(query) if it["metric"].get("model", SHARED) == SHARED]
        return {int(time): float(value) for time, value in found["values"]}

    (card,) = monitored.range(f'pantala_gpu_utilization{{pod=~"{SHARED}-.+"}}')
    whole = {int(time): float(value) for time, value in card["values"]}
    assert len(whole) > 200
    for title in ("fleet: Use of cards", "model: Use of cards"):
        assert panel(title, "pantala_gpu_utilization") == pytest.approx({time: 2 * it for time, it in whole.items()})
    fleet = Fleet()
    list(fleet.at(0))
    (key,) = [key for key in fleet.cache.keys() if key.name == SHARED]  # noqa: SIM118 -- no mapping
    seen = fleet.cache.observe(key)
    assert seen is not None
    version = resolve.resolve(InferenceModel.read({**seen.model, "status": {}}), "v1")
    (signal,) = scaling.of(version, "hami")
    aims = {time: 100 * it / float(signal.target) for time, it in whole.items()}
    assert panel("model: Measures, in percent of their targets", "GPUUtilization") == pytest.approx(aims)


def test_alerts_find_the_troubles_of_the_fleet(monitored: Monitored) -> None:
    """What alerts ask for holds of the models that had such a trouble in the four hours, and of no others."""
    found: dict[str, set[str | None]] = {}
    for group in yaml.safe_load((CHART / "files/alerts/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            series = monitored.range(rule["expr"])
            found[rule["alert"]] = {one["metric"].get("model", one["metric"].get("reason")) for one in series}
    assert found == {
        "PantalaModelNotReady": {"broken"},
        "PantalaModelStalled": {"broken"},
        "PantalaMetricsMissing": {"bert"},
        "PantalaAtMaxReplicas": {"bert"},
        "PantalaGpuIdle": {"broken"},
        "PantalaQueueGrowing": {"bert", "clip", "ocr", "whisper"},
        "PantalaErrorRate": {"whisper"},
        "PantalaOperatorDown": set(),
        "PantalaWorkQueueStuck": set(),
        "PantalaReconcileErrors": {None},
        "PantalaPeersFallBack": {"Stalled"},
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_variables_have_values(monitored: Monitored, path: Any) -> None:
    """What can be chosen is found in Prometheus."""
    for variable in dashboard(path)["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found
            values = {series["metric"].get(found[2]) for series in monitored.query(chosen(found[1]))}
            assert values
            assert None not in values


def test_config_maps_for_grafanas_sidecar() -> None:
    """Each dashboard is a ConfigMap that a sidecar finds, with the JSON as it is in the repository; or there is none."""

    def made(**values: Any) -> list[dict[str, Any]]:
        objects = of_kind(documents(Helm().template({"monitoring": {"dashboards": values}})), "ConfigMap")
        return [it for it in objects if "-dashboard-" in it["metadata"]["name"]]

    found = made()
    assert [it["metadata"]["name"] for it in found] == [f"pantala-dashboard-{path.stem}" for path in FILES]
    for it, path in zip(found, FILES, strict=True):
        assert it["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(it["data"][f"pantala-{path.name}"]) == dashboard(path)
        assert len(json.dumps(it)) < 1_000_000  # etcd's limit for an object
    (labelled, _) = made(labels={"grafana_dashboard": None, "boards": "yes"}, annotations={"grafana_folder": "Models"})
    assert labelled["metadata"]["labels"]["boards"] == "yes"
    assert labelled["metadata"]["annotations"] == {"grafana_folder": "Models"}
    assert made(enabled=False) == []
