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
API_PRESENT = Gauge(
    "pantala_api_present",
    "1 while the operator uses a kind that a cluster may have or not, by group and kind; 0 while it is not served or refused.",
    ["group", "kind"],
)
API_REFUSED = Gauge(
    "pantala_api_refused",
    "1 while such a kind is served, and the operator's Role does not let it be watched, by group and kind.",
    ["group", "kind"],
)
