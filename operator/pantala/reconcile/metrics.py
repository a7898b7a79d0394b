"""The operator's own metrics about its work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from pantala.planner import account, ledger

RECONCILES = Counter("pantala_reconciles_total", "Passes over a model by result: done, retry or error.", ["result"])
RECONCILE_SECONDS = Histogram("pantala_reconcile_seconds", "Duration of one pass over a model, writes included.")
QUEUE_DEPTH = Gauge("pantala_queue_depth", "Models that wait for a worker.")
LEADER = Gauge("pantala_leader", "1 while this process is the active operator.")

_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
PHASE_SECONDS = Histogram(
    "pantala_replica_phase_seconds",
    "Duration of the phases of replicas that got ready: scheduled, prepare, fetch, image, load, ready.",
    ["phase"],
    buckets=_SECONDS,
)
START_SECONDS = Histogram(
    "pantala_replica_start_seconds", "From the creation of a replica's pod until it was ready.", buckets=_SECONDS
)
FETCHED = Counter(
    "pantala_fetched_bytes_total", "Bytes that replicas fetched before they got ready, by source.", ["source"]
)
FALLBACKS = Counter(
    "pantala_fallbacks_total", "Replicas that read the store because peers did not deliver, by reason.", ["reason"]
)
for _result in ("done", "retry", "error"):
    RECONCILES.labels(_result)  # from the start: of a counter that is born with its first error no rate is seen
for _source in account.SOURCES:
    FETCHED.labels(_source)
for _reason in sorted(account.FALLBACKS):
    FALLBACKS.labels(_reason)


def started(entry: Mapping[str, Any]) -> None:
    """Count a replica that got ready, from its entry in the ledger."""
    for phase, seconds in ledger.seconds(entry).items():
        PHASE_SECONDS.labels(phase).observe(seconds)
    total = ledger.total_seconds(entry)
    if total is not None:
        START_SECONDS.observe(total)
    for source, count in entry.get("bytes", {}).items():
        FETCHED.labels(source).inc(count)
    if "fallback" in entry:
        FALLBACKS.labels(account.reason(entry["fallback"])).inc()
