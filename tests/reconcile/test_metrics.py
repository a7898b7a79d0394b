"""What the operator counts of replicas that got ready."""

from prometheus_client import REGISTRY

from pantala.reconcile import metrics

PHASES = {"scheduled": "1s", "prepare": "3s", "fetch": "1s500ms", "image": "1s", "load": "12s", "ready": "0s"}
ENTRY = {
    "pod": "p",
    "created": "2026-01-02T03:00:00Z",
    "ready": "2026-01-02T03:00:19Z",
    "phases": PHASES,
    "bytes": {"origin": 5, "peer": 7},
}


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_replica_that_got_ready() -> None:
    """Phases and the whole start are histograms, bytes are counted by source, fallbacks by the fetcher's word alone."""
    spent, peers = (
        value("pantala_replica_phase_seconds_sum", phase="fetch"),
        value("pantala_fetched_bytes_total", source="peer"),
    )
    starts, total = value("pantala_replica_start_seconds_count"), value("pantala_replica_start_seconds_sum")
    metrics.started(ENTRY)
    assert value("pantala_replica_phase_seconds_sum", phase="fetch") == spent + 1.5
    assert value("pantala_fetched_bytes_total", source="peer") == peers + 7
    assert value("pantala_replica_start_seconds_count") == starts + 1
    assert value("pantala_replica_start_seconds_sum") == total + 19


def test_restarted_replica() -> None:
    """A replica whose containers were restarted has no time from created to ready that means anything."""
    starts = value("pantala_replica_start_seconds_count")
    metrics.started({**ENTRY, "restarts": 1})
    assert value("pantala_replica_start_seconds_count") == starts


def test_fallbacks() -> None:
    """Whatever a pod calls its fallback, there are only as many reasons as the documentation has, and one for all others."""
    other, stalled = (value("pantala_fallbacks_total", reason=reason) for reason in ("Other", "Stalled"))
    metrics.started({**ENTRY, "fallback": "Stalled: nothing came"})
    metrics.started({**ENTRY, "fallback": "made up by a pod"})
    assert value("pantala_fallbacks_total", reason="Stalled") == stalled + 1
    assert value("pantala_fallbacks_total", reason="Other") == other + 1
