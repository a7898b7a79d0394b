"""Simulated nodes: GPUs, and pods that become Ready."""

import json

import pytest

from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver

_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "test-kwok"},
    "spec": {
        "replicas": 20,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [{"name": "web", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
            },
        },
    },
}


def test_nodes_have_gpus(kwok_cluster: Cluster) -> None:
    """Every simulated node is Ready and offers 8 GPUs."""
    nodes = json.loads(kwok_cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    assert len(nodes) == kwok_cluster.spec.kwok
    assert {node["status"]["allocatable"]["nvidia.com/gpu"] for node in nodes} == {"8"}
    assert all(c["status"] == "True" for node in nodes for c in node["status"]["conditions"] if c["type"] == "Ready")


def test_deployment_becomes_ready(kwok_cluster: Cluster) -> None:
    """20 pods that ask for a GPU each are scheduled and become Ready within seconds, and go again."""
    kwok_cluster.kubectl("create", "namespace", "test-kwok")
    kwok_cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_DEPLOYMENT))
    kwok_cluster.kubectl("-n", "test-kwok", "rollout", "status", "deployment/web", "--timeout=30s")
    pods = json.loads(kwok_cluster.kubectl("-n", "test-kwok", "get", "pods", "-o", "json"))["items"]
    assert len({pod["status"]["podIP"] for pod in pods}) == 20
    kwok_cluster.kubectl("delete", "namespace", "test-kwok", "--timeout=60s")
