"""What people are told of a measure that is missing: a reason, and a sentence that ends with the next step. Pure."""

from __future__ import annotations

import re

from pantala.autoscaling.raw import DCGM
from pantala.autoscaling.signals import Source
from pantala.planner import engines
from pantala.planner.autoscaler_report import View
from pantala.planner.probed import CUSTOM, RESOURCE, Ask, Clue, Finding
from pantala.status.conditions import bounded
from pantala.status.reasons import Reason

_TOLD = 300
"""Bytes of the words of others."""
_DOCS = "docs/autoscaling.md"
_SERVERS = {CUSTOM: "Prometheus Adapter", RESOURCE: "metrics-server"}
_KEDA_SERVER = "KEDA's metrics server (keda-operator-metrics-apiserver)"
_FRAMES = (
    r"the HPA was unable to compute the replica count: ",
    r"invalid metrics \(.*?first error is: ",
    r"failed to get \S+ (external |pods |object )?metric value: ",
    r"unable to get external metric [^{]*\{.*?,\}: ",
    r"unable to get external metric \S+: ",
    r"unable to fetch metrics from \S+ metrics API: ",
    r"rpc error: code = \S+ desc = ",
    r"error when getting metric values metric:\S+ encountered error",
)
"""What frames the words that matter, or says nothing: of Kubernetes (podautoscaler, v1.36.1), KEDA (v2.21.0) and gRPC."""


def explain(ask: Ask, finding: Finding, view: View, provider: str | None = None) -> tuple[Reason, str]:
    """Why a measure is missing.

    Args:
        ask: The measure.
        finding: What was found out about it.
        view: The autoscaler that misses it.
        provider: Who hands out the cards of the version.

    Returns:
        The reason, and what follows the name of the measure in a sentence, with the next step.
    """
    if finding.clue in _OF_CARDS:
        return _OF_CARDS[finding.clue](ask, finding, provider)
    if finding.clue in _ON_THE_WAY:
        return _ON_THE_WAY[finding.clue](ask, finding)
    unasked = finding.clue is Clue.UNASKED and ask.group == CUSTOM
    return _unasked(ask, finding) if unasked else _beyond(ask, finding, view)


def _source(ask: Ask) -> str:
    """The exporter's usual series."""
    return ask.raw.series[0] if ask.raw is not None and ask.raw.series else ask.signal.series


def _exporter(ask: Ask) -> str:
    return ask.raw.exporter if ask.raw is not None else "its exporter"


def _no_api(ask: Ask, finding: Finding) -> tuple[Reason, str]:
    server = _SERVERS.get(ask.group, _KEDA_SERVER)
    if finding.clue is Clue.API_ABSENT:
        step = f"install {server}"
        step += f" with the configuration of the chart ({_DOCS})." if ask.group == CUSTOM else "."
        words = f"the cluster does not serve {ask.group}, by which it is read: {step}"
    else:
        words = f"what serves {ask.group} does not answer: see `kubectl get apiservices` and the log of {server}."
    return Reason.NO_METRICS_API, words


def _unreachable(ask: Ask, finding: Finding) -> tuple[Reason, str]:  # noqa: ARG001 -- called like the others
    words = f"Prometheus does not tell the operator why ({finding.detail}):"
    return Reason.PROMETHEUS_UNREACHABLE, f"{words} see whether it runs, and check the chart's value prometheus.url."


def _unasked(ask: Ask, finding: Finding) -> tuple[Reason, str]:
    """Without Prometheus: which half of the way is to blame shows in what the adapter offers."""
    series = ask.signal.series
    if finding.offered is False:
        words = (
            f"the metrics adapter does not offer {series}: give it the configuration of the chart (ConfigMap"
            " *-prometheus-adapter). If it has that, Prometheus lacks the series; with the chart's value prometheus.url the"
            " operator tells which."
        )
        return Reason.ADAPTER_RULE_MISSING, words
    words = (
        f"the metrics adapter has no value of {series} for the replicas: look for it in Prometheus, or set the chart's value"
        " prometheus.url, by which the operator does."
    )
    return Reason.NO_SERIES, words


def _nothing(ask: Ask, finding: Finding) -> tuple[Reason, str]:  # noqa: ARG001 -- called like the others
    words, exporter = f"Prometheus has no {_source(ask)}", _exporter(ask)
    if ask.signal.source is Source.SERVICE:
        step = f"let it scrape {exporter}, and send a request, since before the first one there is no series."
        return Reason.NO_SERIES, f"{words}: {step}"
    if ask.raw is not None and not ask.raw.of_cards:
        step = (
            "let it scrape the pods of models (manifests/prometheus-scrape.yaml, or the chart's value metrics.serviceMonitor),"
            f" and see whether {exporter} exports it."
        )
        return Reason.NO_SERIES, f"{words}: {step}"
    return Reason.NO_SERIES, f"{words}, of any card: install {exporter} and let Prometheus scrape it ({_DOCS})."


def _elsewhere(ask: Ask, finding: Finding, provider: str | None) -> tuple[Reason, str]:
    words = f"Prometheus has {finding.detail}, but not of the replicas of this version"
    if ask.signal.source is Source.SERVICE:
        step = "send it a request, and see whether Prometheus scrapes the sidecars of who sends them."
    elif ask.raw is not None and not ask.raw.of_cards:
        step = "see whether Prometheus scrapes their pods (manifests/prometheus-scrape.yaml)."
    else:
        step = f"see whether {_exporter(ask)} runs on their nodes and is scraped there."
        if provider == "dra":
            # It may name pods with cards of the device plugin, and none with a claim.
            step = f"{_CLAIMS}, and {step}"
    return Reason.NO_SERIES, f"{words}: {step}"


