"""The APIs of meshes come and go while the operator runs, with rights everywhere and in two namespaces."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from pantala.api.model import InferenceModel
from pantala.cluster.apply import Writer
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.objects import Key
from pantala.cluster.optional import OptionalKinds
from pantala.cluster.resources import (
    DESTINATION_RULE,
    GATEWAYS,
    HTTP_ROUTE,
    ISTIO_GATEWAY,
    MESHES,
    MODEL,
    VIRTUAL_SERVICE,
    Resource,
)
from pantala.planner.observed import Mesh
from pantala.planner.plan import owner_reference
from tests.apiserver.api_proxy import ApiProxy
from tests.apiserver.models import Api
from tests.apiserver.operator_process import Installation, Operator, Space
from tests.charts import rights
from tests.cluster import Cluster
from tests.cluster.addons import gateway_api, istio
from tests.cluster.audit import WRITES, AuditLog, Call
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.apiserver, pytest.mark.mesh]

ISTIO = frozenset(resource for resource in MESHES if resource.group.endswith("istio.io"))
GATEWAY_API = frozenset(MESHES) - ISTIO
GROUPS = (".istio.io", ".gateway.networking.k8s.io")
SECONDS = 60.0


@pytest.fixture(scope="module")
def log(kwok_cluster: Cluster) -> AuditLog:
    assert kwok_cluster.audit is not None
    return AuditLog(kwok_cluster.audit)


@pytest.fixture(autouse=True)
def bare(kwok_cluster: Cluster) -> Iterator[None]:
    """No test begins with a mesh's API, and none leaves one behind."""
    remove(kwok_cluster)
    yield
    remove(kwok_cluster)


def delete(cluster: Cluster, *groups: str) -> list[str]:
    """Ask for the CRDs of some groups to be deleted; their names."""
    found = cluster.kubectl("get", "customresourcedefinitions", "-o", "name").split()
    names = [name for name in found if name.endswith(groups)]
    if names:
        cluster.kubectl("delete", "--wait=false", "--ignore-not-found", *names)
    return names


def remove(cluster: Cluster) -> None:
    """Delete the CRDs of both meshes; returns when they are gone.

    One that is deleted soon after it was made can take a minute or two: the API server's finalizer polls for its objects,
    for a minute at a time (apiextensions-apiserver, crd_finalizer.go).
    """
    delete(cluster, *GROUPS)
    wait_for(lambda: not delete(cluster, *GROUPS), "CRDs gone", 300, every=1)


def present(operator: Operator) -> frozenset[Resource]:
    """The kinds that the operator uses."""
    text = operator.get("/metrics")[1]
    return frozenset(
        resource
        for resource in MESHES
        if f'pantala_api_present{{group="{resource.group}",kind="{resource.kind}"}} 1.0' in text
    )


def wait_present(operator: Operator, kinds: frozenset[Resource]) -> None:
    names = ", ".join(sorted(kind.title for kind in kinds)) or "nothing"
    wait_for(lambda: present(operator) == kinds, f"{names} in use; {operator.log}", SECONDS, operator.check)


def watches(log: AuditLog, user: str, since: int) -> Counter[tuple[str, str, str]]:
    """Watches of optional kinds that were opened: plural with group, namespace, answer."""
    kinds = {(resource.group, resource.plural): resource for resource in MESHES}
    found: Counter[tuple[str, str, str]] = Counter()
    for call in log.calls(since, user=user):
        kind = kinds.get((call.raw.get("objectRef", {}).get("apiGroup", ""), call.resource))
        if kind is not None and call.verb == "watch":
            found[kind.title, call.namespace, str(call.code)] += 1
    return found


def renewals(log: AuditLog, user: str, since: int) -> int:
    """Renewals of the Lease, one each four seconds: the clock of these tests."""
    return sum(call.resource == "leases" for call in log.calls(since, user=user))


def others(log: AuditLog, user: str, since: int) -> list[Call]:
    """What else an operator asked for."""
    return [call for call in log.calls(since, user=user) if call.resource != "leases"]


def wait_let_go(log: AuditLog, user: str) -> None:
    """Wait until an operator has asked for nothing of a mesh for three renewals.

    What is on its way when a kind goes is still answered, and late where the machine is busy.
    """
    mark = log.mark()

    def quiet() -> bool:
        nonlocal mark
        if any(group.strip(".") in call.raw["requestURI"] for call in others(log, user, mark) for group in GROUPS):
            mark = log.mark()
        return renewals(log, user, mark) >= 3

    wait_for(quiet, "three renewals without a question about a mesh", SECONDS)


def test_kinds_come_and_go(install: Callable[..., Installation], kwok_cluster: Cluster, log: AuditLog) -> None:
    """Kinds that arrive are watched once, kinds that leave are let go without a word, and those that come again are watched again."""
    made = install(everywhere=True)
    operator = made.start().wait("leader")
    assert present(operator) == frozenset()
    for _ in range(2):
        arrive_and_leave(made, operator, kwok_cluster, log)
    assert operator.get("/healthz") == (200, "ok")
    assert rights.forbidden(log, made.user) == []
    assert "Traceback" not in operator.log.read_text()


