"""Which metrics of a model are read, and by what. Pure.

The pods say it themselves, by the annotations of their template: of the model server, or as the user overrode them. So a
ServiceMonitor reads the same as a scrape job for annotated pods, and `prometheus.io/scrape: "false"` ends both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.autoscaling.service_monitor import Endpoint, service_monitor
from pantala.manifest.settings import MonitorSettings
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import Availability, Observed
from pantala.traffic.service import PROMETHEUS_PATH, PROMETHEUS_PORT, PROMETHEUS_SCRAPE


def monitor(
    model: InferenceModel,
    seen: Observed,
    planned: Iterable[Manifest],
    versions: Iterable[str],
    settings: MonitorSettings | None,
    owner: Manifest,
) -> Manifest | None:
    """The model's ServiceMonitor.

    Args:
        model: The resource.
        seen: What the cluster holds.
        planned: Children as they shall be.
        versions: All versions that have objects after this plan, also those that left the spec.
        settings: How monitors are made; None: not at all.
        owner: The model's owner reference.

    Returns:
        None where models get none, where the cluster does not have the kind, and where no version has metrics.
    """
    if settings is None or seen.service_monitors is not Availability.SERVED:
        return None
    objects = {**seen.children, **{Ref.of(it): it for it in planned}}
    known = {name: _endpoint(objects, seen, name) for name in versions}
    found = _grouped(known)
    if not found:
        return None
    name, namespace = model.metadata.name, model.metadata.namespace
    return service_monitor(name, namespace, naming.labels(name), (owner,), found, settings)


def _endpoint(objects: Mapping[Ref, Manifest], seen: Observed, version: str) -> Endpoint | None:
    """Where a version has its metrics, by the name that its Service has for the port; None if it has none there."""
    name = naming.child_name(seen.name, version)
    deployment = objects.get(Ref("Deployment", seen.namespace, name))
    service = objects.get(Ref("Service", seen.namespace, name))
    if deployment is None or service is None:
        return None
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    if annotations.get(PROMETHEUS_SCRAPE) != "true":
        return None
    number = annotations.get(PROMETHEUS_PORT)
    ports = (port["name"] for port in service["spec"]["ports"] if str(port["port"]) == number)
    port = next(ports, None)
    return Endpoint(port, annotations.get(PROMETHEUS_PATH) or "/metrics") if port is not None else None


def _grouped(known: Mapping[str, Endpoint | None]) -> list[Endpoint]:
    """Each port and path once. Versions are named only where they differ, so that a new one changes nothing else."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, endpoint in known.items():
        if endpoint is not None:
            groups.setdefault((endpoint.port, endpoint.path), []).append(name)
    alike = len(groups) == 1 and None not in known.values()
    return [
        Endpoint(port, path, None if alike else tuple(sorted(names))) for (port, path), names in sorted(groups.items())
    ]
