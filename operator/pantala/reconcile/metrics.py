"""The operator's own metrics about its work."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("pantala_reconciles_total", "Passes over a model by result: done, retry or error.", ["result"])
RECONCILE_SECONDS = Histogram("pantala_reconcile_seconds", "Duration of one pass over a model, writes included.")
QUEUE_DEPTH = Gauge("pantala_queue_depth", "Models that wait for a worker.")
LEADER = Gauge("pantala_leader", "1 while this process is the active operator.")
