"""What counts as a difference between the object that is wanted and the one that is there."""

from typing import Any

import pytest

from pantala.manifest.contains import missing


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "server", **fields}]}}


SAME = {
    "default added": ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}),
    "quantity normalised": (
        container(resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}}),
        container(resources={"limits": {"cpu": "1", "memory": "1Gi"}}),
    ),
    "integer as quantity": (
        container(resources={"limits": {"nvidia.com/gpu": 1}}),
        container(resources={"limits": {"nvidia.com/gpu": "1"}}),
    ),
    "size limit": (
        {"volumes": [{"name": "models", "emptyDir": {"sizeLimit": "2048Mi"}}]},
        {"volumes": [{"name": "models", "emptyDir": {"sizeLimit": "2Gi"}}]},
    ),
    "divisor": (
        {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}},
        {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
    ),
    "container added by a webhook": (
        container(image="a"),
        {"spec": {"containers": [{"name": "sidecar"}, {"name": "server", "image": "a", "tty": False}]}},
    ),
    "variable added": (
        container(env=[{"name": "A", "value": "1"}]),
        container(env=[{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]),
    ),
    "ports by number": (
        container(ports=[{"name": "http", "containerPort": 80}]),
        container(
            ports=[
                {"name": "x", "containerPort": 1, "protocol": "TCP"},
                {"name": "http", "containerPort": 80, "protocol": "TCP"},
            ]
        ),
    ),
    "ports of a service": (
        {"ports": [{"name": "http", "port": 80}]},
        {"ports": [{"name": "http", "port": 80, "nodePort": 30123}]},
    ),
    "empty map dropped": (
        {"emptyDir": {"sizeLimit": "1Gi"}, "annotations": {}, "list": []},
        {"emptyDir": {"sizeLimit": "1Gi"}},
    ),
    "empty map kept": ({"emptyDir": {}}, {"emptyDir": {}}),
    "empty text dropped": (container(env=[{"name": "A", "value": ""}]), container(env=[{"name": "A"}])),
    "false dropped where Kubernetes drops it": (
        container(volumeMounts=[{"name": "x", "mountPath": "/x", "readOnly": False, "subPath": ""}]),
        container(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
    ),
    "second owner": ({"ownerReferences": [{"uid": "1"}]}, {"ownerReferences": [{"uid": "2"}, {"uid": "1"}]}),
    "default inside of an atomic list": (
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "a", "operator": "Equal"}]},
    ),
}

DIFFERENT = {
    "value": ({"a": {"b": 1}}, {"a": {"b": 2}}, ".a.b"),
    "absent": ({"a": {"b": 1}}, {"a": {}}, ".a.b"),
    "true is not 1": ({"a": True}, {"a": 1}, ".a"),
    "1 is not true": ({"a": 1}, {"a": True}, ".a"),
    "0 is not false": ({"replicas": 0}, {"replicas": False}, ".replicas"),
    "text is not a number": ({"a": "1"}, {"a": 1}, ".a"),
    "quantities only where they are": ({"image": "1Gi"}, {"image": "1024Mi"}, ".image"),
    "other amount": (
        container(resources={"limits": {"memory": "1Gi"}}),
        container(resources={"limits": {"memory": "1G"}}),
        ".spec.containers[server].resources.limits.memory",
    ),
    "container gone": (container(image="a"), {"spec": {"containers": [{"name": "other"}]}}, ".spec.containers[server]"),
    "variable changed": (
        container(env=[{"name": "A", "value": "1"}]),
        container(env=[{"name": "A", "value": "2"}]),
        ".spec.containers[server].env[A].value",
    ),
    "atomic list shortened": ({"args": ["a", "b"]}, {"args": ["a"]}, ".args"),
    "atomic list extended": ({"args": ["a"]}, {"args": ["a", "b"]}, ".args"),
    "atomic list reordered": ({"args": ["a", "b"]}, {"args": ["b", "a"]}, ".args[0]"),
    "map in place of text": ({"a": {"b": 1}}, {"a": "b"}, ".a"),
    "list in place of text": ({"args": ["a"]}, {"args": "a"}, ".args"),
    "security taken away": (
        {"securityContext": {"allowPrivilegeEscalation": False}},
        {"securityContext": {}},
        ".securityContext.allowPrivilegeEscalation",
    ),
    "read-only taken away": (
        container(volumeMounts=[{"name": "x", "mountPath": "/x", "readOnly": True}]),
        container(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
        ".spec.containers[server].volumeMounts[/x].readOnly",
    ),
    "replicas taken away": ({"spec": {"replicas": 0}}, {"spec": {}}, ".spec.replicas"),
    "empty annotation taken away": ({"annotations": {"a": ""}}, {"annotations": {}}, ".annotations.a"),
    "selector": ({"selector": {"version": "v1"}}, {"selector": {"version": "v2"}}, ".selector.version"),
}


@pytest.mark.parametrize("case", SAME)
def test_contained(case: str) -> None:
    """What an API server, a webhook or another field manager adds or normalises is no difference."""
    desired, live = SAME[case]
    assert missing(desired, live) is None


@pytest.mark.parametrize("case", DIFFERENT)
def test_missing(case: str) -> None:
    """A difference is found and named by its path."""
    desired, live, path = DIFFERENT[case]
    assert missing(desired, live) == path
