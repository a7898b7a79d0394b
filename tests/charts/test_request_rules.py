"""What the rules of the dashboards and alerts make of a mesh's counters, value by value (promtool)."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts.helm import CHART
from tests.remote.recorded import came, sent

FILE = CHART / "files/alerts/requests.yaml"
ERRORS, TIMES = "pantala_service_error_percent", 'pantala_service_milliseconds{quantile="0.5"}'
TARGET = {"job": "proxies", "instance": "10.0.1.1:15090"}
PLACES = [
    {"namespace": "istio-system", "service": "gateway"},
    {"namespace": "istio-system", "service": "gateway-metrics"},
    {"namespace": "ingress", "service": "gateway"},
]
"""Labels by which alone the targets in these tests differ, and which the answers have as well."""
ENVOY = {"cluster_name": "outbound|80||resnet-v1.vision.svc.cluster.local"}
KINDS = {
    "senders": ("istio_requests_total", "istio_request_duration_milliseconds_bucket", sent("resnet-v1")),
    "servers": ("istio_requests_total", "istio_request_duration_milliseconds_bucket", came("resnet-v1")),
    "envoy": ("envoy_cluster_upstream_rq_xx", "envoy_cluster_upstream_rq_time_bucket", ENVOY),
}
CODES = {"senders": "response_code", "servers": "response_code", "envoy": "envoy_response_code_class"}


def _series(name: str, *labels: dict[str, str]) -> str:
    together = {key: value for some in labels for key, value in some.items() if value}
    return f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in together.items())}}}"


def _played(folder: Path, series: dict[str, str], answers: dict[str, list[tuple[str, float]]]) -> None:
    """Let promtool evaluate the rules for ten minutes, and compare all that queries answer then."""
    asked = [
        {"expr": query, "eval_time": "10m", "exp_samples": [{"labels": one, "value": value} for one, value in expected]}
        for query, expected in answers.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    tests = {"interval": "1m", "input_series": inputs, "promql_expr_test": asked}
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": [tests]}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_targets_that_differ_by_what_the_answers_are_called_by(tmp_path: Path, kind: str) -> None:
    """Requests of a proxy with labels `namespace` and `service` of its own are counted for the Service that they went to."""
    counter, histogram, labels = KINDS[kind]
    good, bad = ("2", "5") if kind == "envoy" else ("200", "503")
    found: dict[str, str] = {}
    for place in PLACES:
        for code, values in ((good, "0+90x20"), (bad, "0+10x20")):
            found[_series(counter, TARGET, place, labels | {CODES[kind]: code})] = values
        for bound, values in (("10", "0+50x20"), ("20", "0+100x20"), ("+Inf", "0+100x20")):
            found[_series(histogram, TARGET, place, labels | {"le": bound})] = values
    service = {"namespace": "vision", "service": "resnet-v1"}
    answers = {
        f"round({ERRORS}, 0.001)": [(_series("", service), 10.0)],
        f"round({TIMES}, 0.001)": [(_series("", service, {"quantile": "0.5"}), 10.0)],
    }
    _played(tmp_path, found, answers)


def test_hosts_that_are_no_services(tmp_path: Path) -> None:
    """What goes to hosts outside of the cluster is no Service's."""
    outside = sent("resnet-v1") | {"destination_service": "resnet-v1.example.com"}
    found = {_series("istio_requests_total", TARGET, PLACES[0], outside): "0+90x20"}
    _played(tmp_path, found, {ERRORS: []})
