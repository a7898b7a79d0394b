"""How a version passes from one autoscaler to another: never two at a time, and no replica lost on the way."""

from datetime import timedelta
from typing import Any, get_args

import pytest

from pantala.api.scaling import MetricType
from pantala.autoscaling import keda
from pantala.manifest.settings import AutoscalingSettings, Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner import engines
from pantala.planner.observed import REPLICAS_OWNERS, Availability
from pantala.status.reasons import Reason
from tests.planner.world import NOW, World, model, version

SETTINGS = Settings(prometheus_url="http://prometheus:9090")
QUEUE = [{"type": "QueueLength", "target": 4}]
CPU = [{"type": "CPUUtilization", "target": 70}]
OURS, SCALED, THEIRS = (
    Ref("HorizontalPodAutoscaler", "vision", "resnet-v1"),
    Ref("ScaledObject", "vision", "resnet-v1"),
    Ref("HorizontalPodAutoscaler", "vision", "keda-hpa-resnet-v1"),
)


def scaling(least: int = 1, most: int | None = 5, engine: str = "HPA", **rest: Any) -> Manifest:
    """The block `scaling` as the API server stores it."""
    if most is None:
        return {"minReplicas": least, "engine": "HPA"}
    return {"minReplicas": least, "maxReplicas": most, "engine": engine, "metrics": QUEUE, **rest}


