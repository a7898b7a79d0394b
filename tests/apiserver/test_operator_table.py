"""One pass over one model, as a table: what is there, what fails, and the whole list of requests, conditions and Events."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.events import Recorder
from pantala.cluster.objects import Key
from pantala.cluster.resources import BY_KIND, MODEL
from pantala.errors import ApiError, Unavailable
from pantala.manifest.settings import Settings
from pantala.reconcile.reconciler import RECHECK_SECONDS, WEBHOOK_SECONDS, Reconciler
from tests.apiserver.api_proxy import Rule
from tests.apiserver.operator_process import CHILDREN, Installation, Space, manifest

pytestmark = pytest.mark.apiserver

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CREATED = ["PATCH configmaps/M-v1", "PATCH services/M", "PATCH services/M-v1", "PATCH deployments/M-v1"]
STATUS = "PATCH inferencemodels/M/status"
EVENT = "POST events"
NEW = {"Accepted": "Accepted", "Ready": "Starting", "Reconciling": "Starting"}
NOWHERE = {"spec": {"nodeSelector": {"no": "such"}}}
"""Pods that no node takes: nothing changes between two passes."""


class Hands:
    """What a row's preparation can do: passes, edits, and a look at the API server."""

    def __init__(self, installation: Installation, client: Client, name: str) -> None:
        self.space, self.proxy, self.name = installation.space, installation.proxy, name
        self.cache = Cache(lambda _: None, lambda _: None)
        self.key = Key(self.space.name, name)
        recorder = Recorder(client, "table")
        self.reconciler = Reconciler(client, self.cache, recorder, Settings(), lambda: NOW)

    def look(self) -> None:
        """Fill the cache as the watches would."""
        for kind in CHILDREN:
            resource = BY_KIND[kind]
            objects = self.space.list(kind, model=self.name)
            types = {"apiVersion": resource.api_version, "kind": kind}
            self.cache.replace(resource, self.space.name, [{**obj, **types} for obj in objects])
        model = self.space.get("InferenceModel", self.name)
        if model is not None:
            self.cache.upsert(MODEL, model)

    async def run(self) -> float | None:
        """One pass."""
        self.look()
        return await self.reconciler.reconcile(self.key)


Prepare = Callable[[Hands], Any]


async def new(hands: Hands) -> None:
    hands.space.model(hands.name, template=NOWHERE)


async def made(hands: Hands) -> None:
    """A model whose children are all there."""
    await new(hands)
    await hands.run()


def and_then(act: Callable[[Space, str], Any]) -> Prepare:
    async def prepare(hands: Hands) -> None:
        await made(hands)
        act(hands.space, hands.name)

    return prepare


async def exposed_before(hands: Hands) -> None:
    """A model whose NodePort Service is a leftover."""
    hands.space.model(hands.name, expose={"nodePort": {}}, template=NOWHERE)
    await hands.run()
    hands.space.patch("InferenceModel", hands.name, {"spec": {"expose": None}})


async def exposed_and_broken(hands: Hands) -> None:
    """A leftover, and a child that has to be written."""
    await exposed_before(hands)
    hands.space.delete("ConfigMap", f"{hands.name}-v1")


async def stranger(hands: Hands) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{hands.name}-v1"}}
    hands.space.create("ConfigMap", body)
    await new(hands)


async def cleared(hands: Hands) -> None:
    """A stranger's object that was in the way is gone."""
    await stranger(hands)
    await hands.run()
    hands.space.delete("ConfigMap", f"{hands.name}-v1")


@dataclass
class Row:
    """One pass."""

    prepare: Prepare
    requests: list[str]
    """All requests of the pass; those of one wave in the order of their names."""
    conditions: dict[str, str] | None = None
    """Reasons by condition after the pass; None: no status is expected."""
    rule: Rule | None = None
    raises: type[Exception] | None = None
    again: float | None = None
    """In how many seconds the pass wants to look again."""


def patch(kind: str, name: str, body: Any) -> Prepare:
    return and_then(lambda space, model: space.patch(kind, name.replace("M", model), body))


