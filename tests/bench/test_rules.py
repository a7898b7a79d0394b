"""`make bench`: how long the chart's recording rules take for 5000 pods with a card and a Triton each."""

import time
from collections.abc import Iterator

import pytest
import yaml
from rich.console import Console
from rich.table import Table

from tests.bench import remote_write
from tests.bench.remote_write import Sample
from tests.charts import rules

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

PODS = 5000
SCRAPES = 9
"""At intervals of 15 s: a window of 2 minutes is full."""
CARD = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE")
SERVER = (
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_queue_duration_us",
    "nv_inference_pending_request_count",
)


def _scrape(number: int) -> Iterator[Sample]:
    for pod in range(PODS):
        who = {"namespace": f"team-{pod % 50}", "pod": f"model-{pod}"}
        node = {"job": "dcgm-exporter", "instance": f"node-{pod // 8}:9400", "gpu": str(pod % 8)}
        for name in CARD:
            yield {"__name__": name, **who, **node}, 50.0
        where = {"job": "models", "instance": f"{pod}:8002", "model": f"model-{pod}", "version": "1"}
        for name in SERVER:
            yield {"__name__": name, **who, **where}, 10.0 * number
        yield {"__name__": "up", "job": "models", "instance": f"{pod}:8002", **who}, 1.0


def test_rules_of_a_large_fleet() -> None:
    """Every rule is evaluated in far less than its interval of 15 s; the times are printed."""
    table = Table("rule", "series", "seconds", title=f"{PODS} pods")
    begin = time.time() - SCRAPES * 15
    with remote_write.prometheus() as url:
        for number in range(SCRAPES):
            remote_write.write(url, begin + number * 15, _scrape(number))
        now = begin + (SCRAPES - 1) * 15
        for group in yaml.safe_load(rules.file())["groups"]:
            for rule in group["rules"]:
                started = time.monotonic()
                found = sum(len(pods) for pods in remote_write.ask(url, rule["expr"], now).values())
                took = time.monotonic() - started
                table.add_row(rule["record"], str(found), f"{took:.2f}")
                assert took < 5, rule["record"]
    Console().print(table)
