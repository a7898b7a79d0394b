"""What a person and Prometheus see of a running fetch.

Every text leaves through `Progress.log`, which redacts it.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, start_http_server

PHASES = ("starting", "waiting", "listing", "checking", "downloading", "verifying", "placing", "done", "failed")
"""In this order; `waiting` is for another fetcher on the same volume."""
SOURCES = ("origin", "peer", "local", "cache")
"""Where bytes come from: the store, another node, the dfdaemon of this node, this volume."""
PROXY = "proxy"
"""What came through dfdaemon's HTTP proxy, which does not say whether the peers or the store gave it."""
DIRECT = "direct"
"""What the fetcher read from the store itself; it counts as `origin`."""
_MIB = 1024 * 1024


class Progress:
    """Counters of one run, the log, and the metrics."""

    def __init__(self, redact: Callable[[str], str], *, as_json: bool = False, stream: TextIO | None = None) -> None:
        """Prepare.

        Args:
            redact: takes the secrets out of a text.
            as_json: whether log lines are JSON objects.
            stream: where log lines go; default stderr.
        """
        self.redact = redact
        self._json = as_json
        self._stream = stream or sys.stderr
        self.registry = CollectorRegistry()
        """The metrics of this run alone."""
        self._bytes = Counter("pantala_fetch_bytes", "Bytes by source.", ["source"], registry=self.registry)
        self._files = Counter("pantala_fetch_files", "Files that are complete.", registry=self.registry)
        self._retries = Counter("pantala_fetch_retries", "Requests that were tried again.", registry=self.registry)
        self._expected = Gauge("pantala_fetch_expected_bytes", "Size of the model.", registry=self.registry)
        self._seconds = Gauge("pantala_fetch_seconds", "Seconds since the start.", registry=self.registry)
        self._phase = Enum("pantala_fetch_phase", "What is going on.", states=list(PHASES), registry=self.registry)
        self._started = monotonic()
        self._seconds.set_function(lambda: round(monotonic() - self._started, 3))
        self.bytes = dict.fromkeys(SOURCES, 0)
        for source in SOURCES:
            self._bytes.labels(source)
        self.direct = 0
        """Bytes of `origin` that this process read itself; the others are dfdaemon's."""
        self.expected = 0
        self._window = (self._started, 0)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._started

    def serve(self, port: int) -> None:
        """Serve `/metrics`; a port in use costs the metrics, never the weights."""
        try:
            start_http_server(port, registry=self.registry)
        except OSError as error:
            self.log("metrics are not served", level="warning", port=port, cause=os.strerror(error.errno or 0))

    def log(self, message: str, *, level: str = "info", **fields: Any) -> None:
        """Write one line: a sentence and its figures."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._json:
            line = json.dumps({"time": now, "level": level, "message": message, **fields}, ensure_ascii=False)
        else:
            tail = "".join(f" {key}={value}" for key, value in fields.items())
            line = f"{now} {level.upper():<7} {message}{tail}"
        try:
            print(self.redact(line).replace("\n", " "), file=self._stream, flush=True)
        except (BrokenPipeError, UnicodeEncodeError):
            return  # nobody reads; the weights matter more

    def phase(self, name: str, *, level: str = "info", **fields: Any) -> None:
        """Enter a phase of PHASES."""
        self._phase.state(name)
        self.log(name, level=level, **fields)

    def add_bytes(self, source: str, number: int) -> None:
        """Count bytes of a source, of PROXY or of DIRECT."""
        if source == DIRECT:
            source = "origin"
            self.direct += number
        self.bytes[source] = self.bytes.get(source, 0) + number
        self._bytes.labels(source).inc(number)

    def add_files(self, number: int) -> None:
        """Count complete files."""
        self._files.inc(number)

    def expect(self, size: int) -> None:
        """Set the size of the model in bytes."""
        self.expected = size
        self._expected.set(size)

    def retried(self, subject: str, cause: str, delay: float) -> None:
        """Count and tell a retry."""
        self._retries.inc()
        self.log("retrying", level="warning", subject=subject, cause=cause, after_seconds=round(delay, 2))

    def report(self) -> None:
        """Tell percent and rate since the last report."""
        now, have = monotonic(), sum(self.bytes.values())
        since, before = self._window
        self._window = (now, have)
        rate = (have - before) / max(now - since, 1e-6)
        percent = 100 * have // self.expected if self.expected else 100
        left = round((self.expected - have) / rate) if rate > 0 else None
        sources: dict[str, Any] = {f"{name}_mib": number // _MIB for name, number in self.bytes.items() if number}
        self.log(
            "downloading",
            percent=min(percent, 100),
            mib=have // _MIB,
            of_mib=self.expected // _MIB,
            mib_per_second=round(rate / _MIB, 1),
            seconds_left=left,
            **sources,
        )
