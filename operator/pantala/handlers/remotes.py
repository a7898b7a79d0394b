"""What the operator asks and tells beside the API server: Prometheus, and a collector of traces. Each only where it is configured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pantala.cluster import metrics_api
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.objects import Key
from pantala.manifest.settings import Settings
from pantala.planner.measured import told
from pantala.reconcile.measurements import Measurer, targets
from pantala.reconcile.metric_probe import MetricProbe

if TYPE_CHECKING:
    from pantala.remote.prometheus import Prometheus
    from pantala.remote.traces import Traces


def probe(client: Client, settings: Settings, wake: Callable[[Key], None]) -> MetricProbe:
    """Finds out why a measure is missing; `wake` is called with models of which it is known now."""
    return MetricProbe(
        partial(metrics_api.look, client),
        _prometheus(settings),
        wake,
        settings.autoscaling.probe_interval,
        queries=asks_for_users(settings),
    )


def measurer(cache: Cache, settings: Settings, wake: Callable[[Key], None]) -> Measurer | None:
    """Reads what versions have got of the requests; None without Prometheus."""
    prometheus = _prometheus(settings)
    if prometheus is None:
        return None
    return Measurer(
        prometheus,
        lambda: targets(cache.models()),
        lambda key: told(cache.status(key).get("traffic") or ()),
        wake,
    )


def traces(endpoint: str | None) -> Traces | None:
    """Where traces are sent. Only here OpenTelemetry is imported: who does not use it does not pay for it."""
    if not endpoint:
        return None
    from pantala.remote.traces import Traces  # noqa: PLC0415 -- see above

    return Traces(endpoint)


def asks_for_users(settings: Settings) -> bool:
    """Whether Prometheus may be asked what users wrote: not if the operator has a credential there, and KEDA has none."""
    # Who asks may be told without a password: https://TOKEN:@HOST has an empty one.
    secret = settings.prometheus_token_file is not None or "@" in urlsplit(settings.prometheus_url or "").netloc
    return not secret or settings.autoscaling.keda_authentication is not None


def _prometheus(settings: Settings) -> Prometheus | None:
    """A client of its own for each thread. Only here it is imported: who has no Prometheus does not pay for it."""
    if not settings.prometheus_url:
        return None
    from pantala.remote.prometheus import Prometheus  # noqa: PLC0415 -- see above

    return Prometheus(settings.prometheus_url, settings.prometheus_token_file)
