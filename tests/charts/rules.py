"""The chart's recording rules, and what they make of series that a test writes: evaluated by promtool, at once, for any time.

promtool has no scrape: `scraped` does with labels what Prometheus does then. tests/charts/test_recording_rules_live.py sees
Prometheus itself do it.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.charts.helm import Helm, documents, of_kind

EXPORTERS = Path(__file__).parents[1] / "autoscaling/exporters"
"""Texts of exporters; the first line of each says where it is from."""
TARGET = {"job": "exporter", "instance": "10.0.0.9:9400", "namespace": "monitoring", "pod": "exporter-x7k2p"}
"""Labels of a target that Prometheus' discovery of Kubernetes found, as most jobs attach them."""
VISION, LANGUAGE = ("vision", "resnet-v1-6c9f5d7b8-abcde"), ("language", "llama-v2-59d4b8c6f-x7k2p")
"""Namespace and name of the two pods in the texts."""

Answer = tuple[str, str, Mapping[tuple[str, str], float]]
"""A query, when it is asked (`5m`), and all that it answers, by namespace and name."""
Series = dict[str, str]
"""Values in promtool's notation by series: `{'up{job="a"}': "1+0x20"}`."""

_LINE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def file(values: Mapping[str, Any] | None = None) -> str:
    """The file of rules that the chart renders with values of `autoscaling`."""
    return _file(json.dumps(values or {}))


@cache
def _file(values: str) -> str:
    text = Helm().template({"autoscaling": json.loads(values)}, "--show-only=templates/recording-rules.yaml")
    (config,) = of_kind(documents(text), "ConfigMap")
    (content,) = config["data"].values()
    return str(content)


def expression(record: str, values: Mapping[str, Any] | None = None) -> str:
    """The PromQL of one rule."""
    groups = yaml.safe_load(file(values))["groups"]
    (found,) = [rule["expr"] for group in groups for rule in group["rules"] if rule["record"] == record]
    return str(found)


def text(name: str) -> str:
    """One of the texts of exporters."""
    return (EXPORTERS / f"{name}.prom").read_text()


def scraped(
    exposition: str,
    target: Mapping[str, str] = TARGET,
    *,
    honor_labels: bool = False,
    grow: bool = False,
    steps: int = 20,
) -> Series:
    """The series that Prometheus makes of an exporter's text, for `steps` scrapes, and the target's `up`.

    Args:
        exposition: The text.
        target: Labels of the target.
        honor_labels: Whether labels of the text win over those of the target; else they get the prefix `exported_`.
        grow: Whether values begin at 0 and grow by themselves with each scrape, as counters do; else they stay.
        steps: How many scrapes follow the first.
    """
    found = {_series("up", target): f"1+0x{steps}"}
    for line in exposition.splitlines():
        if match := _LINE.fullmatch(line.strip()) if not line.startswith("#") else None:
            own = {key: value for key, value in _LABEL.findall(match["labels"] or "") if value}
            if not honor_labels:
                own = {f"exported_{key}" if key in target else key: value for key, value in own.items()}
            value = float(match["value"])
            values = f"0+{value}x{steps}" if grow else f"{value}+0x{steps}"
            found[_series(match["name"], {**target, **own})] = values
    return found


def scraped_pods(exposition: str, *pods: tuple[str, str], grow: bool = False, job: str = "models") -> Series:
    """The series of one model server's text in each of some pods (namespace and name)."""
    found: Series = {}
    for number, (namespace, pod) in enumerate(pods):
        target = {"job": job, "instance": f"10.0.1.{number}:8002", "namespace": namespace, "pod": pod}
        found |= scraped(exposition, target, grow=grow)
    return found


def _series(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
    return f"{name}{{{inside}}}"


def expect(
    series: Series,
    *answers: Answer,
    autoscaling: Mapping[str, Any] | None = None,
    label: str = "pod",
) -> None:
    """Let promtool evaluate the rules every 15 s and compare what queries answer, to a thousandth.

    Args:
        series: What there is, with a sample every 15 s from 0 s on.
        answers: What is asked, when, and the whole answer.
        autoscaling: The chart's values of `autoscaling`.
        label: Label with the name of whom an answer is about.

    Raises:
        AssertionError: something else was answered; the message is promtool's.
    """
    tests = {
        "interval": "15s",
        "input_series": [{"series": name, "values": notation} for name, notation in series.items()],
        "promql_expr_test": [_asked(answer, label) for answer in answers],
    }
    with tempfile.TemporaryDirectory() as folder:
        rules, test = Path(folder) / "rules.yaml", Path(folder) / "test.yaml"
        rules.write_text(file(autoscaling))
        test.write_text(yaml.safe_dump({"rule_files": [rules.name], "evaluation_interval": "15s", "tests": [tests]}))
        done = subprocess.run(["promtool", "test", "rules", test], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _asked(answer: Answer, label: str) -> dict[str, Any]:
    query, at, values = answer
    samples = [
        {"labels": _series("", {"namespace": namespace, label: name}), "value": value}
        for (namespace, name), value in sorted(values.items())
    ]
    return {"expr": f"round({query}, 0.001)", "eval_time": at, "exp_samples": samples}
