"""Whose requests a mesh counts, read off its own series as the chart's recording rule does (charts/pantala/files/rules/mesh.yaml). Pure.

A mesh has a series for each pair of workloads, path and code: of all these Prometheus is asked only for the Services of some
namespaces, each once, and whether there is any series at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pantala.autoscaling.promql import fresh

ISTIO, ENVOY = "istio_requests_total", "envoy_cluster_upstream_rq_xx"
"""Counters of requests: of Istio's standard metrics, and of a plain Envoy."""
SERIES = (ISTIO, ENVOY)
"""All of them, the usual one first."""
HOST = r"([^.]+)[.]([^.]+)[.]svc[.].+"
"""The host name of a Service: its name and its namespace."""
CLUSTER = rf"outbound[|][0-9]+[|][^|]*[|]{HOST}"
"""An Envoy's cluster of a Service, called as Istio calls them."""


@dataclass(frozen=True)
class Mesh:
    """What the mesh counts."""

    series: frozenset[str] = frozenset()
    """Names of the series that there are, of whatever Service."""
    services: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Name of a series of each Service, by namespace and name."""


def query(namespaces: Iterable[str]) -> str:
    """PromQL for the Services of these namespaces that the mesh counts requests of; `read` reads its answer."""
    some = f"({'|'.join(sorted(set(namespaces)))})"  # names of namespaces need no escaping
    host = HOST.replace("[.]([^.]+)[.]", f"[.]{some}[.]", 1)
    sides = (
        (f'{ISTIO}{{reporter="destination",destination_workload_namespace=~"{some}"}}', _ARRIVED),
        (f'{ISTIO}{{reporter="source",destination_service=~"{host}"}}', ("destination_service",)),
        (f'{ENVOY}{{cluster_name=~"{CLUSTER.replace(HOST, host)}"}}', ("cluster_name",)),
    )
    parts = [f"count by (__name__, {', '.join(labels)}) {fresh(one)}" for one, labels in sides]
    return " or ".join([*parts, f'count by (__name__) ({{__name__=~"{"|".join(SERIES)}"}})'])


def read(rows: Iterable[Mapping[str, str]]) -> Mesh:
    """What the labels of an answer say."""
    series: set[str] = set()
    services: dict[tuple[str, str], str] = {}
    for row in rows:
        name = row.get("__name__", "")
        series.add(name)
        service = _service(row)
        if service is not None:
            services.setdefault(service, name)
    return Mesh(frozenset(series), services)


_ARRIVED = ("destination_workload_namespace", "destination_workload")
"""The Deployment that got a request, which is called like its Service; of a host name several Services may have a part."""


def _service(row: Mapping[str, str]) -> tuple[str, str] | None:
    namespace, workload = (row.get(label) for label in _ARRIVED)
    if namespace and workload:
        return namespace, workload
    found = re.fullmatch(HOST, row.get("destination_service", "")) or re.fullmatch(CLUSTER, row.get("cluster_name", ""))
    return (found[2], found[1]) if found else None
