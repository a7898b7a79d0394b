"""Metrics that say what is true of every model, read off the cache when they are scraped: no pass pays for them.

Names and labels are an interface, for dashboards and alerts: docs/monitoring.md lists them. Conditions have the form that
kube-state-metrics gives those of Kubernetes' own objects: one series for each status, 1 for the one that it has.

The text is written here and not by prometheus_client: a scrape holds up the event loop, which for a thousand models with
44 000 series took 0.4 s, and takes a quarter of that now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from pantala import naming
from pantala.accelerators.base import Utilization
from pantala.accelerators.registry import PROVIDERS
from pantala.api.accelerator import Accelerator
from pantala.cluster.objects import Key
from pantala.manifest.types import Manifest
from pantala.planner import ledger
from pantala.planner.observed import Observed

NO_ENGINE = "none"
"""Label `engine` of a version whose number of replicas is fixed."""
FAMILIES = {
    "pantala_model_info": "1 for each model, with its answering version and what serves that.",
    "pantala_model_condition": "Conditions of models: 1 for the status that one has, 0 for the others.",
    "pantala_model_condition_reason": "1 for the reason that a condition of a model has.",
    "pantala_version_info": "1 for each version, with its Service, if it has one, and its state.",
    "pantala_version_replicas": "Replicas of versions: desired, ready; min and max of the spec; wanted by the autoscaler.",
    "pantala_version_target": "What the autoscaler of a version aims at, by measure, in the unit of the spec.",
    "pantala_version_gpu_scale": "Factor from percent of the whole card to percent of what a version's replicas are granted of it.",
    "pantala_version_metric_missing": "1 for each measure that the autoscaler of a version has no value of.",
    "pantala_version_start_seconds": "How long each phase took of the start of the version's replica that got ready last.",
    "pantala_version_fetched_bytes": "Bytes that all replicas of a version fetched until they got ready, by source.",
    "pantala_version_traffic_percent": "Shares of versions in percent: asked by the spec, configured in the live route, observed; mirror: copies.",
    "pantala_pod_info": "1 for each pod of a model: joins series of pods with models.",
}
"""All names with their help texts; all are gauges."""
_CARD = 100
_STATUSES = ("True", "False", "Unknown")
_SHARES = ("asked", "configured", "observed", "mirror")


class Models(Protocol):
    """What is read of the cache."""

    def keys(self) -> Iterator[Key]:
        """The models that exist."""

    def observe(self, key: Key) -> Observed | None:
        """One model and its pods."""


class Exposition:
    """The series of all models. It tells nothing before `tell`, so that an operator that stands by doubles none."""

    def __init__(self) -> None:
        self._models: Models | None = None

    def tell(self, models: Models) -> None:
        """Tell about these models from now on: this process leads.

        Args:
            models: The cache. It is read in the thread that asks for the text, which must be the one that fills it.
        """
        self._models = models

    def text(self) -> str:
        """What is true now, in Prometheus' text format; empty while this process does not lead."""
        if self._models is None:
            return ""
        series: dict[str, list[str]] = {name: [] for name in FAMILIES}
        for key in self._models.keys():  # noqa: SIM118 -- no mapping: these are Cache.keys
            seen = self._models.observe(key)
            if seen is not None:
                _Told(series, key).all(seen)
        return "".join(
            f"# HELP {name} {words}\n# TYPE {name} gauge\n{''.join(series[name])}" for name, words in FAMILIES.items()
        )


EXPOSITION = Exposition()
"""The one of this process; `handlers.operator` lets it tell."""


