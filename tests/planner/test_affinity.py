"""The preference for nodes that hold the bytes."""

from pantala import naming
from pantala.manifest.types import Manifest
from pantala.planner.affinity import prefer, require
from tests.planner.world import World, model, ready_pod, version

_TERM = {
    "weight": 50,
    "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]},
}


def test_no_node_changes_nothing() -> None:
    """The template is the same object."""
    template = {"spec": {"containers": []}}
    assert prefer(template, ()) is template


def test_requirements_hold_in_each_alternative() -> None:
    """Every term of the user's gets them, but for an empty one, which matches no node and must not begin to."""
    ours = {"key": "card", "operator": "Exists"}
    zone = {"key": "zone", "operator": "In", "values": ["a"]}
    name = {"key": "metadata.name", "operator": "In", "values": ["node-1"]}

    def required(*terms: Manifest) -> Manifest:
        return {
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*terms]}}
            }
        }

    assert require({}, []) == {}
    assert require({}, [ours]) == required({"matchExpressions": [ours]})
    assert require(required({"matchExpressions": [zone]}, {"matchFields": [name]}, {}), [ours]) == required(
        {"matchExpressions": [zone, ours]}, {"matchFields": [name], "matchExpressions": [ours]}, {}
    )


def test_the_users_own_affinity_stays() -> None:
    """Our terms come after the user's; the given template is left as it is."""
    own = {"weight": 100, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}
    template = {
        "spec": {
            "affinity": {
                "podAffinity": {"x": 1},
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"y": 2},
                    "preferredDuringSchedulingIgnoredDuringExecution": [own],
                },
            }
        }
    }
    found = prefer(template, ("node-1",))["spec"]["affinity"]
    assert found["podAffinity"] == {"x": 1}
    assert found["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == {"y": 2}
    assert found["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == [own, _TERM]
    assert template["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == [own]


def _terms(world: World, name: str = "v1") -> list[str]:
    spec = world.deployment(name)["spec"]["template"]["spec"]
    terms = spec.get("affinity", {}).get("nodeAffinity", {}).get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return [term["preference"]["matchFields"][0]["values"][0] for term in terms]


def _two(target: str, mode: str = "Dragonfly") -> Manifest:
    return model(
        version("v1"),
        version("v2"),
        distribution={"mode": mode},
        traffic={"target": target},
        scaling={"minReplicas": 2},
    )


def _parked(mode: str) -> World:
    """A model whose first version has served from two nodes and is parked."""
    world = World(_two("v1", mode))
    world.settle()
    world.roll_out("v1")
    peers = {"bytes": {"origin": 6, "peer": 4, "local": 0, "cache": 0}, "direct": 0}
    told = peers if mode == "Dragonfly" else {"bytes": {"origin": 10, "peer": 0, "local": 0, "cache": 0}}
    world.pods = [ready_pod("v1", number, **told) for number in (0, 1)]
    world.report()
    world.edit(_two("v2", mode))
    world.settle()
    world.roll_out("v2")
    world.settle()
    world.pods = [pod for pod in world.pods if pod["metadata"]["labels"][naming.LABEL_VERSION] == "v2"]
    world.report()
    assert world.deployment("v1")["spec"]["replicas"] == 0
    return world


def test_a_version_that_wakes_prefers_the_nodes_of_its_ledger() -> None:
    """The newest first; once it runs, nothing that the ledger learns replaces its pods."""
    world = _parked("Dragonfly")
    world.edit(_two("v1"))
    world.step()
    assert _terms(world) == ["node-1", "node-0"]
    world.settle()
    world.roll_out("v1")
    world.pods += [ready_pod("v1", 7, bytes={"origin": 0, "peer": 9, "local": 0, "cache": 0}, direct=0)]
    world.settle()
    world.report()
    assert world.step() == []
    assert _terms(world) == ["node-1", "node-0"]


def test_a_parked_version_is_left_alone() -> None:
    """What its ledger says makes no write before it is to wake."""
    assert _parked("Dragonfly").step() == []


def test_direct_weights_stay_on_no_node() -> None:
    """Without peers and without a cache on the node every node is as good as any other."""
    world = _parked("Direct")
    world.edit(_two("v1", "Direct"))
    world.settle()
    assert _terms(world) == []
