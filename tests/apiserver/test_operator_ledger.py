"""The ledger on the real API server: every replica counted and traced once, and what is told of weights and their way."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.apiserver.operator_process import Installation, Operator
from tests.apiserver.standin_kubelet import StandinKubelet
from tests.cluster.process import wait_for
from tests.remote.receiver import Receiver, attributes

pytestmark = pytest.mark.apiserver

REPLICAS = 30
STARTS = "pantala_replica_start_seconds_count"
NOBODY = {"spec": {"schedulerName": "nobody"}}
LABEL = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


@pytest.fixture(scope="module")
def operator(installation: Installation, receiver: Receiver) -> Operator:
    return installation.start("--otlp-endpoint", receiver.url).wait("leader")


def ledger(installation: Installation, model: str) -> Any:
    """The status of a model's first version."""
    return (installation.space.status(model).get("versions") or [{}])[0]


def test_each_replica_counts_once(installation: Installation, operator: Operator, receiver: Receiver) -> None:
    """More replicas than are listed: each is in the totals, the metrics and the traces once, also after a restart."""
    space = installation.space
    space.model("many", scaling={"minReplicas": REPLICAS})
    space.wait(lambda: ledger(installation, "many").get("readyReplicas") == REPLICAS, "all ready")
    space.wait(lambda: ledger(installation, "many")["fetch"]["replicas"] == REPLICAS, "all counted")
    found = ledger(installation, "many")
    assert len(found["replicas"]) == 20
    assert len(found["fetch"]["unlisted"]) == REPLICAS - 20
    assert operator.metric(STARTS) == operator.metric('pantala_replica_phase_seconds_count{phase="load"}') == REPLICAS
    wait_for(lambda: len(receiver.traces()) == REPLICAS, "traces", 30)
    pods = {attributes(spans["replica start"].attributes)["k8s.pod.name"] for spans in receiver.traces().values()}
    assert pods == {pod["metadata"]["name"] for pod in space.list("Pod", model="many")}
    assert operator.terminate() == 0
    again = installation.start("--otlp-endpoint", receiver.url).wait("leader")
    space.patch("InferenceModel", "many", {"spec": {"scaling": {"minReplicas": REPLICAS + 1}}})
    space.wait(lambda: ledger(installation, "many")["fetch"]["replicas"] == REPLICAS + 1, "one more counted")
    wait_for(lambda: len(receiver.traces()) == REPLICAS + 1, "one more trace", 30)
    assert again.metric(STARTS) == 1
    space.delete("InferenceModel", "many")


def test_what_replicas_told(installation: Installation, operator: Operator) -> None:
    """A replica that fell back is told in the fetcher's words, and one with other weights with both pods, until it is gone."""
    space = installation.space
    (alive,) = [it for it in installation.operators if it.process.poll() is None]
    with StandinKubelet(space) as kubelet:
        space.model("told", template=NOBODY, distribution={"mode": "Dragonfly"})
        first = kubelet.bind("told")
        kubelet.fetched(first, fallback="NoSocket: there is no socket.")
        kubelet.ready(first)
        space.wait(lambda: space.condition("told", "Distributed").get("reason") == "FellBack", "fell back")
        assert (
            f"1 of 1 replicas read the store where peers did not deliver. Pod {first}: NoSocket"
            in (space.condition("told", "Distributed")["message"])
        )
        space.wait(lambda: alive.metric('pantala_fallbacks_total{reason="NoSocket"}') == 1, "counted")
        assert alive.metric('pantala_fetched_bytes_total{source="peer"}') == 2**30
        space.patch("InferenceModel", "told", {"spec": {"scaling": {"minReplicas": 2}}})
        second = kubelet.bind("told", taken=(first,))
        kubelet.fetched(second, fingerprint="sha256:" + "1" * 64)
        space.wait(lambda: space.condition("told", "Distributed").get("reason") == "WeightsDiffer", "differ")
        message = space.condition("told", "Distributed")["message"]
        assert first in message
        assert second in message
        assert space.condition("told", "Ready")["status"] == "True"
        told = lambda: [it for it in space.list("Event") if it["reason"] == "WeightsDiffer"]  # noqa: E731 - a condition
        space.wait(lambda: len(told()) == 1, "an Event")
        space.delete("Pod", first)
        kubelet.gone(first)
        space.wait(lambda: space.condition("told", "Distributed").get("reason") == "Fetched", "agreed")
        assert {it["pod"] for it in ledger(installation, "told")["replicas"]} == {first, second}
        space.delete("InferenceModel", "told")


@pytest.mark.parametrize(
    ("level", "forbidden", "remedy", "allowed"),
    [
        (
            "baseline",
            {"distribution": {"mode": "Dragonfly"}},
            "set `distribution.proxy` or `distribution.mode: Direct`",
            {"distribution": {"proxy": {}}},
        ),
        (
            "restricted",
            {"distribution": {"mode": "Dragonfly"}},
            "set `distribution.proxy` or `distribution.mode: Direct`",
            {"distribution": {"mode": "Direct"}},
        ),
        (
            "baseline",
            {"storage": {"cache": {"hostPath": {"path": "/var/lib/pantala"}}}},
            "set `storage.cache.emptyDir` or `storage.cache.pvc`",
            {"storage": None},
        ),
    ],
    ids=["proxy", "direct", "cache"],
)
def test_namespaces_that_forbid_host_paths(
    installation: Installation,
    operator: Operator,
    request: pytest.FixtureRequest,
    level: str,
    forbidden: Any,
    remedy: str,
    allowed: Any,
) -> None:
    """Pod Security refuses the socket's folder or the node's cache: the model is not accepted, and the way out that it names is one."""
    space, name = installation.space, f"forbidden-{request.node.callspec.id}"
    path = f"/api/v1/namespaces/{space.name}"

    def enforce(value: str | None) -> None:
        body = {"metadata": {"labels": {LABEL: value}}}
        space.api.call("PATCH", path, body, content="application/merge-patch+json")

    enforce(level)
    try:
        space.model(name, **forbidden)
        space.wait(lambda: space.condition(name, "Accepted").get("reason") == "PodSecurity", "refused")
        found = space.condition(name, "Accepted")
        assert found["status"] == "False"
        assert remedy in found["message"]
        assert space.condition(name, "Stalled")["reason"] == "PodSecurity"
        space.patch("InferenceModel", name, {"spec": allowed})
        space.wait_ready(name)
        assert space.condition(name, "Accepted")["status"] == "True"
    finally:
        enforce(None)
        space.delete("InferenceModel", name)
