"""The second look at the models, past their watch: a dead watch is noticed, a missed deletion is mended."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pantala.cluster.audit import GRACE, ModelAudit
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.objects import Key
from pantala.cluster.reflector import Reflector
from pantala.cluster.resources import CONFIG_MAP, MODEL
from tests.apiserver.models import Api
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver

NAMESPACE = "audited"
KEY = Key(NAMESPACE, "unseen")


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@pytest.fixture(scope="module")
async def client(control_plane: Cluster, api: Api) -> AsyncIterator[Client]:
    """A client of an API server that knows the resource, with an empty namespace."""
    control_plane.kubectl("create", "namespace", NAMESPACE)
    async with await Client.connect(str(control_plane.kubeconfig)) as connected:
        yield connected
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


async def listed(client: Client, *, is_there: bool) -> None:
    """Wait until the API server's cache, which answers the audit, knows of the model or of its end."""
    async with asyncio.timeout(30):
        while is_there != any(
            it["metadata"]["name"] == KEY.name for it in await client.list_metadata(MODEL, NAMESPACE)
        ):
            await asyncio.sleep(0.05)


async def test_dead_watch(client: Client) -> None:
    """A model that the watch does not deliver makes it count as dead after a minute, and not before."""
    woken: list[Key] = []
    cache, clock = Cache(woken.append, woken.append), Clock()
    audit = ModelAudit(client, cache, (NAMESPACE,), clock)
    spec = {"runtime": {"name": "triton"}, "versions": [{"name": "v1", "uri": "s3://models/a/"}]}
    meta = {"name": KEY.name, "namespace": NAMESPACE}
    made = await client.create(
        MODEL, {"apiVersion": MODEL.api_version, "kind": MODEL.kind, "metadata": meta, "spec": spec}
    )
    await listed(client, is_there=True)
    await audit.look()
    assert not audit.dead
    clock.now += GRACE + 1
    await audit.look()
    assert audit.dead
    cache.upsert(MODEL, made)
    await audit.look()
    assert not audit.dead
    await client.delete(MODEL, NAMESPACE, KEY.name, made["metadata"]["uid"])
    await listed(client, is_there=False)
    woken.clear()
    await audit.look()
    assert cache.observe(KEY) is None
    assert woken == [KEY]


async def test_silence_is_measured(client: Client) -> None:
    """A watch that has heard nothing says for how long, from which the liveness probe knows that it is dead."""
    clock = Clock()
    reflector = Reflector(client, CONFIG_MAP, NAMESPACE, "a=b", Cache(lambda _: None, lambda _: None), clock)
    clock.now += 400
    assert reflector.silent_for() == 400
    assert not reflector.synced.is_set()
