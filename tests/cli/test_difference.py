"""What differs between a plan and live objects, where differences of the API server's making do not count."""

from copy import deepcopy
from typing import Any

import pytest

from pantala.cli import difference
from pantala.cluster.apply import stamped

DESIRED: dict[str, Any] = stamped(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "resnet-v1", "namespace": "vision", "labels": {"pantala.dev/model": "resnet"}},
        "spec": {
            "replicas": 1,
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "server",
                            "image": "a:1",
                            "args": ["--x"],
                            "resources": {"limits": {"memory": "1024Mi", "cpu": "1000m"}},
                            "ports": [{"name": "http", "containerPort": 80}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                }
            },
        },
    }
)
_CONTAINER = {
    ".": {},
    "f:name": {},
    "f:image": {},
    "f:args": {},
    "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}}},
    "f:resources": {"f:limits": {"f:memory": {}, "f:cpu": {}}},
}
_POD = {"f:containers": {'k:{"name":"server"}': _CONTAINER}, "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:name": {}}}}


def live() -> dict[str, Any]:
    """The object as an API server stores it: with defaults, normalised, with fields of others."""
    obj = deepcopy(DESIRED)
    obj["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "generation": 1,
        "managedFields": [
            {"manager": "other", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {
                "manager": "pantala",
                "operation": "Apply",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": deepcopy(_POD)}}},
            },
        ],
    }
    pod = obj["spec"]["template"]["spec"]
    pod["restartPolicy"] = "Always"
    pod["containers"][0]["resources"]["limits"] = {"memory": "1Gi", "cpu": "1"}
    pod["containers"][0]["ports"][0]["protocol"] = "TCP"
    pod["containers"].insert(0, {"name": "sidecar", "image": "mesh:1"})
    obj["spec"]["paused"] = False
    obj["status"] = {"replicas": 1}
    return obj


def lines(obj: dict[str, Any], desired: dict[str, Any] = DESIRED) -> list[str]:
    """The changed lines of the diff."""
    found = difference.change(desired, obj)
    shown = difference.unified(found, brief=True) if found else []
    return [line for line in shown if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]


def test_nothing() -> None:
    """Defaults, normalised quantities and fields of others are no difference, and no part of what is shown."""
    assert difference.change(DESIRED, live()) is None
    part = difference.own_part(live(), DESIRED)
    assert part == DESIRED


def test_hand_edit() -> None:
    """A hand edit of a field of ours shows the value that is there and the one that comes back."""
    obj = live()
    obj["spec"]["template"]["spec"]["containers"][1]["image"] = "bad:1"
    assert lines(obj) == ["-          image: bad:1", "+          image: a:1"]


def test_atomic_list() -> None:
    """A list without keys is shown whole where its length differs."""
    obj = live()
    obj["spec"]["template"]["spec"]["containers"][1]["args"] = ["--x", "--y"]
    assert lines(obj) == ["-            - --y"]


def test_removed_by_hand() -> None:
    """What somebody removed comes back."""
    obj = live()
    del obj["spec"]["template"]["spec"]["volumes"]
    assert lines(obj) == ["+      volumes:", "+        - name: tmp", "+          emptyDir: {}"]


def test_dropped_field() -> None:
    """A field that the operator asked for before and no longer does is shown as going; a stranger's is not."""
    desired = deepcopy(DESIRED)
    del desired["spec"]["template"]["spec"]["containers"][0]["resources"]
    del desired["spec"]["template"]["spec"]["volumes"]
    del desired["metadata"]["annotations"]
    assert lines(live(), stamped(desired)) == [
        "-          resources:",
        "-            limits:",
        "-              cpu: '1'",
        "-              memory: 1Gi",
        "-      volumes:",
        "-        - name: tmp",
    ]


@pytest.mark.parametrize(("before", "after"), [(None, DESIRED), (live(), None)])
def test_whole(before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    """An object that comes or goes is shown whole, beside nothing."""
    found = difference.change(DESIRED, None) if after else difference.deletion(before or {})
    assert found is not None
    assert found.action == ("create" if after else "delete")
    sign = "+" if after else "-"
    shown = difference.unified(found, brief=False)
    assert all(line[0] == sign for line in shown[3:])
    assert f"{sign}  name: resnet-v1" in shown