ROWS: dict[str, Row] = {
    "new": Row(new, [*CREATED, STATUS], NEW),
    "nothing to do": Row(made, [], NEW),
    "child deleted": Row(and_then(lambda s, m: s.delete("Service", m)), ["PATCH services/M"], NEW),
    "child changed": Row(patch("ConfigMap", "M-v1", {"data": {"config.pbtxt": ""}}), ["PATCH configmaps/M-v1"], NEW),
    "child extended": Row(patch("ConfigMap", "M-v1", {"data": {"theirs": "1"}}), [], NEW),
    "label taken away": Row(
        patch("Service", "M", {"metadata": {"labels": None}}),
        ["PATCH services/M", "GET services/M", "PATCH services/M"],
        NEW,
    ),
    "replicas": Row(
        patch("InferenceModel", "M", {"spec": {"scaling": {"minReplicas": 2}}}),
        ["PATCH poddisruptionbudgets/M-v1", "PATCH deployments/M-v1", STATUS],
        NEW,
    ),
    "leftover": Row(exposed_before, ["DELETE services/M-nodeport", STATUS], NEW),
    "leftover that is gone": Row(
        exposed_before, ["DELETE services/M-nodeport", STATUS], NEW, Rule(method="DELETE", status=404)
    ),
    "leftover of another uid": Row(
        exposed_before, ["DELETE services/M-nodeport", STATUS], NEW, Rule(method="DELETE", status=409)
    ),
    "paused": Row(
        patch("InferenceModel", "M", {"spec": {"paused": True, "scaling": {"minReplicas": 2}}}),
        [STATUS],
        {"Accepted": "Paused", "Ready": "Starting"},
    ),
    "stranger": Row(
        stranger,
        ["PATCH configmaps/M-v1", "GET configmaps/M-v1", *CREATED[1:], STATUS, EVENT],
        {"Accepted": "NameConflict", "Ready": "NameConflict", "Stalled": "NameConflict"},
        again=None,
    ),
    "stranger gone": Row(cleared, ["PATCH configmaps/M-v1", STATUS, EVENT], NEW),
    "forbidden": Row(
        new,
        [*CREATED, STATUS, EVENT],
        {"Accepted": "Forbidden", "Ready": "Forbidden", "Stalled": "Forbidden"},
        Rule(path="/services/", status=403, message='services "x" is forbidden: User "op" cannot patch'),
    ),
    "forbidden keeps leftovers": Row(
        exposed_and_broken,
        ["PATCH configmaps/M-v1", STATUS, EVENT],
        {"Accepted": "Forbidden", "Ready": "Forbidden", "Stalled": "Forbidden"},
        Rule(path="/configmaps/", status=403, message="no"),
    ),
    "quota": Row(
        new,
        [*CREATED, STATUS, EVENT],
        {"Accepted": "QuotaExceeded", "Ready": "QuotaExceeded", "Stalled": "QuotaExceeded"},
        Rule(path="/services/", status=403, message="exceeded quota: objects, requested: count/services=1"),
    ),
    "rejected": Row(
        new,
        [*CREATED, STATUS, EVENT],
        {"Accepted": "Rejected", "Ready": "Rejected", "Stalled": "Rejected"},
        Rule(path="/deployments/", status=422, message="spec.template: Invalid value"),
    ),
    "namespace is going": Row(
        new,
        CREATED[:3],
        rule=Rule(path="/services/", status=403, message="namespace t is being terminated"),
    ),
    "webhook down": Row(
        new,
        [*CREATED, STATUS, EVENT],
        {"Accepted": "WebhookFailed", "Ready": "WebhookFailed", "Reconciling": "WebhookFailed"},
        Rule(path="/services/M-v1", status=500, message='failed calling webhook "x": connection refused'),
    ),
    "too many requests": Row(new, CREATED[:3], rule=Rule(path="/configmaps/", status=429), raises=ApiError),
    "internal error": Row(new, CREATED[:3], rule=Rule(path="/services/M-v1", status=500), raises=ApiError),
    "unavailable": Row(new, CREATED[:3], rule=Rule(path="/services/M-v1", status=503), raises=ApiError),
    "connection lost": Row(new, CREATED[:3], rule=Rule(path="/services/M-v1", drop_before=True), raises=Unavailable),
    "answer lost": Row(new, CREATED, rule=Rule(path="/deployments/", drop_after=True), raises=Unavailable),
    "status: model is gone": Row(new, [*CREATED, STATUS], rule=Rule(path="/status", status=404)),
    "status: another model": Row(new, [*CREATED, STATUS], rule=Rule(path="/status", status=422)),
    "status: internal error": Row(new, [*CREATED, STATUS], rule=Rule(path="/status", status=500), raises=ApiError),
    "event refused": Row(cleared, ["PATCH configmaps/M-v1", STATUS, EVENT], NEW, Rule(path="/events", status=403)),
}


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[Client]:
    async with await Client.connect(str(installation.kubeconfig)) as client:
        yield client


@pytest.mark.parametrize("case", ROWS)
async def test_pass(installation: Installation, client: Client, case: str) -> None:
    """The pass sends exactly these requests and leaves exactly these conditions; the next one has nothing to add."""
    row, name = ROWS[case], f"row-{list(ROWS).index(case)}"
    installation.proxy.clear()
    hands = Hands(installation, client, name)
    await row.prepare(hands)
    hands.look()
    if row.rule is not None:
        installation.proxy.add(row.rule)
        row.rule.path = row.rule.path.replace("/M", f"/{name}")
    begin = len(installation.proxy.requests)
    if row.raises is not None:
        with pytest.raises(row.raises):
            await hands.run()
    else:
        wait = await hands.run()
        if row.rule is None and case != "stranger":
            assert wait is None
        elif "Stalled" in (row.conditions or {}):
            assert wait == RECHECK_SECONDS
        elif case == "webhook down":
            assert wait == WEBHOOK_SECONDS
    sent = [request.target.replace(name, "M") for request in installation.proxy.requests[begin:]]
    assert ordered(sent) == ordered(row.requests)
    conditions = {it["type"]: it["reason"] for it in hands.space.status(name).get("conditions", ())}
    assert conditions == (row.conditions or {})
    installation.proxy.clear()
    await hands.run()
    begin = len(installation.proxy.requests)
    await hands.run()
    assert [request.target for request in installation.proxy.writes(begin)] in ([], [f"PATCH configmaps/{name}-v1"])


def ordered(requests: list[str]) -> list[str]:
    """What is written at a time comes in any order; a wave ends with the Deployment, the pass with status and Event."""
    first = sorted(it for it in requests if not it.endswith(("/status", "events")) and "deployments" not in it)
    return [*first, *(it for it in requests if it not in first)]


async def test_deleted_model(installation: Installation, client: Client) -> None:
    """A model that is gone, or on its way out, costs no request."""
    hands = Hands(installation, client, "never-was")
    begin = len(installation.proxy.requests)
    assert await hands.run() is None
    going = manifest("never-was")
    meta = {"name": "never-was", "namespace": hands.space.name, "uid": "1", "resourceVersion": "1"}
    hands.cache.upsert(MODEL, {**going, "metadata": {**meta, "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert await hands.reconciler.reconcile(hands.key) is None
    assert installation.proxy.requests[begin:] == []
