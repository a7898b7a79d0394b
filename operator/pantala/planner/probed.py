"""What was found out about measures that an autoscaler has no value of: in the metrics APIs and in Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pantala.autoscaling.mesh import Mesh
from pantala.autoscaling.raw import COPY, NAMESPACE_LABELS, POD_LABELS, Raw
from pantala.autoscaling.signals import Signal, Source

CUSTOM, EXTERNAL, RESOURCE = "custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"
"""API groups by which an HPA reads measures."""

Labels = Mapping[str, str]
"""Labels of a sample."""


class Clue(StrEnum):
    """How far a measure gets on its way to the autoscaler."""

    API_ABSENT = "api-absent"
    """The cluster does not serve the API by which it is read."""
    API_DOWN = "api-down"
    """The API is registered, and what serves it does not answer."""
    UNREACHABLE = "unreachable"
    """Prometheus does not answer the operator; `detail` says how."""
    UNASKED = "unasked"
    """The operator was not told where Prometheus is."""
    NOTHING = "nothing"
    """Prometheus has no series of which it is made, of nobody."""
    ELSEWHERE = "elsewhere"
    """It has such series, but of other pods only."""
    NAMELESS = "nameless"
    """It has such series, and none of them names a pod that has a card."""
    MISLABELED = "mislabeled"
    """It has them, but they name the replicas in the label `detail`, where the recording rules do not look."""
    COPIES = "copies"
    """It has them, but as copies of the whole card's, one for each pod."""
    UNRECORDED = "unrecorded"
    """It has them, and the recording rules make nothing of them; `detail` is one of their names."""
    EMPTY = "empty"
    """The user's query has no answer."""
    BAD_QUERY = "bad-query"
    """The user's query cannot be used; `detail` says why."""
    RECORDED = "recorded"
    """Everything is there: only the autoscaler knows more."""


@dataclass(frozen=True)
class Ask:
    """A measure that an autoscaler has no value of."""

    version: str
    signal: Signal
    group: str
    """The API group by which it is read."""
    namespace: str
    pods: tuple[str, ...]
    """Replicas that should have it."""
    service: str
    """The version's Service, and its Deployment."""
    raw: Raw | None = None
    """What it is made of; None for what is not a recorded series."""

    @property
    def key(self) -> Ask:
        """By which its finding is found: the question, whichever replicas there are. Another engine or query is another question."""
        return replace(self, pods=())


@dataclass(frozen=True)
class Finding:
    """What was found out about one measure."""

    clue: Clue
    detail: str = ""
    offered: bool | None = None
    """Whether the metrics adapter offers the series. None: that does not matter, or is not known."""


Findings = Mapping[Ask, Finding]
"""By `Ask.key`; what is not in it has not been looked at yet."""


@dataclass(frozen=True)
class Api:
    """A metrics API as the API server tells of it."""

    present: bool = True
    """Whether it is registered."""
    answers: bool = True
    """Whether what serves it answered."""
    offers: frozenset[str] | None = None
    """Its resources, such as `pods/pantala_gpu_utilization`. None: unknown."""


class Rows:
    """The exporters' series that exist, by the labels that may name a pod; found without looking at all of them.

    Args:
        rows: The labels of each.
        exporters: Namespace and pod of the targets that export them.
        labels: Labels that may name a pod.
    """

    def __init__(
        self,
        rows: Iterable[Labels] = (),
        exporters: Collection[tuple[str, str]] = (),
        labels: Iterable[str] = POD_LABELS,
    ) -> None:
        self._all: dict[str, list[Labels]] = {}
        self._by_pod: dict[tuple[str, str], list[Labels]] = {}
        self._workloads: dict[tuple[str, Raw], bool] = {}
        self._exporters = frozenset(exporters)
        names = tuple(dict.fromkeys((*POD_LABELS, *labels)))
        for row in rows:
            series = row.get("__name__", "")
            self._all.setdefault(series, []).append(row)
            for value in {row[label] for label in names if row.get(label)}:
                self._by_pod.setdefault((series, value), []).append(row)

    def first(self, raw: Raw) -> str | None:
        """Name of the first series of which there is any."""
        return next((series for series in raw.series if series in self._all), None)

    def naming(self, raw: Raw, pods: Iterable[str]) -> list[Labels]:
        """Those that name one of these pods."""
        return [row for series in raw.series for pod in pods for row in self._by_pod.get((series, pod), ())]

    def workloads(self, raw: Raw) -> bool:
        """Whether some series names some pod that has the card, not only that of the exporter itself."""
        for series in raw.series:
            key = series, raw
            if key not in self._workloads:
                self._workloads[key] = any(self._workload(row, raw) for row in self._all.get(series, ()))
        return any(self._workloads[series, raw] for series in raw.series)

    def _workload(self, row: Labels, raw: Raw) -> bool:
        others = {label for label in {*raw.pod_labels, *POD_LABELS} if row.get(label)} - {"pod"}
        own = (row.get("namespace", ""), row.get("pod", "")) in self._exporters
        return bool(others) or (bool(row.get("pod")) and not own)


