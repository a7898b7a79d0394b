"""PromQL about the requests of every version, in the words of Istio's standard metrics and of a plain Envoy. Pure.

Each query answers for all Services of the given namespaces at once. Every version has a Service of its own, and so a
cluster of its own in Envoy. Sources, read in the code of 2026: istio/proxy `istio_stats.cc` for the labels, Envoy's
documentation of cluster statistics and of the gRPC statistics filter.

What is told apart, and what is not:

- In Istio's metrics the requests of users are those that their *senders* report (`reporter="source"`): a proxy does not
  report the copies that it sends (istio/istio issue 23496). What servers report (`destination`) holds both.
- The senders' label `destination_service_namespace` is that of the endpoint: `unknown` if there was none, just when all
  requests fail. So Services are taken from `destination_service`, the full host name.
- The servers' label `destination_service` is the first of several Services of a pod; their own workload is certain. A
  Deployment of a version has the name of its Service.
- Envoy counts a copy in the cluster of the version that gets it, as it counts requests.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

FIGURES = ("requests", "errors", "p50", "p99")
"""What there is a query for in each dialect; latencies are in milliseconds."""
HOST = "service"
"""Label of answers about Envoy: the full host name of a Service."""
_GRPC_FAULTS = (2, 4, 12, 13, 14, 15)
"""Codes of gRPC that are the server's fault, as HTTP's 5xx are (OpenTelemetry, semantic conventions for gRPC, servers):
unknown, deadline exceeded, unimplemented, internal, unavailable, data loss."""
_QUANTILES = {"p50": 0.5, "p99": 0.99}
_MOST_NAMESPACES = 100


def istio(window: timedelta, namespaces: Collection[str]) -> dict[str, str]:
    """Queries on Istio's standard metrics, by figure.

    The answers have the label `reporter`. With `source` they are what senders saw, by `destination_service` (a host name);
    with `destination` what servers saw, by `destination_workload_namespace` and `destination_workload`.

    Args:
        window: The time that they are about.
        namespaces: Namespaces to look in; more than 100: in all.
    """
    some = _alternatives(namespaces)
    sent = f'reporter="source",destination_service=~".+[.]{some}[.]svc[.].+"'
    came = f'reporter="destination",destination_workload_namespace=~"{some}"'
    sides = {
        sent: "reporter,destination_service",
        came: "reporter,destination_workload_namespace,destination_workload",
    }
    seconds = _seconds(window)

    def counted(*more: str) -> str:
        return " or ".join(
            f"sum by ({labels}) ({_grown_union([f'istio_requests_total{{{side}{one}}}' for one in more], seconds)})"
            for side, labels in sides.items()
        )

    buckets = " or ".join(
        f"sum by (le,{labels}) (rate(istio_request_duration_milliseconds_bucket{{{side}}}[{seconds}s]))"
        for side, labels in sides.items()
    )
    faults = "|".join(str(code) for code in _GRPC_FAULTS)
    failed = (',response_code=~"5.."', f',response_code!~"5..",grpc_response_status=~"{faults}"')
    return {"requests": counted(""), "errors": counted(*failed), **_quantiles(buckets)}


def envoy(window: timedelta, namespaces: Collection[str]) -> dict[str, str]:
    """Queries on the statistics of a plain Envoy whose clusters are called as Istio calls them, by figure.

    The answers have the label `service`, a host name. What a client did not wait for is not counted. gRPC's codes are
    known of requests, not of copies: the filter that counts them does not see those.

    Args:
        window: The time that they are about.
        namespaces: Namespaces to look in; more than 100: in all.
    """
    seconds = _seconds(window)
    clusters = f'cluster_name=~"outbound[|].+[.]{_alternatives(namespaces)}[.]svc[.].+"'
    answers = f"envoy_cluster_upstream_rq_xx{{{clusters}"
    every = _by_host(_grown(f"{answers}}}", seconds))
    http = f'sum by (cluster_name) ({_grown(f"""{answers},envoy_response_code_class="5"}}""", seconds)})'
    codes = _grown_union([f"envoy_cluster_grpc_{code}{{{clusters}}}" for code in _GRPC_FAULTS], seconds)
    # Envoy counts its own refusal of a gRPC request both as 503 and as code 14: a cluster has the larger number of errors.
    grpc = f'label_replace(sum by (cluster_name) ({codes}),"kind","grpc","","")'
    buckets = _by_host(f"rate(envoy_cluster_upstream_rq_time_bucket{{{clusters}}}[{seconds}s])", "le,")
    return {
        "requests": every,
        "errors": _by_host(f"max by (cluster_name) ({http} or {grpc})"),
        **_quantiles(buckets),
    }


def _by_host(vector: str, more: str = "") -> str:
    """The sum over the clusters of each Service: one for each port."""
    named = f'label_replace({vector},"{HOST}","$1","cluster_name","outbound[|][0-9]+[|][^|]*[|](.+)")'
    return f"sum by ({more}{HOST}) ({named})"


def _quantiles(buckets: str) -> dict[str, str]:
    return {name: f"histogram_quantile({share},{buckets})" for name, share in _QUANTILES.items()}


def _grown_union(selectors: list[str], seconds: int) -> str:
    """What several counters grew by; the new label keeps series apart that differ in their name alone."""
    if len(selectors) == 1:
        return _grown(selectors[0], seconds)
    return " or ".join(
        f'label_replace({_grown(one, seconds)},"term","{number}","","")' for number, one in enumerate(selectors)
    )


def _grown(selector: str, seconds: int) -> str:
    """What each counter grew by in the window, resets and first steps included.

    `increase` cannot see the step from nothing to a counter's first value, and the counter of an error is born with its
    first error. So a counter counts in full that was not there at the begin of the window, though its target answered.
    """
    grown, born = f"increase({selector}[{seconds}s])", f"max_over_time({selector}[{seconds}s])"
    old = f"{grown} and {selector} offset {seconds}s"
    return f"(({old}) or ({born} and on (job,instance) (up offset {seconds}s == 1)) or {grown})"


def _alternatives(namespaces: Collection[str]) -> str:
    """A regular expression for namespaces. Their names hold nothing that is special in one (RFC 1123 labels)."""
    names = sorted(namespaces)
    if not names or len(names) > _MOST_NAMESPACES:
        return "[^.]+"
    if not all(name.replace("-", "a").isalnum() and name.isascii() for name in names):
        raise ValueError("a namespace that cannot be one")
    return f"({'|'.join(names)})"


def _seconds(window: timedelta) -> int:
    return max(1, round(window.total_seconds()))