def arrive_and_leave(made: Installation, operator: Operator, cluster: Cluster, log: AuditLog) -> None:
    """One round: Istio, then the Gateway API beside it; a model; then both leave."""
    begin = log.mark()
    istio.install(cluster)
    wait_present(operator, ISTIO)
    gateway_api.install(cluster)
    wait_present(operator, frozenset(MESHES))
    opened = {(kind.title, "", "200"): 1 for kind in MESHES}
    wait_for(lambda: watches(log, made.user, begin) == opened, "one watch of each kind", SECONDS)
    made.space.model("meanwhile")
    made.space.wait_ready("meanwhile")
    delete(cluster, GROUPS[1])
    wait_present(operator, ISTIO)
    delete(cluster, GROUPS[0])
    wait_present(operator, frozenset())
    wait_let_go(log, made.user)
    made.space.delete("InferenceModel", "meanwhile")
    remove(cluster)


def test_in_some_namespaces(install: Callable[..., Installation], kwok_cluster: Cluster, log: AuditLog) -> None:
    """With Roles in two namespaces each kind is watched in both, Gateways nowhere, and nothing that is forbidden is asked for."""
    made = install(namespaces=2)
    operator = made.start().wait("leader")
    mark = log.mark()
    istio.install(kwok_cluster)
    gateway_api.install(kwok_cluster)
    mine = frozenset(MESHES) - frozenset(GATEWAYS)
    wait_present(operator, mine)
    opened = {(kind.title, name, "200"): 1 for kind in mine for name in made.names}
    wait_for(lambda: watches(log, made.user, mark) == opened, "one watch per kind and namespace", SECONDS)
    remove(kwok_cluster)
    wait_present(operator, frozenset())
    assert rights.forbidden(log, made.user) == []
    operator.check()


