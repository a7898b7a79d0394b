"""The preference for nodes that hold the bytes."""

from pantala.planner.affinity import prefer

_TERM = {
    "weight": 50,
    "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]},
}


def test_no_node_changes_nothing() -> None:
    """The template is the same object."""
    template = {"spec": {"containers": []}}
    assert prefer(template, ()) is template


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
