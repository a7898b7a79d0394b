"""The query of the sample for KEDA, over what the chart's rules make of Istio's counters (promtool)."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts.helm import CHART, ROOT
from tests.remote.recorded import sent

SAMPLE = yaml.safe_load((ROOT / "manifests/samples/scaling-keda.yaml").read_text())
HOST = "{}.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("service", "milliseconds"),
    [("resnet-v1", 20.0), ("resnet-v2", 0.0), (None, 0.0)],
    ids=["its version", "another version", "no requests"],
)
def test_the_latency_is_that_of_the_version(tmp_path: Path, service: str | None, milliseconds: float) -> None:
    """One number: what the senders of requests to the sample's version saw, and 0 where nobody asked it for anything."""
    query = SAMPLE["spec"]["scaling"]["prometheus"][0]["query"]
    inputs = []
    for bound, values in (("10", "0+0x20"), ("20", "0+99x20"), ("+Inf", "0+100x20")) if service else ():
        labels = sent(service or "") | {"destination_service": HOST.format(service), "le": bound}
        text = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items() if value)
        inputs.append({"series": f"istio_request_duration_milliseconds_bucket{{{text}}}", "values": values})
    asked = {"expr": query, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": milliseconds}]}
    rules = str(CHART / "files/alerts/requests.yaml")
    tests = {"interval": "1m", "input_series": inputs, "promql_expr_test": [asked]}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [rules], "evaluation_interval": "1m", "tests": [tests]}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
