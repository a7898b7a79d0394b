"""Asks a cluster's metrics API for recorded series, and says why there is none. What is missing is no error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pantala.api import quantity
from pantala.autoscaling import signals
from pantala.cluster.client import Client
from pantala.errors import ApiError, Unavailable
from pantala.manifest.words import some

GROUP = "custom.metrics.k8s.io"
RIGHTS = "manifests/top-rights.yaml"
"""What an administrator applies so that whoever may look at a namespace may also read these series."""
_PATH = f"/apis/{GROUP}"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _INTERNAL = 401, 403, 404, 500
_SECONDS = 20.0
"""How long a question may take: within it the adapter lists pods and asks Prometheus."""
_AT_ONCE = 4
"""Questions in flight. The adapter lists pods for each, five a second unless `--client-qps` says more (custom-metrics-apiserver,
pkg/cmd/builder.go), and autoscalers wait in the same line."""
_NAMED = 3

Values = Mapping[tuple[str, str], Decimal]
"""Values of one series by namespace and name of the pod or the Service."""


@dataclass(frozen=True)
class Question:
    """One series of some objects of a namespace."""

    namespace: str
    kind: str
    """`pods` or `services`."""
    series: str
    selector: str
    """Labels of the objects."""


@dataclass
class Answer:
    """What is known of the series."""

    values: dict[str, dict[tuple[str, str], Decimal]] = field(default_factory=dict)
    """By series."""
    problem: str = ""
    """Why something is not known, and the next step; empty if nothing is in the way."""
    failed: bool = False
    """Whether the problem is one of asking (a right, an answer that did not come), not of what the cluster has."""

    def of(self, series: str) -> Values:
        """The values of a series; none if nobody knows one."""
        return self.values.get(series, {})


async def ask(client: Client, questions: Sequence[Question]) -> Answer:
    """The answers to all questions, those that there are."""
    answer = Answer()
    if not questions:
        return answer
    try:
        version = await _version(client)
    except (ApiError, Unavailable, TimeoutError) as error:
        answer.problem, answer.failed = _explained({questions[0]: error}), True
        return answer
    if version is None:
        answer.problem = (
            f"The cluster does not serve {GROUP}, so of cards, requests and queues only that is known which KEDA reads: "
            "install Prometheus Adapter with the rules of Pantala's chart (docs/autoscaling.md)."
        )
        return answer
    limit = asyncio.Semaphore(_AT_ONCE)
    work = (_one(client, version, question, limit) for question in questions)
    asked = await asyncio.gather(*work, return_exceptions=True)
    errors: dict[Question, BaseException] = {}
    for question, found in zip(questions, asked, strict=True):
        if isinstance(found, BaseException):
            errors[question] = found
        else:
            answer.values.setdefault(question.series, {}).update(found)
    bad = {question: error for question, error in errors.items() if not _absent(error)}
    if bad:
        answer.problem, answer.failed = _explained(bad), True
    elif len(errors) == len(questions) and not await _offered(client, version):
        answer.problem = (
            "The metrics adapter offers none of Pantala's series: give it the rules of Pantala's chart (autoscaling.adapter), "
            "and Prometheus the recording rules (autoscaling.rules); docs/autoscaling.md says how."
        )
    return answer


async def _version(client: Client) -> str | None:
    """The version that the API server prefers; None where it does not serve the group. Needs no right."""
    try:
        found = await _in_time(client.request("GET", _PATH))
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return str(found["preferredVersion"]["version"])


async def _one(
    client: Client, version: str, question: Question, limit: asyncio.Semaphore
) -> dict[tuple[str, str], Decimal]:
    path = f"{_PATH}/{version}/namespaces/{question.namespace}/{question.kind}/*/{question.series}"
    async with limit:
        found = await _in_time(client.request("GET", path, params={"labelSelector": question.selector}))
    values: dict[tuple[str, str], Decimal] = {}
    for item in found.get("items") or ():
        value = quantity.parse(str(item.get("value")))
        if value is not None:
            values[question.namespace, item["describedObject"]["name"]] = value
    return values


async def _offered(client: Client, version: str) -> bool:
    """Whether the adapter knows any of the series: it answers 404 also where only no pod has a value."""
    try:
        found = await _in_time(client.request("GET", f"{_PATH}/{version}"))
    except (ApiError, Unavailable, TimeoutError):
        return True  # nothing is said about what is not known
    names = {item["name"].partition("/")[2] for item in found.get("resources") or ()}
    return not names.isdisjoint((*signals.POD_SERIES, *signals.SERVICE_SERIES))


async def _in_time(request: Any) -> dict[str, Any]:
    async with asyncio.timeout(_SECONDS):
        found: dict[str, Any] = await request
        return found


def _absent(error: BaseException) -> bool:
    if isinstance(error, ApiError):
        return error.status == _NOT_FOUND
    if isinstance(error, Unavailable | TimeoutError):
        return False
    raise error  # a defect


def _explained(errors: Mapping[Question, BaseException]) -> str:
    """One sentence for all errors: that of a right first, since it is the only one that the person can do something about."""
    statuses = {question: _status(error) for question, error in errors.items()}
    refused = [question for question, status in statuses.items() if status == _FORBIDDEN]
    if refused:
        names = some(_sorted(f"{item.kind}/{item.series}" for item in refused), _NAMED)
        spaces = some(_sorted(item.namespace for item in refused), _NAMED)
        return (
            f"You may not get {names} of {GROUP} in {spaces}: an administrator allows it to all who may view the namespace by "
            f"`kubectl apply -f {RIGHTS}`."
        )
    question, error = next(iter(errors.items()))
    words = _words(error)
    if statuses[question] == _INTERNAL:
        return f"The metrics adapter cannot ask Prometheus ({words}): look into its log, and whether Prometheus is up."
    return f"The metrics adapter does not answer ({words}): `kubectl get apiservices` says why, for those of {GROUP}."


def _status(error: BaseException) -> int | None:
    return error.status if isinstance(error, ApiError) else None


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"not within {_SECONDS:.0f} s"
    return f"{error.status}: {error.message}" if isinstance(error, ApiError) else str(error)


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