class KedaWorld(World):
    """A cluster with KEDA: it makes an HPA of each ScaledObject, and takes its time to let go of one."""

    def keda_works(self) -> None:
        """KEDA looks at its objects."""
        live = self.children.get(SCALED)
        if live is None:
            return
        meta = live["metadata"]
        if "deletionTimestamp" in meta:
            del self.children[SCALED]
            return
        meta["finalizers"] = ["finalizer.keda.sh"]
        owner = {"kind": "ScaledObject", "name": "resnet-v1", "uid": "so", "controller": True}
        self.children[THEIRS] = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {**meta, "name": THEIRS.name, "ownerReferences": [owner], "finalizers": []},
            "spec": {},
        }

    def garbage(self) -> None:
        """Garbage collection takes what belongs to nobody."""
        if SCALED not in self.children:
            self.children.pop(THEIRS, None)

    def step(self) -> list[str]:
        """One pass; what has a finalizer is not gone after its deletion."""
        before = dict(self.children)
        writes = super().step()
        old = before.get(SCALED)
        if old is not None and SCALED not in self.children and old["metadata"].get("finalizers"):
            gone = {**old["metadata"], "deletionTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            self.children[SCALED] = {**old, "metadata": gone}
        at_work = {ref for ref in (OURS, SCALED, THEIRS) if ref in self.children}
        assert at_work <= {OURS} or at_work <= {SCALED, THEIRS}, at_work
        return writes

    def replicas(self) -> int:
        """How many there shall be."""
        return int(self.deployment()["spec"]["replicas"])

    def change(self, block: Manifest) -> list[str]:
        """Another block `scaling`; passes until nothing is written, without KEDA."""
        self.edit(model(scaling=block))
        return self.settle()


def world_of(block: Manifest, settings: Settings = SETTINGS) -> KedaWorld:
    """A model that runs."""
    world = KedaWorld(model(scaling=block), settings)
    world.settle()
    world.roll_out("v1")
    world.settle()
    return world


def by_keda(settings: Settings = SETTINGS) -> KedaWorld:
    """A model that KEDA has scaled to four replicas."""
    world = world_of(scaling(engine="KEDA"), settings)
    world.keda_works()
    world.scale("v1", 4)
    world.settle()
    return world


def test_from_an_hpa_to_keda() -> None:
    """The HPA goes in one pass, the ScaledObject comes in the next; the number stays as it is."""
    world = world_of(scaling())
    world.scale("v1", 4)
    world.settle()
    world.edit(model(scaling=scaling(engine="KEDA")))
    assert world.plan().engines == {"v1": "HPA"}
    assert world.step() == [f"delete {OURS}"]
    assert world.step() == [f"create {SCALED}"]
    assert world.plan().engines == {"v1": "KEDA"}
    assert world.settle() == []
    assert world.replicas() == 4


def test_from_keda_to_an_hpa() -> None:
    """Our HPA waits until KEDA has let go of the ScaledObject and its HPA is gone as well."""
    world = by_keda()
    assert world.change(scaling()) == [f"delete {SCALED}"]
    assert world.plan().engines == {"v1": "KEDA"}
    world.keda_works()
    assert SCALED not in world.children
    assert world.settle() == []
    world.garbage()
    assert world.settle() == [f"create {OURS}"]
    assert world.plan().engines == {"v1": "HPA"}
    assert world.replicas() == 4


def test_removing_keda() -> None:
    """The number becomes minReplicas only when nobody is left who would set it again."""
    world = by_keda()
    world.change(scaling(2, None))
    assert world.replicas() == 4
    world.keda_works()
    assert (world.settle(), world.replicas()) == ([], 4)
    world.garbage()
    assert world.settle() == ["update Deployment vision/resnet-v1"]
    assert world.replicas() == 2
    assert world.deployment()["metadata"][REPLICAS_OWNERS] == ["pantala"]
    assert not world.plan().engines


def test_removing_an_hpa() -> None:
    """The same without KEDA: first the HPA goes, then the number changes."""
    world = world_of(scaling())
    world.scale("v1", 5)
    world.settle()
    world.edit(model(scaling=scaling(2, None)))
    assert f"delete {OURS}" in world.step()
    assert world.replicas() == 5
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.replicas() == 2


def test_adding_keda_keeps_the_number() -> None:
    """A fixed number stays until KEDA's HPA owns it, and is raised at once where it is below the new least."""
    world = world_of(scaling(3, None))
    world.change(scaling(engine="KEDA"))
    assert world.replicas() == 3
    world.change(scaling(4, engine="KEDA"))
    assert world.replicas() == 4


def test_parking_waits_for_keda() -> None:
    """KEDA brings a replica back at zero: a version is parked when its ScaledObject is gone, not before."""
    both = (version("v1"), version("v2"))
    block = scaling(engine="KEDA")
    world = KedaWorld(model(*both, traffic={"target": "v1"}, scaling=block), SETTINGS)
    world.settle()
    world.roll_out("v1")
    world.keda_works()
    world.scale("v1", 4)
    world.settle()
    world.edit(model(*both, traffic={"target": "v2"}, scaling=block))
    world.settle()
    world.roll_out("v2")
    world.settle()
    assert "deletionTimestamp" in world.children[SCALED]["metadata"]
    assert world.replicas() == 4
    world.keda_works()
    world.garbage()
    world.settle()
    assert world.replicas() == 0


def test_parking_does_not_wait_for_ever() -> None:
    """A KEDA that does not let go does nothing else either: after a while the cards are worth more, and it is told."""
    both = (version("v1"), version("v2"))
    block = scaling(engine="KEDA")
    world = KedaWorld(model(*both, traffic={"target": "v1"}, scaling=block), SETTINGS)
    world.settle()
    world.roll_out("v1")
    world.keda_works()
    world.settle()
    world.edit(model(*both, traffic={"target": "v2"}, scaling=block))
    world.settle()
    world.roll_out("v2")
    world.settle()
    assert world.replicas() == 1
    assert world.plan().wait == engines.PATIENCE_SECONDS
    world.now = NOW + timedelta(seconds=engines.PATIENCE_SECONDS)
    assert world.plan().held["v1"].reason is Reason.AUTOSCALER_CONFLICT
    world.settle()
    assert world.replicas() == 0


def test_keda_that_does_not_let_go() -> None:
    """After ten seconds it is told what is in the way, and still nothing is made beside it."""
    world = by_keda()
    world.change(scaling())
    assert world.plan().held == {}
    assert world.plan().wait == engines.PATIENCE_SECONDS
    world.now = NOW + timedelta(seconds=engines.PATIENCE_SECONDS)
    held = world.plan().held["v1"]
    assert held.reason is Reason.AUTOSCALER_CONFLICT
    assert "ScaledObject vision/resnet-v1 is deleted since" in held.message
    assert "finalizer.keda.sh" in held.message
    assert held.message.endswith("Start KEDA's operator, or remove them by hand.")
    assert not held.terminal
    assert world.settle() == []


@pytest.mark.parametrize(
    ("there", "words"),
    [(Availability.ABSENT, "the cluster does not have it"), (Availability.FORBIDDEN, "may not watch ScaledObjects")],
)
def test_no_keda(there: Availability, words: str) -> None:
    """Without KEDA the pods run on, at minReplicas at least; it is told, and the version is not refused."""
    world = world_of(scaling(2, None))
    world.scaled_objects = there
    world.change(scaling(3, engine="KEDA"))
    assert world.replicas() == 3
    assert world.plan().engines == {"v1": "KEDA"}
    assert not world.plan().invalid
    held = world.plan().held["v1"]
    assert held.reason is Reason.KEDA_MISSING
    assert words in held.message
    assert not held.terminal
    world.scaled_objects = Availability.SERVED
    assert world.settle() == [f"create {SCALED}"]
    assert not world.plan().held


def test_no_keda_yet_and_an_hpa() -> None:
    """An HPA goes on, with bounds as the spec asks, until KEDA can take over."""
    world = world_of(scaling())
    world.scaled_objects = Availability.ABSENT
    world.change(scaling(most=7, engine="KEDA"))
    assert world.children[OURS]["spec"]["maxReplicas"] == 7
    assert world.plan().engines == {"v1": "HPA"}
    assert world.plan().held["v1"].reason is Reason.KEDA_MISSING
    world.scaled_objects = Availability.SERVED
    assert world.settle() == [f"delete {OURS}", f"create {SCALED}"]


def test_no_keda_yet_and_an_hpa_that_cannot_read_the_new_measures() -> None:
    """It stays as it is."""
    world = world_of(scaling())
    world.scaled_objects = Availability.ABSENT
    query = {"name": "tokens", "query": "x", "target": "1", "metricType": "Value"}
    assert world.change(scaling(most=7, engine="KEDA", prometheus=[query])) == []
    assert world.children[OURS]["spec"]["maxReplicas"] == 5


def test_what_is_left_of_keda() -> None:
    """Where KEDA was removed with its CRDs its HPA can stay for ever: no other is made beside it, and it is told how to go on."""
    world = by_keda()
    del world.children[SCALED]
    world.scaled_objects = Availability.ABSENT
    assert world.change(scaling()) == []
    held = world.plan().held["v1"]
    assert held.reason is Reason.AUTOSCALER_CONFLICT
    assert "kubectl -n vision delete hpa keda-hpa-resnet-v1" in held.message
    del world.children[THEIRS]
    assert world.settle() == [f"create {OURS}"]
    assert world.replicas() == 4


def test_hidden_scaled_object() -> None:
    """An operator that may not see ScaledObjects knows by KEDA's HPA that there is one."""
    world = by_keda()
    hidden = world.children.pop(SCALED)
    world.scaled_objects = Availability.FORBIDDEN
    assert world.change(scaling()) == []
    assert "operator's Role" in world.plan().held["v1"].message
    world.children[SCALED] = hidden
    world.scaled_objects = Availability.SERVED
    assert world.settle() == [f"delete {SCALED}"]


@pytest.mark.parametrize("own", [None, "http://thanos:9090"])
def test_address_of_prometheus(own: str | None) -> None:
    """KEDA asks where the installation says it shall, else where the operator asks."""
    settings = Settings(
        prometheus_url="http://prometheus:9090", autoscaling=AutoscalingSettings(keda_prometheus_url=own)
    )
    world = world_of(scaling(engine="KEDA"), settings)
    trigger = world.children[SCALED]["spec"]["triggers"][0]
    assert trigger["metadata"]["serverAddress"] == (own or "http://prometheus:9090")


def test_password_of_prometheus_stays_with_the_operator() -> None:
    """Who may read a ScaledObject does not learn how the operator authenticates itself."""
    found = engines.prometheus(Settings(prometheus_url="https://me:secret@prometheus:9090/base"))
    assert found == keda.Prometheus("https://prometheus:9090/base")


def test_no_address_of_prometheus() -> None:
    """Without one nothing is written that could not work; a ScaledObject that is there stays as it is."""
    world = world_of(scaling(engine="KEDA"), Settings())
    assert SCALED not in world.children
    held = world.plan().held["v1"]
    assert held.reason is Reason.TRIGGER_FAILED
    assert "autoscaling.keda.prometheusUrl" in held.message
    world.settings = SETTINGS
    assert world.settle() == [f"create {SCALED}"]
    world.settings = Settings()
    assert world.settle() == []


def test_cpu_needs_no_prometheus() -> None:
    """KEDA reads CPU and memory where an HPA does."""
    block = {**scaling(engine="KEDA"), "metrics": CPU}
    world = world_of(block, Settings())
    assert [it["type"] for it in world.children[SCALED]["spec"]["triggers"]] == ["cpu"]


def test_hpa_of_keda_is_nobodys_leftover() -> None:
    """KEDA copies our labels to its HPA, which yet is never deleted, nor taken for ours."""
    world = by_keda()
    assert world.step() == []
    assert world.plan().delete == ()
    assert engines.of_keda(world.seen(), "resnet-v1") is not None
    assert engines.standing(world.seen(), "resnet-v1").hpa is None


def test_hpa_of_somebody_with_keda_s_name() -> None:
    """An HPA that only has the name is not KEDA's, and keeps nothing from being made."""
    world = by_keda()
    del world.children[SCALED]
    world.children[THEIRS]["metadata"]["ownerReferences"] = []
    world.edit(model(scaling=scaling()))
    assert OURS in {Ref.of(it) for it in world.plan().apply}
    assert world.plan().engines == {"v1": "HPA"}


def test_model_that_is_called_like_keda_s_hpa() -> None:
    """Its HPA has another name, so that KEDA does not take it over for the ScaledObject of another model."""
    obj = model(scaling=scaling(), name="keda-hpa-resnet")
    world = World(obj, SETTINGS)
    names = [it["metadata"]["name"] for it in world.plan().apply if it["kind"] == "HorizontalPodAutoscaler"]
    assert names == ["keda-hpa-resnet-v1.pantala"]
    assert keda.hpa_name("resnet-v1") not in names


def test_paused() -> None:
    """While the model is paused its autoscaler goes on, and is told of."""
    world = by_keda()
    world.edit(model(scaling=scaling(engine="KEDA"), paused=True))
    plan = world.plan()
    assert (plan.apply, plan.delete) == ((), ())
    assert plan.engines == {"v1": "KEDA"}
    assert [signal.name for signal in plan.signals["v1"]] == ["QueueLength"]


def test_measures_of_what_is_scaled_alone() -> None:
    """A parked version and one of fixed size have neither measures nor an engine."""
    both = (version("v1"), version("v2"), version("v3", scaling={"minReplicas": 2, "engine": "HPA"}))
    world = World(model(*both, scaling=scaling(), traffic={"split": [share("v1"), share("v3")]}), SETTINGS)
    world.settle()
    assert set(world.plan().signals) == set(world.plan().engines) == {"v1"}


def share(name: str) -> Manifest:
    """Half of the requests."""
    return {"version": name, "weight": 50}


def started(seconds: int, *pods: str) -> list[Manifest]:
    """Entries of the ledger of replicas that took so long."""
    minutes, rest = divmod(seconds, 60)
    ready = f"2026-01-02T03:{minutes:02}:{rest:02}Z"
    return [{"pod": pod, "created": "2026-01-02T03:00:00Z", "ready": ready} for pod in pods]


def test_behavior_follows_the_ledger() -> None:
    """The window upwards is the time that a replica takes to start, and moves only when that really does."""
    world = world_of(scaling())
    world.model["status"] = {"versions": [{"name": "v1", "replicas": started(100, "a", "b")}]}
    assert world.step() == [f"update {OURS}"]
    assert period(world) == 120
    world.model["status"] = {"versions": [{"name": "v1", "replicas": started(130, "a", "b")}]}
    assert world.step() == []
    world.model["status"] = {"versions": [{"name": "v1", "replicas": started(250, "a", "b")}]}
    assert world.step() == [f"update {OURS}"]
    assert period(world) == 300


def test_behavior_of_a_new_version() -> None:
    """A version whose replicas never started yet is taken to start like the others of the model."""
    world = world_of(scaling())
    world.model["status"] = {"versions": [{"name": "v0", "replicas": started(700, "a")}, {"name": "v1"}]}
    del world.children[OURS]
    world.settle()
    assert period(world) == 1200


def period(world: World) -> int:
    """The time within which the number may double."""
    found: int = world.children[OURS]["spec"]["behavior"]["scaleUp"]["policies"][0]["periodSeconds"]
    return found


def test_every_measure_of_the_spec_can_be_read() -> None:
    """Each type of metric becomes a measure that both engines can be told."""
    types = get_args(MetricType)
    metrics = [{"type": it, "target": 50} for it in types]
    cards = {"provider": "nvidia", "count": 1}
    for engine in ("HPA", "KEDA"):
        world = World(model(scaling={**scaling(engine=engine), "metrics": metrics}, accelerator=cards), SETTINGS)
        world.settle()
        made = world.children[OURS if engine == "HPA" else SCALED]["spec"]
        assert len(made.get("metrics", made.get("triggers"))) == len(types)
