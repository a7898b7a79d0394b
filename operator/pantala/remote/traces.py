"""The start of each replica as a trace, sent by OTLP over HTTP. Imported only where an endpoint is set.

The times are those of the ledger: the spans are made when all is over. They are sent by a thread of OpenTelemetry's own;
what cannot be sent is dropped, told once, and delays nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import set_span_in_context
from typing_extensions import override

from pantala.planner import ledger
from pantala.planner.phases import PHASES, instant
from pantala.planner.report import Started

log = logging.getLogger(__name__)

PATH = "/v1/traces"
"""What OTLP over HTTP appends to an endpoint (OpenTelemetry's specification of the exporter)."""
_DELAY_SECONDS = 1.0
_LAST_WORDS_SECONDS = 2.0
_ROOT = "replica start"


class Traces:
    """Where the starts of replicas are sent to; each batch is tried for `timeout` seconds."""

    def __init__(self, endpoint: str, timeout: float = 10.0) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + PATH, timeout=timeout)
        resource = Resource.create({SERVICE_NAME: "pantala-operator", SERVICE_VERSION: version("pantala")})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        processor = BatchSpanProcessor(_Once(exporter, endpoint), schedule_delay_millis=1000 * _DELAY_SECONDS)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("pantala")

    def send(self, namespace: str, model: str, started: Started) -> None:
        """Hand the trace of a replica to the thread that sends it."""
        entry = started.entry
        times = spans(entry)
        if not times:
            return
        counts = {f"pantala.bytes.{source}": count for source, count in entry.get("bytes", {}).items()}
        attributes = {
            "k8s.namespace.name": namespace,
            "k8s.pod.name": entry["pod"],
            "pantala.model": model,
            "pantala.version": started.version,
            **({"k8s.node.name": entry["node"]} if "node" in entry else {}),
            **({"pantala.fallback": entry["fallback"]} if "fallback" in entry else {}),
            **counts,
        }
        first, last = times[_ROOT]
        root = self._tracer.start_span(_ROOT, start_time=_nanoseconds(first), attributes=attributes)
        context = set_span_in_context(root)
        for name in PHASES:
            if name in times:
                begin, end = times[name]
                told = counts if name == "fetch" else None
                span = self._tracer.start_span(name, context, start_time=_nanoseconds(begin), attributes=told)
                span.end(_nanoseconds(end))
        root.end(_nanoseconds(last))

    def close(self) -> None:
        """Send what is left, for at most two seconds. Blocks."""
        # A thread that the end of the process does not wait for: the exporter itself would try for half a minute.
        last = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(_LAST_WORDS_SECONDS)


def spans(entry: Mapping[str, Any]) -> dict[str, tuple[datetime, datetime]]:
    """Begin and end of each phase of a start and of the whole; empty if it is not known when it began.

    Phases are placed one after the other from the creation of the pod; those after one that is unknown, because a container
    was started again, so that the last of them ends when the replica got ready.
    """
    created, ready = instant(entry.get("created")), instant(entry.get("ready"))
    if created is None or ready is None:
        return {}
    known = {name: timedelta(seconds=seconds) for name, seconds in ledger.seconds(entry).items()}
    found = {}
    at = created
    for name in PHASES:
        if name not in known:
            break
        found[name] = (at, at + known[name])
        at += known[name]
    at = ready
    for name in reversed(PHASES):
        if name in known and name not in found:
            found[name] = (at - known[name], at)
            at -= known[name]
    return {_ROOT: (created, max(ready, *(end for _, end in found.values()), created)), **found}


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000) * 1_000_000


class _FirstWords(logging.Handler):
    """Keeps what OpenTelemetry would log first about a batch: the cause; after that it tells of its own tries."""

    words = ""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.words = self.words or record.getMessage()


class _Once(SpanExporter):
    """An exporter that tells once that it fails, and once that it works again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._key, _, self._endpoint = urlsplit(endpoint).netloc.rpartition("@")
        self._failing = False
        self._words = _FirstWords()
        theirs = logging.getLogger("opentelemetry")
        theirs.addHandler(self._words)
        theirs.propagate = False

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._words.words = ""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            words = self._words.words.replace(f"{self._key}@", "")  # a URL that cannot be read is told as a whole
            log.warning("traces are dropped until %s takes them: %s", self._endpoint, words)
        elif self._failing and not failed:
            log.info("%s takes traces again", self._endpoint)
        self._failing = failed
        return result

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()