def test_an_older_role(install: Callable[..., Installation], kwok_cluster: Cluster) -> None:
    """Kinds that the Role does not name stop nothing: they are left alone, which is in the log once and in a metric."""
    made = install()
    role = made.api.call("GET", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{made.space.name}/roles")["items"]
    (rules,) = (it for it in role if any("inferencemodels" in rule["resources"] for rule in it["rules"]))
    kept = [rule for rule in rules["rules"] if "virtualservices" not in rule["resources"]]
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{made.space.name}/roles/{rules['metadata']['name']}"
    made.api.call("PATCH", path, {"rules": kept}, content="application/merge-patch+json")
    istio.install(kwok_cluster)
    operator = made.start().wait("leader")
    refused = {resource for resource in ISTIO if resource.group == "networking.istio.io"} - {ISTIO_GATEWAY}
    wait_present(operator, ISTIO - refused - {ISTIO_GATEWAY})
    assert operator.metric("pantala_api_refused") == len(refused)
    made.space.model("served")
    made.space.wait_ready("served")
    assert operator.log.read_text().count("virtualservices: may not be watched") == 1


def test_quiet_with_the_kinds_there(install: Callable[..., Installation], kwok_cluster: Cluster, log: AuditLog) -> None:
    """With the kinds there nothing is written while nothing changes, and all that is read is whether they still are."""
    istio.install(kwok_cluster)
    gateway_api.install(kwok_cluster)
    made = install(everywhere=True)
    operator = made.start().wait("leader")
    for number in range(10):
        made.space.model(f"quiet-{number}")
    for number in range(10):
        made.space.wait_ready(f"quiet-{number}")
    mark = log.mark()
    wait_for(lambda: renewals(log, made.user, mark) >= 2, "renewals", SECONDS)
    mark = log.mark()
    wait_for(lambda: renewals(log, made.user, mark) >= 6, "renewals", SECONDS)
    found = [call for call in others(log, made.user, mark) if call.namespace in {"", made.space.name}]
    assert not [call.raw["requestURI"] for call in found if call.verb in WRITES]
    reads = Counter((call.raw["requestURI"], call.code) for call in found if "watch=true" not in call.raw["requestURI"])
    # The second is for models of other tests that scale on CPU, which this cluster does not measure.
    assert {("/apis", 304)} <= reads.keys() <= {("/apis", 304), ("/apis/metrics.k8s.io", 404)}
    assert 1 <= reads["/apis", 304] <= 4
    operator.check()


async def test_children_of_a_mesh(kwok_cluster: Cluster, kwok_api: Api) -> None:
    """Kinds of a mesh are written as all children are: made where the name is free, left alone when equal, never adopted.

    Policies come before the routes; a kind that is not there is a problem of its own, and what can be written is.
    """
    istio.install(kwok_cluster)
    space = Space(kwok_api, "mesh-children")
    kwok_api.call("POST", "/api/v1/namespaces", {"metadata": {"name": space.name}})
    with ApiProxy(kwok_cluster.kubeconfig) as proxy, tempfile.TemporaryDirectory() as folder:
        kubeconfig = proxy.kubeconfig(Path(folder) / "kubeconfig")
        await write_children(proxy, str(kubeconfig), space)
    kwok_api.call("DELETE", f"/api/v1/namespaces/{space.name}")


async def write_children(proxy: ApiProxy, kubeconfig: str, space: Space) -> None:
    """Apply a route with its policies, twice, then beside a stranger's."""
    model = space.model("net")
    cache = Cache(lambda _: None, lambda _: None)
    cache.apis(ISTIO)
    cache.upsert(MODEL, model)
    key = Key(space.name, "net")
    async with await Client.connect(kubeconfig) as client:
        writer = Writer(client, cache)
        wanted = [
            child(model, HTTP_ROUTE, ROUTE),
            child(model, VIRTUAL_SERVICE, VIRTUAL),
            child(model, DESTINATION_RULE, RULE),
        ]

        async def apply(count: int) -> tuple[list[str], list[str]]:
            """Requests, and words of the problems, of one pass."""
            since, seen = len(proxy.requests), cache.observe(key)
            assert seen is not None
            problems = await writer.apply(seen, wanted[-count:])
            return [it.target for it in proxy.writes(since)], [problem.message for problem in problems]

        assert await apply(2) == (["PATCH destinationrules/net", "PATCH virtualservices/net"], [])
        assert await apply(2) == ([], [])
        requests, problems = await apply(3)
        assert requests == ["PATCH httproutes/net"]
        assert "the cluster has no gateway.networking.k8s.io/v1 HTTPRoute" in problems[0]
        cache.apis(frozenset())
        cache.apis(ISTIO)
        requests, problems = await apply(2)
        assert problems == [], "ours, though outside of the cache"
        seen = cache.observe(key)
        assert seen is not None
        assert {ref.kind for ref in seen.children} == {"VirtualService", "DestinationRule"}
        await writer.prune(tuple(seen.children.values()))
        stranger = child(model, VIRTUAL_SERVICE, VIRTUAL)
        del stranger["metadata"]["ownerReferences"]
        await client.create(VIRTUAL_SERVICE, stranger)
        requests, problems = await apply(2)
        assert "exists already and it was made by somebody else" in problems[0]
        live = await client.get(VIRTUAL_SERVICE, space.name, "net")
        assert "ownerReferences" not in live["metadata"]


VIRTUAL = {
    "hosts": ["net.example.com"],
    "http": [{"route": [{"destination": {"host": "net-v1"}, "weight": 100}], "timeout": "300s"}],
}
RULE = {"host": "net-v1", "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 5}}}}
ROUTE = {"hostnames": ["net.example.com"]}


def child(model: Any, resource: Resource, spec: Any) -> Any:
    """A child of a model, as a plan has it."""
    meta = {
        "name": model["metadata"]["name"],
        "namespace": model["metadata"]["namespace"],
        "labels": {"app.kubernetes.io/managed-by": "pantala", "pantala.dev/model": model["metadata"]["name"]},
        "ownerReferences": [owner_reference(InferenceModel.read(model))],
    }
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec}


async def test_a_role_that_grows(kwok_cluster: Cluster, kwok_api: Api) -> None:
    """What was refused is tried again: when the Role has grown, the kinds are used, without a restart."""
    istio.install(kwok_cluster)
    kwok_api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "growing"}})
    woken: list[Key] = []
    cache = Cache(woken.append, woken.append)
    cache.upsert(MODEL, {"kind": MODEL.kind, "metadata": {"name": "m", "namespace": "growing", "resourceVersion": "1"}})
    spawned: list[asyncio.Task[None]] = []

    def spawn(job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        spawned.append(asyncio.create_task(job, name=name))
        return spawned[-1]

    def mesh() -> Mesh:
        seen = cache.observe(Key("growing", "m"))
        assert seen is not None
        return seen.mesh

    client = await Client.connect(str(kwok_cluster.user("growing")))
    kinds = OptionalKinds(client, cache, ("growing",), "a=b", time.monotonic, spawn, period=0.2, retry=0.2)
    spawn(kinds.run(), "kinds")
    try:
        async with asyncio.timeout(SECONDS):
            await kinds.settled.wait()
            assert mesh() is Mesh.NONE
            woken.clear()
            verbs = ("--verb=list,watch", "--resource=virtualservices.networking.istio.io")
            kwok_cluster.kubectl("create", "role", "growing", "-n", "growing", *verbs)
            kwok_cluster.kubectl(
                "create", "rolebinding", "growing", "-n", "growing", "--role=growing", "--user=growing"
            )
            while mesh() is Mesh.NONE:
                await asyncio.sleep(0.05)
            assert Key("growing", "m") in woken
            await asyncio.to_thread(delete, kwok_cluster, GROUPS[0])
            while mesh() is not Mesh.NONE or not all(task.done() for task in spawned[1:]):
                await asyncio.sleep(0.05)
        assert not [task for task in spawned if task.done() and not task.cancelled()], "nothing failed"
    finally:
        for task in spawned:
            task.cancel()
        await asyncio.gather(*spawned, return_exceptions=True)
        await client.close()
    kwok_api.call("DELETE", "/api/v1/namespaces/growing")