@dataclass
class Answers:
    """All that one round found."""

    apis: Mapping[str, Api] = field(default_factory=dict)
    """By group; one that could not be asked is not in it."""
    asked: bool = False
    """Whether the operator knows where Prometheus is."""
    trouble: str | None = None
    """Why Prometheus did not answer at all."""
    gaps: dict[Source, str] = field(default_factory=dict)
    """Why it did not tell of the exporters' series, by the sources of measures that are made of them."""
    recorded: Collection[tuple[str, str, str]] = ()
    """Name, namespace and pod (or Service) of the recorded series that exist."""
    raw: Rows = field(default_factory=Rows)
    """The exporters' series."""
    mesh: Mesh = field(default_factory=Mesh)
    """Those of the mesh, which are too many to be among them."""
    queries: Mapping[str, Finding] | None = None
    """What was found out about queries of users, by query. None: the operator may not ask them."""


def unrecorded(ask: Ask, answers: Answers) -> bool:
    """Whether a measure is a recorded series, and Prometheus has none for this version."""
    if ask.signal.source not in {Source.PODS, Source.SERVICE}:
        return False
    names = ask.pods if ask.signal.source is Source.PODS else (ask.service,)
    return not any((ask.signal.series, ask.namespace, name) in answers.recorded for name in names)


def judge(ask: Ask, answers: Answers) -> Finding | None:
    """What is known of one measure, from the root of its way on; None if that could not be asked yet."""
    api = answers.apis.get(ask.group)
    if api is None:
        return None
    if not api.present or not api.answers:
        return Finding(Clue.API_DOWN if api.present else Clue.API_ABSENT)
    if ask.signal.source is Source.RESOURCE:
        return Finding(Clue.RECORDED)
    if ask.signal.source is Source.QUERY:
        return _of_user(ask, answers)
    kind = "pods" if ask.signal.source is Source.PODS else "services"
    offered = f"{kind}/{ask.signal.series}" in api.offers if ask.group == CUSTOM and api.offers is not None else None
    return Finding(*_in_prometheus(ask, answers), offered)


def _of_user(ask: Ask, answers: Answers) -> Finding | None:
    if answers.queries is None:
        return Finding(Clue.UNASKED)
    if answers.trouble is not None:
        return Finding(Clue.UNREACHABLE, answers.trouble)
    return answers.queries.get(ask.signal.series)


def _in_prometheus(ask: Ask, answers: Answers) -> tuple[Clue, str]:
    if not answers.asked:
        return Clue.UNASKED, ""
    if answers.trouble is not None:
        return Clue.UNREACHABLE, answers.trouble
    if not unrecorded(ask, answers):
        return Clue.RECORDED, ""
    if ask.signal.source in answers.gaps:
        return Clue.UNREACHABLE, answers.gaps[ask.signal.source]
    return _of_mesh(ask, answers.mesh) if ask.signal.source is Source.SERVICE else _raw(ask, answers)


def _of_mesh(ask: Ask, mesh: Mesh) -> tuple[Clue, str]:
    """Whether the mesh counts requests of the version, of others, or of nobody."""
    ours = mesh.services.get((ask.namespace, ask.service))
    if ours is not None:
        return Clue.UNRECORDED, ours
    some = next((series for series in (ask.raw.series if ask.raw else ()) if series in mesh.series), None)
    return (Clue.NOTHING, "") if some is None else (Clue.ELSEWHERE, some)


def _raw(ask: Ask, answers: Answers) -> tuple[Clue, str]:
    """How far the exporter's series get."""
    raw, rows = ask.raw, answers.raw
    some = rows.first(raw) if raw is not None else None
    if raw is None or some is None:
        return Clue.NOTHING, ""
    pods = frozenset(ask.pods)
    known = [
        (row, label)
        for row in rows.naming(raw, ask.pods)
        if (label := _label(row, pods, ask.namespace, raw)) is not None
    ]
    usable = [(row, label) for row, label in known if raw.copies or not row.get(COPY)]
    astray = [_astray(row, label, ask.namespace, raw) for row, label in usable]
    if None in astray:
        return Clue.UNRECORDED, usable[astray.index(None)][0]["__name__"]
    if usable:
        return Clue.MISLABELED, astray[0] or ""
    if known:
        return Clue.COPIES, known[0][0]["__name__"]
    named = not raw.of_cards or rows.workloads(raw)
    return (Clue.ELSEWHERE if named else Clue.NAMELESS), some


def _astray(row: Labels, label: str, namespace: str, raw: Raw) -> str | None:
    """The label that names a replica or its namespace where the rules do not look; None if they find both."""
    if label not in raw.pod_labels:
        return label
    looked = next((row[it] for it in raw.namespace_labels if row.get(it)), namespace)
    return next((it for it in NAMESPACE_LABELS if looked != namespace == row.get(it)), None)


def _label(row: Labels, pods: Collection[str], namespace: str, raw: Raw) -> str | None:
    """The label in which a series names one of these pods: one that the rules look at, if there is one."""
    found = [label for label in (*raw.pod_labels, *POD_LABELS) if row.get(label) in pods]
    spaces = {row[label] for label in NAMESPACE_LABELS if row.get(label)}
    return found[0] if found and (not spaces or namespace in spaces) else None
