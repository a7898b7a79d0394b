"""Which autoscaler a version has, and how it passes from one to another. Pure.

Two autoscalers at work on the same pods undo each other's work, and Kubernetes stops both (AmbiguousSelector). So the old one
is deleted first, and the new one is written when the cache shows that nothing of the old one is left: neither our HPA, nor
the ScaledObject, which KEDA keeps until it has let go, nor KEDA's own HPA, which goes by garbage collection. In between the
number of replicas stays as it is. All of it is read off the cluster, so a crash between any two writes is continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from pantala import naming
from pantala.api.resolve import ResolvedVersion
from pantala.api.scaling import Scaling
from pantala.autoscaling import behavior, hpa, keda
from pantala.autoscaling.signals import Signal
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner import ledger
from pantala.planner.observed import Availability, Observed
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

HPA, KEDA = "HPA", "KEDA"
HPA_KIND = "HorizontalPodAutoscaler"
PATIENCE_SECONDS = 10.0
"""How long an autoscaler may take to go before somebody is told: KEDA has a finalizer on its objects, and may not be running."""


@dataclass(frozen=True)
class Standing:
    """What the cluster has of autoscalers of one version, also what is on its way out."""

    hpa: Manifest | None = None
    """Our own HPA."""
    scaled_object: Manifest | None = None
    """Our ScaledObject."""
    of_keda: Manifest | None = None
    """KEDA's HPA for it."""

    @property
    def engine(self) -> str | None:
        """Who decides; None if nobody does."""
        if self.scaled_object is not None or self.of_keda is not None:
            return KEDA
        return HPA if self.hpa is not None else None


@dataclass(frozen=True)
class Decision:
    """What becomes of the autoscalers of one version."""

    autoscaler: Manifest | None = None
    """To be written."""
    kept: frozenset[Ref] = frozenset()
    """Live ones that stay though they are not written."""
    engine: str | None = None
    """Who decides about the replicas now, or will in a moment; None if nobody shall, and nobody does."""
    held: Problem | None = None
    """Why the autoscaler is not as the spec asks."""
    signals: tuple[Signal, ...] = ()
    """What is measured; empty if there is no autoscaler."""
    busy: bool = False
    """Whether an autoscaler that shall go may still set the number of replicas."""
    wait: float | None = None
    """Seconds after which to look again though nothing happens."""


def standing(seen: Observed, name: str) -> Standing:
    """The autoscalers of the Deployment of this name."""
    return Standing(seen.child(HPA_KIND, hpa.name_of(name)), seen.child(keda.KIND, name), of_keda(seen, name))


def of_keda(seen: Observed, name: str) -> Manifest | None:
    """KEDA's HPA for the ScaledObject of this name. It has our labels, since KEDA copies them, and is not ours."""
    found = seen.children.get(Ref(HPA_KIND, seen.namespace, keda.hpa_name(name)))
    owners = found["metadata"].get("ownerReferences", ()) if found is not None else ()
    mine = any(it.get("controller") and (it["kind"], it["name"]) == (keda.KIND, name) for it in owners)
    return found if mine else None


def decide(
    version: ResolvedVersion,
    seen: Observed,
    settings: Settings,
    now: datetime,
    *,
    signals: tuple[Signal, ...],
    owner: tuple[Manifest, ...],
    parked: bool,
) -> Decision:
    """What becomes of the autoscalers of a version.

    Args:
        version: The version.
        seen: What the cluster holds.
        settings: The installation's: where KEDA finds Prometheus.
        now: The time, for what takes too long to go.
        signals: What is measured of it.
        owner: Owner references of its autoscaler.
        parked: Whether it is to have no replicas.
    """
    name = naming.child_name(seen.name, version.name)
    live = standing(seen, name)
    if parked or not hpa.wanted(version.scaling):
        return _none(live, seen, now, parked=parked)
    labels, start = naming.labels(seen.name, version.name), _start(seen, version.name, live)
    common = (name, seen.namespace, labels, owner, version.scaling, signals, start)
    made = _hpa(live, seen, now, common) if version.scaling.engine == HPA else _keda(live, seen, settings, now, common)
    return replace(made, signals=signals)


def left(before: Observed, after: Observed) -> bool:
    """Whether an autoscaler of ours is gone after the writes of a pass, so that its successor can come: no event says so."""
    kinds = {HPA_KIND, keda.KIND}
    mine = {ref for ref, obj in before.children.items() if ref.kind in kinds and before.owns(obj)}
    return not mine <= after.children.keys()


def prometheus(settings: Settings) -> keda.Prometheus | None:
    """Where KEDA finds Prometheus: where it is told, else where the operator does; None if nobody said it."""
    url = settings.autoscaling.keda_prometheus_url or settings.prometheus_url
    if not url:
        return None
    # The operator's own may have a password, and many can read a ScaledObject. (The options take no query, see `HttpUrl`.)
    parts = urlsplit(url)
    public = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return keda.Prometheus(public, settings.autoscaling.keda_authentication)


_Common = tuple[str, str, Mapping[str, str], tuple[Manifest, ...], Scaling, tuple[Signal, ...], int]
"""What the builders of both autoscalers take."""


def _hpa(live: Standing, seen: Observed, now: datetime, common: _Common) -> Decision:
    if live.engine == KEDA:
        return _leaving(live, seen, now, KEDA)
    return Decision(hpa.horizontal_pod_autoscaler(*common), engine=HPA)


