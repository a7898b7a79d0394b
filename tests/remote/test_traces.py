"""The starts of replicas as a collector receives them: real OTLP over HTTP, decoded by OpenTelemetry's own types."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pantala.planner.report import Started
from pantala.remote.traces import Traces, spans
from tests.cluster.process import free_port, wait_for
from tests.remote.receiver import Receiver, attributes

ENTRY: dict[str, Any] = {
    "pod": "resnet-v1-abc",
    "node": "gpu-1",
    "created": "2026-01-02T03:00:00Z",
    "ready": "2026-01-02T03:00:19Z",
    "phases": {
        "scheduled": "1s",
        "prepare": "3s",
        "fetch": "1s500ms",
        "image": "1s",
        "load": "12s",
        "ready": "0s",
    },
    "bytes": {"origin": 5, "peer": 7, "local": 0, "cache": 0},
    "fallback": "Stalled: nothing came for 60 s",
}
SECOND = 10**9


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def test_trace_of_a_start(receiver: Receiver) -> None:
    """A replica is one trace: the whole start, and in it a span for each phase at its time; bytes by source are attributes."""
    traces = Traces(receiver.url + "/")
    traces.send("vision", "resnet", Started("v1", ENTRY))
    traces.close()
    assert receiver.paths == ["/v1/traces"]
    assert receiver.service == "pantala-operator"
    ((found),) = receiver.traces().values()
    assert sorted(found) == sorted(["replica start", *ENTRY["phases"]])
    root = found["replica start"]
    assert root.parent_span_id == b""
    assert all(span.parent_span_id == root.span_id for span in found.values() if span is not root)
    begin = root.start_time_unix_nano
    assert begin == 1767322800 * SECOND
    assert root.end_time_unix_nano - begin == 19 * SECOND
    assert {
        name: ((span.start_time_unix_nano - begin) / SECOND, (span.end_time_unix_nano - begin) / SECOND)
        for name, span in found.items()
        if span is not root
    } == {
        "scheduled": (0, 1),
        "prepare": (1, 4),
        "fetch": (4, 5.5),
        "image": (5.5, 6.5),
        "load": (6.5, 18.5),
        "ready": (18.5, 18.5),
    }
    assert attributes(root.attributes) == {
        "k8s.namespace.name": "vision",
        "k8s.pod.name": "resnet-v1-abc",
        "k8s.node.name": "gpu-1",
        "pantala.model": "resnet",
        "pantala.version": "v1",
        "pantala.fallback": "Stalled: nothing came for 60 s",
        "pantala.bytes.origin": 5,
        "pantala.bytes.peer": 7,
        "pantala.bytes.local": 0,
        "pantala.bytes.cache": 0,
    }
    assert attributes(found["fetch"].attributes)["pantala.bytes.peer"] == 7


def test_unknown_phases() -> None:
    """What lies before a container that was started again is unknown: the phases after it are placed before ready."""
    phases = {name: span for name, span in ENTRY["phases"].items() if name != "image"}
    found = spans({**ENTRY, "phases": phases, "restarts": 1})
    at = {name: (begin.second + begin.microsecond / 1e6, end.second) for name, (begin, end) in found.items()}
    assert at["fetch"][0] == 4
    assert at["load"] == (7, 19)
    assert at["replica start"] == (0, 19)
    assert spans({"pod": "p", "ready": ENTRY["ready"]}) == {}


def test_a_collector_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Handing over takes no time, the failure is told once with its cause and without the URL's password; later traces arrive."""
    caplog.set_level(logging.INFO)
    port = free_port()
    traces = Traces(f"http://somebody:hidden@127.0.0.1:{port}", timeout=2)

    def told() -> list[str]:
        # What goes to OpenTelemetry's own loggers never reaches the operator's log; pytest sees it all the same.
        return [record.getMessage() for record in caplog.records if record.name.startswith("pantala")]

    def send() -> None:
        begun = time.perf_counter()
        traces.send("vision", "resnet", Started("v1", ENTRY))
        assert time.perf_counter() - begun < 0.5

    send()
    wait_for(lambda: bool(told()), "a word about the failure", 30)
    send()
    with Receiver(port) as receiver:
        wait_for(lambda: bool(receiver.spans), "spans", 30)
        wait_for(lambda: len(told()) == 2, "a word about the end of the failure", 30)
    failure, healed = told()
    assert failure.startswith(f"traces are dropped until 127.0.0.1:{port} takes them: ")
    assert "refused" in failure
    assert healed == f"127.0.0.1:{port} takes traces again"
    assert "hidden" not in caplog.text
    assert not logging.getLogger("opentelemetry").propagate
    begun = time.perf_counter()
    send()
    traces.close()
    assert time.perf_counter() - begun < 5


def test_an_endpoint_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    """The cause repeats the URL, and is told without its password."""
    traces = Traces("http://somebody:hidden@127.0.0.1:99999", timeout=2)
    traces.send("vision", "resnet", Started("v1", ENTRY))

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name.startswith("pantala")]

    wait_for(lambda: bool(told()), "a word about the failure", 30)
    traces.close()
    assert "http://127.0.0.1:99999" in told()[0]
    assert "hidden" not in told()[0]


def test_nothing_is_imported_without_an_endpoint() -> None:
    """An operator without an endpoint does not even load OpenTelemetry."""
    code = (
        "import sys; from pantala.cli.main import main; from pantala.handlers.operator import Options;"
        "from pantala.handlers.remotes import traces; assert traces(Options().otlp_endpoint) is None;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
