"""Counters of what the operator asks of the API server."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

API_CALLS = Counter(
    "pantala_api_calls_total",
    "Requests to the API server by method and status code (none: no answer).",
    ["method", "code"],
)
WATCH_EVENTS = Counter("pantala_watch_events_total", "Events received from watches, by resource.", ["resource"])
WATCH_RESTARTS = Counter(
    "pantala_watch_restarts_total", "Lists that a watch had to start with, by resource.", ["resource"]
)
CACHED_OBJECTS = Gauge("pantala_cached_objects", "Objects in the cache, by resource.", ["resource"])
WRITES = Counter("pantala_child_writes_total", "Writes of child objects by action and kind.", ["action", "kind"])
