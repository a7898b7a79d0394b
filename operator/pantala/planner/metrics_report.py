"""`MetricsAvailable`: whether the autoscalers of a model have what they measure, or why not. Pure.

The autoscalers say themselves what they miss. Why is looked up from the root: whether the API is there by which they read,
whether Prometheus has what the exporter measures and what the recording rules make of it, whether the metrics adapter offers
that; only then count the autoscaler's own words. What that asks for (`Statement.asks`) is found out by `reconcile.metric_probe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pantala import naming
from pantala.accelerators.base import NoUtilization, Utilization
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.autoscaling import raw, signals
from pantala.autoscaling.signals import Signal, Source
from pantala.planner import engines, metric_words, scaling
from pantala.planner.autoscaler_report import State, View
from pantala.planner.observed import Observed
from pantala.planner.plan import Plan
from pantala.planner.probed import CUSTOM, EXTERNAL, RESOURCE, Ask
from pantala.status.conditions import Condition
from pantala.status.reasons import Reason

_TYPE = "MetricsAvailable"
_GPU = frozenset({signals.GPU_UTILIZATION, signals.GPU_MEMORY})
_PODS = 50
"""Replicas of a version whose series are looked for: one that has it is enough."""
_STAYS = "Until then the number of replicas stays as it is."
_GROWS = "Until then replicas are added, but none is removed."


@dataclass(frozen=True)
class Statement:
    """What is said of the measures of a model, or of one of its versions."""

    condition: Condition | None = None
    """None: no version has an autoscaler, or, of one version, what was said before still holds."""
    asks: tuple[Ask, ...] = ()
    """What is to be found out."""
    wait: float | None = None
    """Seconds after which to look again though nothing happens."""


@dataclass(frozen=True)
class Around:
    """A version, and what is known around it."""

    model: InferenceModel
    seen: Observed
    plan: Plan
    now: datetime
    view: View
    """Its autoscaler."""

    @property
    def provider(self) -> str | None:
        """Who hands out its cards."""
        cards = self.plan.cards.get(self.view.version)
        if cards is not None:
            return cards.provider
        told = (self.seen.model.get("status") or {}).get("versions") or ()
        known: Mapping[str, Any] = next((it for it in told if it["name"] == self.view.version), {})
        provider: str | None = (known.get("accelerator") or {}).get("provider")
        return provider


def state(model: InferenceModel, seen: Observed, plan: Plan, views: Mapping[str, View], now: datetime) -> Statement:
    """What is said of a model.

    Args:
        model: The resource.
        seen: What the cluster holds, with what was found out about what is missing (`Observed.probed`).
        plan: What was planned.
        views: The autoscalers of its versions.
        now: The time.
    """
    parts = [_version(Around(model, seen, plan, now, view)) for view in views.values()]
    # An autoscaler that shall go and does not is told as well.
    parts += [_false(name, problem.reason, problem.message) for name, problem in plan.held.items() if name not in views]
    if not parts:
        return Statement()
    told = [part.condition for part in parts if part.condition is not None]
    waits = [part.wait for part in parts if part.wait is not None]
    asks = tuple(ask for part in parts for ask in part.asks)
    before = _before(seen)
    wrong = [it for it in told if it.status is False]
    if len(told) < len(parts) and before is not None and not wrong:
        return Statement(before, asks, min(waits, default=None))
    return Statement(_merged(told, wrong), asks, min(waits, default=None))


def _merged(told: list[Condition], wrong: list[Condition]) -> Condition:
    if wrong:
        return Condition(_TYPE, status=False, reason=wrong[0].reason, message=" ".join(it.message for it in wrong))
    unknown = [it for it in told if it.status is None]
    if unknown or not told:
        words = " ".join(it.message for it in unknown) or "The autoscaler is being looked at."
        reason = unknown[0].reason if unknown else Reason.STARTING
        return Condition(_TYPE, status=None, reason=reason, message=words)
    return Condition(_TYPE, status=True, reason=Reason.METRICS_FOUND, message=" ".join(it.message for it in told))


def _version(it: Around) -> Statement:
    """What is said of one version."""
    if not it.view.signals:
        # The spec was edited under `paused`: its autoscaler measures nothing of what it asks for now.
        return Statement()
    certain = _certain(it)
    if certain is not None:
        return certain
    view = it.view
    ready, wait = _settled(it.seen.pods_of(view.version), it.plan.autoscaling.start_grace, it.now)
    if view.state is State.PENDING and (view.hpa is not None or view.engine == engines.HPA):
        # It looks every few seconds; before, what was said of it holds.
        return Statement(None if _before(it.seen) else _starting(view), wait=wait)
    if not ready:
        return Statement(_starting(view), wait=wait)
    return _without_hpa(it) if view.state is State.PENDING else _missing(it, ready)


def _certain(it: Around) -> Statement | None:
    """What is said whatever else is found, and however young the replicas are; None if there is no such thing."""
    view = it.view
    held = it.plan.held.get(view.version)
    if held is not None:
        return _false(view.version, held.reason, held.message)
    never = _unusable(it)
    cards = [signal for signal in view.signals if signal.series in _GPU]
    if cards and never is not None and never.shared:
        words = " ".join((_of(cards, never.why), *_effect(view, len(cards))))
        return _false(view.version, Reason.SHARED_DEVICE_METRIC, words)
    if view.hpa is None and view.keda("Paused").get("status") == "True":
        return Statement(_paused(it))
    if view.state is State.AMBIGUOUS:
        words = (
            "another HorizontalPodAutoscaler selects the same pods, and Kubernetes lets neither work"
            f" ({metric_words.spoken(view)}): remove the other one. {_STAYS}"
        )
        return _false(view.version, Reason.AUTOSCALER_CONFLICT, words)
    if view.state is State.FOUND:
        names = ", ".join(signal.name for signal in view.signals)
        words = f"The autoscaler of version {view.version} has a value of each measure: {names}."
        return Statement(Condition(_TYPE, status=True, reason=Reason.METRICS_FOUND, message=words))
    return None


def _effect(view: View, without: int) -> tuple[str, ...]:
    """What becomes of the replicas while so many measures have no value; empty if they have one that is not theirs."""
    if view.state is State.FOUND:
        return ()
    return (_STAYS if view.state is State.FAILED or without == len(view.signals) else _GROWS,)


def _paused(it: Around) -> Condition:
    """KEDA took its HPA away because a user paused it (keda v2.21.0, controllers/keda/scaledobject_controller.go, handlePause)."""
    here = f"kubectl -n {it.seen.namespace} annotate scaledobject {naming.child_name(it.seen.name, it.view.version)}"
    words = (
        f"Version {it.view.version}: KEDA is paused by an annotation of its ScaledObject, and looks at no measure: to let it scale"
        f" again run {here} {' '.join(f'{annotation}-' for annotation in _PAUSES)}"
    )
    return Condition(_TYPE, status=None, reason=Reason.PAUSED, message=words)


_PAUSES = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
"""Annotations by which KEDA gives up its HPA; those that pause one direction keep it."""


def _without_hpa(it: Around) -> Statement:
    """KEDA has made no HPA of the ScaledObject."""
    told = it.view.keda("Ready")
    if told.get("status") == "False":
        name = naming.child_name(it.seen.name, it.view.version)
        step = f"see `kubectl -n {it.seen.namespace} describe scaledobject {name}`."
        words = f"KEDA does not take the ScaledObject ({metric_words.spoken(it.view)}): {step} {_STAYS}"
    else:
        words = f"KEDA has not made an HPA of the ScaledObject: see whether keda-operator runs. {_STAYS}"
    return _false(it.view.version, Reason.TRIGGER_FAILED, words)


def _missing(it: Around, ready: tuple[str, ...]) -> Statement:
    """Measures are missing that should be there."""
    view = it.view
    effect = _STAYS if view.state is State.FAILED else _GROWS
    never = _unusable(it)
    if never is not None and (cards := [signal for signal in view.missing if signal.series in _GPU]):
        # Whose card it is nobody tells the exporter; or there is no exporter of such cards.
        reason = Reason.WRONG_LABELS if it.provider == "visible-devices" else Reason.NO_SERIES
        return _false(view.version, reason, f"{_of(cards, never.why)} {effect}")
    asks = tuple(_asks(it, view.missing, ready))
    known = [(ask, it.seen.probed[ask.key]) for ask in asks if ask.key in it.seen.probed]
    if len(known) < len(asks):
        before = _before(it.seen)
        return Statement(None if before else _starting(view), asks)
    causes: dict[tuple[Reason, str], list[Signal]] = {}
    for ask, finding in known:
        causes.setdefault(metric_words.explain(ask, finding, view, it.provider), []).append(ask.signal)
    words = " ".join(_of(found, text) for (_, text), found in causes.items())
    first = min((reason for reason, _ in causes), key=_ROOTS.index)
    return _false(view.version, first, f"{words} {effect}", asks)


_ROOTS = (
    Reason.NO_METRICS_API,
    Reason.PROMETHEUS_UNREACHABLE,
    Reason.NO_SERIES,
    Reason.WRONG_LABELS,
    Reason.SHARED_DEVICE_METRIC,
    Reason.RECORDING_RULE_MISSING,
    Reason.ADAPTER_RULE_MISSING,
    Reason.TRIGGER_FAILED,
    Reason.METRIC_FAILED,
)
"""Reasons, those first that may be behind the others."""


def _asks(it: Around, wanted: Iterable[Signal], pods: tuple[str, ...]) -> Iterable[Ask]:
    version = resolve.resolve(it.model, it.view.version)
    cards = scaling.utilization(version, it.provider)
    series = cards.series if isinstance(cards, Utilization) else None
    service = naming.child_name(it.seen.name, it.view.version)
    for signal in wanted:
        made = None
        if signal.source in {Source.PODS, Source.SERVICE}:
            made = raw.of(signal.series, it.provider, series, version.runtime.name, it.plan.autoscaling)
        group = EXTERNAL if it.view.engine == engines.KEDA else CUSTOM
        if signal.source is Source.RESOURCE:
            group = RESOURCE
        yield Ask(it.view.version, signal, group, it.seen.namespace, pods, service, made)


def _unusable(it: Around) -> NoUtilization | None:
    """Why there is no measure of the cards of this version, whatever is installed; None if there may be one."""
    if resolve.find(it.model, it.view.version) is None:
        return None
    return scaling.unmeasured(resolve.resolve(it.model, it.view.version), it.provider, it.plan.autoscaling)


def _settled(pods: Iterable[Mapping[str, Any]], grace: float, now: datetime) -> tuple[tuple[str, ...], float | None]:
    """Names of pods that have been ready for so many seconds, and how long it is until the next one is."""
    since = {}
    for pod in pods:
        for condition in (pod.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Ready" and condition["status"] == "True" and "lastTransitionTime" in condition:
                when = datetime.fromisoformat(condition["lastTransitionTime"])
                since[pod["metadata"]["name"]] = grace - (now - when).total_seconds()
    ready = tuple(sorted(name for name, left in since.items() if left <= 0))[:_PODS]
    return ready, None if ready else min(since.values(), default=None)


def _starting(view: View) -> Condition:
    names = ", ".join(signal.name for signal in view.signals)
    words = f"Version {view.version} is starting: {names} come with replicas that have been ready for a while."
    return Condition(_TYPE, status=None, reason=Reason.STARTING, message=words)


def _of(measures: list[Signal], words: str) -> str:
    return f"{', '.join(signal.name for signal in measures)}: {words}"


def _false(version: str, reason: Reason, words: str, asks: tuple[Ask, ...] = ()) -> Statement:
    return Statement(Condition(_TYPE, status=False, reason=reason, message=f"Version {version}: {words}"), asks)


def _before(seen: Observed) -> Condition | None:
    """What the status says."""
    told = (seen.model.get("status") or {}).get("conditions") or ()
    known = next((it for it in told if it["type"] == _TYPE), None)
    if known is None or known["reason"] not in set(Reason):
        return None
    status = {"True": True, "False": False}.get(known["status"])
    return Condition(_TYPE, status=status, reason=Reason(known["reason"]), message=known.get("message", ""))