def _keda(live: Standing, seen: Observed, settings: Settings, now: datetime, common: _Common) -> Decision:
    name, *_, signals, _ = common
    address = prometheus(settings)
    held = _without_keda(seen, name, address, signals)
    if held is not None:
        # What there is stays: a model keeps its autoscaler until the other one can take over.
        found = frozenset(Ref.of(it) for it in (live.hpa, live.scaled_object) if it is not None)
        again = hpa.horizontal_pod_autoscaler(*common) if live.engine == HPA and hpa.readable(signals) else None
        return Decision(again, found, live.engine or KEDA, held)
    if live.hpa is not None:
        stays = frozenset({Ref.of(live.scaled_object)} if live.scaled_object is not None else ())
        return replace(_leaving(live, seen, now, HPA), kept=stays)
    if live.scaled_object is not None and "deletionTimestamp" in live.scaled_object["metadata"]:
        return _leaving(live, seen, now, KEDA)
    return Decision(keda.scaled_object(*common, address), engine=KEDA)


def _none(live: Standing, seen: Observed, now: datetime, *, parked: bool) -> Decision:
    """Nobody shall decide. At zero an HPA does nothing, but KEDA brings a replica back as long as it has its ScaledObject."""
    if live.engine is None or (parked and live.engine == HPA):
        return Decision()
    leaving = _leaving(live, seen, now, live.engine)
    late = leaving.held is not None
    return Decision(held=leaving.held, busy=not (parked and late), wait=leaving.wait)


def _leaving(live: Standing, seen: Observed, now: datetime, engine: str) -> Decision:
    """Nothing new is written while the old autoscaler is there."""
    obj = (live.scaled_object or live.of_keda) if engine == KEDA else live.hpa
    words, left = _late(obj, live, seen, now) if obj is not None else (None, None)
    if obj is None or words is None:
        return Decision(engine=engine, busy=True, wait=left)
    words = f"{Ref.of(obj)} {words}"
    return Decision(engine=engine, held=Problem(Reason.AUTOSCALER_CONFLICT, words), busy=True)


def _late(obj: Manifest, live: Standing, seen: Observed, now: datetime) -> tuple[str | None, float | None]:
    """What to say of an autoscaler that does not go, or in how many seconds there may be something to say."""
    stays = "Until it is gone no other autoscaler is made, and the number of replicas stays."
    meta = obj["metadata"]
    if obj is live.of_keda and seen.scaled_objects is Availability.FORBIDDEN:
        role = "Check the operator's Role (charts/pantala)."
        return f"is KEDA's, and the operator may not see its ScaledObject to delete that. {stays} {role}", None
    if obj is live.of_keda and seen.scaled_objects is Availability.ABSENT:
        # Garbage collection does not take what belongs to a kind that the cluster does not know.
        step = f"Install KEDA again, or run kubectl -n {meta['namespace']} delete hpa {meta['name']}."
        return f"is left of KEDA, which the cluster has no more. {stays} {step}", None
    since = meta.get("deletionTimestamp")
    if since is None:
        return None, None
    waited = (now - datetime.fromisoformat(since)).total_seconds()
    if waited < PATIENCE_SECONDS:
        return None, PATIENCE_SECONDS - waited
    who = (
        "KEDA's operator, which removes it, and which may not be running"
        if obj is live.scaled_object
        else "its finalizers"
    )
    step = "Start KEDA's operator" if obj is live.scaled_object else "See to who set them"
    told = ", ".join(meta.get("finalizers", ()))
    return f"is deleted since {since} and waits for {who} ({told}). {stays} {step}, or remove them by hand.", None


def _without_keda(
    seen: Observed, name: str, address: keda.Prometheus | None, signals: tuple[Signal, ...]
) -> Problem | None:
    """Why a ScaledObject cannot be had; None if it can."""
    ref = Ref(keda.KIND, seen.namespace, name)
    if seen.scaled_objects is Availability.ABSENT:
        words = f"The spec asks for KEDA, and the cluster does not have it, so {ref} is not made and the number of replicas stays."
        return Problem(Reason.KEDA_MISSING, f"{words} Install KEDA, or set engine: HPA.")
    if seen.scaled_objects is Availability.FORBIDDEN:
        words = f"The spec asks for KEDA, and the operator may not watch ScaledObjects, so {ref} is not made."
        return Problem(Reason.KEDA_MISSING, f"{words} Check the operator's Role (charts/pantala).")
    if address is None and keda.asks_prometheus(signals):
        words = f"KEDA is not told where Prometheus is, so {ref} is not written."
        return Problem(
            Reason.TRIGGER_FAILED, f"{words} Set the chart's value autoscaling.keda.prometheusUrl or prometheus.url."
        )
    return None


def _start(seen: Observed, version: str, live: Standing) -> int:
    """How long a replica takes to start: by the version's own replicas, else by those of the model's other versions."""
    told = {it["name"]: _seconds(it) for it in (seen.model.get("status") or {}).get("versions") or ()}
    others = [each for name, found in told.items() if name != version for each in found]
    obj = live.hpa or live.scaled_object
    before = (obj or {}).get("metadata", {}).get("annotations", {}).get(naming.ANNOTATION_START_TIME, "")
    return behavior.start_step(told.get(version) or others, int(before) if before.isdigit() else None)


def _seconds(version: Manifest) -> list[float]:
    found = (ledger.total_seconds(entry) for entry in ledger.entries(version))
    return [each for each in found if each is not None]