class _Told:
    """Adds the series of one model."""

    def __init__(self, series: Mapping[str, list[str]], key: Key) -> None:
        self._series, self._key = series, key
        self._labels = f'namespace="{key.namespace}",model="{key.name}"'  # names of Kubernetes need no quoting

    def all(self, seen: Observed) -> None:
        """The series of everything that is known of the model."""
        spec, status = seen.model.get("spec") or {}, seen.model.get("status") or {}
        versions = {version["name"]: version for version in spec.get("versions") or ()}
        reported = {version["name"]: version for version in status.get("versions") or ()}
        self._conditions(status.get("conditions") or ())
        self._info(spec, status.get("version") or _target(spec, versions), versions, reported)
        for name in versions | reported:
            self._scale(name, _block(spec, versions.get(name), "accelerator") or {}, reported.get(name) or {})
            service = naming.child_name(self._key.name, name)
            # Models `a` and `a-b` have one name for the Services of their versions `b-c` and `c`: it belongs to one of them.
            self._state(name, service if seen.child("Service", service) else "", reported.get(name) or {})
            self._version(name, _block(spec, versions.get(name), "scaling"), reported.get(name) or {})
        for share in status.get("traffic") or ():
            for kind in _SHARES:
                if kind in share:
                    labels = f'version="{share["version"]}",kind="{kind}"'
                    self._add("pantala_version_traffic_percent", labels, share[kind])
        self._pods(seen.pods)

    def _add(self, name: str, labels: str, value: float = 1) -> None:
        self._series[name].append(f"{name}{{{self._labels},{labels}}} {value}\n")

    def _conditions(self, conditions: Any) -> None:
        for condition in conditions:
            kind = _quoted(condition["type"])
            for status in _STATUSES:
                has = int(condition["status"] == status)
                self._add("pantala_model_condition", f'type={kind},status="{status}"', has)
            reason = _quoted(condition.get("reason", ""))
            self._add("pantala_model_condition_reason", f"type={kind},reason={reason}")

    def _info(self, spec: Manifest, version: str, versions: Manifest, reported: Manifest) -> None:
        scaling = _block(spec, versions.get(version), "scaling") or {}
        engine = scaling.get("engine", "HPA") if _scales(scaling) else NO_ENGINE
        runtime = (_block(spec, versions.get(version), "runtime") or {}).get("name", "")
        provider = ((reported.get(version) or {}).get("accelerator") or {}).get("provider", "")
        served = f"runtime={_quoted(runtime)},engine={_quoted(engine)},provider={_quoted(provider)}"
        self._add("pantala_model_info", f'version="{version}",{served}')

    def _state(self, name: str, service: str, seen: Manifest) -> None:
        state = _quoted(seen.get("state", ""))
        self._add("pantala_version_info", f'version="{name}",service="{service}",state={state}')

    def _scale(self, name: str, asked: Manifest, seen: Manifest) -> None:
        """What makes the use of a version's cards percent of its share; 1 where it has whole cards, or none, or left the spec."""
        provider = (seen.get("accelerator") or {}).get("provider", "")
        granted = _granted(provider, asked.get("corePercent"), asked.get("count", 1)) if asked else _CARD
        self._add("pantala_version_gpu_scale", f'version="{name}"', _CARD / granted)

    def _version(self, name: str, scaling: Manifest | None, seen: Manifest) -> None:
        """The series of one version; `scaling` is None for one that left the spec."""
        version = f'version="{name}"'
        autoscaler = seen.get("autoscaler") or {}
        counts = {"desired": seen.get("desiredReplicas"), "ready": seen.get("readyReplicas")}
        counts["wanted"] = autoscaler.get("desiredReplicas")
        if scaling is not None:
            least = scaling.get("minReplicas", 1)
            counts |= {"min": least, "max": scaling.get("maxReplicas", least)}
            for measure, target in _targets(scaling):
                self._add("pantala_version_target", f"{version},measure={_quoted(measure)}", target)
        for kind, count in counts.items():
            if count is not None:
                self._add("pantala_version_replicas", f'{version},kind="{kind}"', count)
        for measure in autoscaler.get("missing") or ():
            self._add("pantala_version_metric_missing", f"{version},measure={_quoted(measure)}")
        self._starts(version, seen)

    def _starts(self, version: str, seen: Manifest) -> None:
        """What the ledger of a version says."""
        last = max((it for it in ledger.entries(seen) if "ready" in it), key=lambda it: str(it["ready"]), default={})
        for phase, seconds in ledger.seconds(last).items():
            self._add("pantala_version_start_seconds", f'{version},phase="{phase}"', seconds)
        for source, count in ((seen.get("fetch") or {}).get("bytes") or {}).items():
            self._add("pantala_version_fetched_bytes", f'{version},source="{source}"', count)

    def _pods(self, pods: tuple[Manifest, ...]) -> None:
        for pod in pods:
            meta = pod["metadata"]
            version = (meta.get("labels") or {}).get(naming.LABEL_VERSION, "")
            node = (pod.get("spec") or {}).get("nodeName") or ""
            self._add("pantala_pod_info", f'pod="{meta["name"]}",version="{version}",node="{node}"')


@lru_cache(maxsize=1024)
def _granted(provider: str, core_percent: int | None, count: int) -> int:
    """Percent of a card that a replica is granted, in the way in which the provider's exporter counts."""
    known = PROVIDERS.get(provider)
    # Nothing is checked again here: a scrape must not fail on what a resource of another release says.
    asked = Accelerator.model_construct(core_percent=core_percent, count=count)
    found = known.utilization(asked) if known is not None else None
    return found.granted if isinstance(found, Utilization) else _CARD


def _quoted(text: object) -> str:
    """A label's value with its quotes, as the text format has it."""
    plain = str(text)
    if plain.isalnum():
        return f'"{plain}"'
    return '"' + plain.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def _targets(scaling: Manifest) -> Iterator[tuple[str, float]]:
    if _scales(scaling):
        for metric in scaling.get("metrics") or ():
            yield metric["type"], float(metric["target"])
        for query in scaling.get("prometheus") or ():
            yield query["name"], float(query["target"])


def _scales(scaling: Manifest) -> bool:
    """Whether something decides about the number of replicas."""
    more = scaling.get("maxReplicas", 0) > scaling.get("minReplicas", 1)
    return more and bool(scaling.get("metrics") or scaling.get("prometheus"))


def _target(spec: Manifest, versions: Manifest) -> str:
    """The version that shall answer, where none does yet."""
    return str((spec.get("traffic") or {}).get("target") or next(iter(versions), ""))


def _block(spec: Manifest, version: Manifest | None, name: str) -> Manifest | None:
    """A block of a version, its own or the shared one; None for a version that is not in the spec."""
    return None if version is None else version.get(name) or spec.get(name) or {}