_CLAIMS = "set KUBERNETES_ENABLE_DRA=true in dcgm-exporter, with the right to read ResourceSlices"
"""By which it learns of pods whose cards come by a claim (NVIDIA/dcgm-exporter, internal/pkg/transformation/kubernetes.go)."""


def _nameless(ask: Ask, finding: Finding, provider: str | None) -> tuple[Reason, str]:
    step = f"see why {_exporter(ask)} does not tell the pods, and that no relabelling drops its labels."
    if _exporter(ask) == DCGM and provider == "dra":
        step = f"{_CLAIMS}, beside DCGM_EXPORTER_KUBERNETES=true."
    elif _exporter(ask) == DCGM:
        step = (
            "set DCGM_EXPORTER_KUBERNETES=true in dcgm-exporter, and NVIDIA_RESOURCE_NAMES if the resource of the cards is not"
            " called nvidia.com/gpu."
        )
    return Reason.WRONG_LABELS, f"no series of {finding.detail} names the pod that has the card: {step}"


def _mislabeled(ask: Ask, finding: Finding) -> tuple[Reason, str]:
    label = finding.detail
    step = "scrape it with the labels namespace and pod (manifests/prometheus-scrape.yaml)."
    if _exporter(ask) == DCGM:
        value = "namespaceLabel" if "namespace" in label else "podLabel"
        step = f"set the chart's value autoscaling.dcgm.{value}={label}, or scrape with the usual labels."
    words = f"{_source(ask)} names the replicas in the label {label}, where the recording rules do not look"
    return Reason.WRONG_LABELS, f"{words}: {step}"


def _copies(ask: Ask, finding: Finding) -> tuple[Reason, str]:  # noqa: ARG001 -- called like the others
    words = (
        f"{finding.detail} of a shared card is a copy of the whole card's for each pod: scale on RequestsPerSecond or"
        " QueueLength, or measure each pod with dcgm-exporter 4.5.3 or newer and set the chart's value"
        f" autoscaling.dcgm.sharedPerProcess ({_DOCS})."
    )
    return Reason.SHARED_DEVICE_METRIC, words


def _unrecorded(ask: Ask, finding: Finding) -> tuple[Reason, str]:
    words = (
        f"Prometheus has {finding.detail} of the replicas, but no {ask.signal.series}, which the chart's recording rules make of"
        " it: let Prometheus load them (chart value autoscaling.rules, ConfigMap *-recording-rules)."
    )
    return Reason.RECORDING_RULE_MISSING, words


def _empty(ask: Ask, finding: Finding) -> tuple[Reason, str]:  # noqa: ARG001 -- called like the others
    return Reason.NO_SERIES, "its query has no answer: try it in Prometheus, and mend scaling.prometheus."


def _bad_query(ask: Ask, finding: Finding) -> tuple[Reason, str]:  # noqa: ARG001 -- called like the others
    words = f"its query cannot be used ({bounded(finding.detail, _TOLD)}): mend scaling.prometheus; it has to give one number."
    return Reason.TRIGGER_FAILED, words


_OF_CARDS = {Clue.ELSEWHERE: _elsewhere, Clue.NAMELESS: _nameless}
_ON_THE_WAY = {
    Clue.EMPTY: _empty,
    Clue.BAD_QUERY: _bad_query,
    Clue.API_ABSENT: _no_api,
    Clue.API_DOWN: _no_api,
    Clue.UNREACHABLE: _unreachable,
    Clue.NOTHING: _nothing,
    Clue.MISLABELED: _mislabeled,
    Clue.COPIES: _copies,
    Clue.UNRECORDED: _unrecorded,
}


def _beyond(ask: Ask, finding: Finding, view: View) -> tuple[Reason, str]:
    """Everything is in Prometheus, or nobody can look there: the autoscaler's own words."""
    series = ask.signal.series
    if finding.offered is False:
        words = (
            f"Prometheus has {series}, but the metrics adapter does not offer it: give it the configuration of the chart"
            " (ConfigMap *-prometheus-adapter) and restart it; it looks for new series every --metrics-relist-interval."
        )
        return Reason.ADAPTER_RULE_MISSING, words
    told, name = spoken(view), (view.hpa or {}).get("metadata", {}).get("name", "")
    if view.engine == engines.KEDA and ask.signal.source is not Source.RESOURCE:
        there = (
            "though Prometheus answers the operator" if finding.clue is Clue.RECORDED else "and says why in an event"
        )
        words = f"KEDA cannot read it, {there}{f' ({told})' if told else ''}: check the chart's value autoscaling.keda, and see"
        step = f"kubectl -n {ask.namespace} describe scaledobject {ask.service}."
        return Reason.TRIGGER_FAILED, f"{words} {step}"
    failing = view.told("ScalingActive").get("status") == "False"
    words = f"the HPA cannot read it ({told})" if told and failing else "the HPA has no value of it"
    return Reason.METRIC_FAILED, f"{words}: see kubectl -n {ask.namespace} describe hpa {name}."


def spoken(view: View) -> str:
    """Why the autoscaler cannot read its measures, in its own words, without their frame; empty if it says nothing."""
    active, ready = view.told("ScalingActive"), view.keda("Ready")
    refusing = [it for it in (active, ready) if it.get("status") == "False"]
    words = str(refusing[0].get("message", "")) if refusing else ""
    for frame in _FRAMES:
        words = re.sub(frame, "", words)
    return bounded(" ".join(words.split()), _TOLD).rstrip(".")
