"""The control plane is real: RBAC, admission, controllers, audit log."""

import json
import os
import signal

import pytest

from tests.cluster import Cluster, ClusterError, audit
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver

_READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: test-reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: test-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: test-reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: test-readers}]
"""


def test_server_knows_its_version(control_plane: Cluster) -> None:
    """The server tells clients the release that it was built from."""
    version = json.loads(control_plane.kubectl("get", "--raw", "/version"))
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


def test_unknown_user_is_refused(control_plane: Cluster) -> None:
    """A user without a role may do nothing."""
    with pytest.raises(ClusterError, match='User "nobody-special" cannot list resource "configmaps"'):
        control_plane.kubectl("get", "configmaps", kubeconfig=control_plane.user("nobody-special"))


def test_group_grants_exactly_its_rights(control_plane: Cluster) -> None:
    """A certificate's group carries the rights that a role gives to it, and no others; the audit log shows both."""
    control_plane.kubectl("apply", "-f", "-", stdin=_READER)
    user = control_plane.user("test-alice", ["test-readers"])
    assert control_plane.audit is not None
    log = audit.AuditLog(control_plane.audit)
    mark = log.mark()
    assert "kube-root-ca.crt" in control_plane.kubectl("get", "configmaps", "-A", kubeconfig=user)
    with pytest.raises(ClusterError, match="cannot list resource"):
        control_plane.kubectl("get", "secrets", kubeconfig=user)
    wait_for(lambda: log.count(mark, user="test-alice")[("list", "secrets")] == 1, "the calls in the audit log", 10)
    assert log.count(mark, user="test-alice")[("list", "configmaps")] == 1
    assert [it.resource for it in log.calls(mark, user="test-alice") if it.forbidden] == ["secrets"]


def test_node_restriction(control_plane: Cluster) -> None:
    """A kubelet's certificate cannot change another node."""
    kubelet = control_plane.user("system:node:a", ["system:nodes"])
    node = '{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}'
    with pytest.raises(ClusterError, match=r'node "a" is not allowed to modify node "b"'):
        control_plane.kubectl("create", "-f", "-", stdin=node, kubeconfig=kubelet)


def test_controllers_run(control_plane: Cluster) -> None:
    """A Deployment gets its ReplicaSet and pods; without nodes they stay Pending."""
    control_plane.kubectl("create", "namespace", "test-controllers")
    control_plane.kubectl("-n", "test-controllers", "create", "deployment", "web", "--image=none", "--replicas=2")
    query = ("-n", "test-controllers", "get", "pods", "-o", "jsonpath={.items[*].status.phase}")
    wait_for(lambda: control_plane.kubectl(*query).split() == ["Pending"] * 2, "pods", 30)
    control_plane.kubectl("delete", "namespace", "test-controllers", "--wait=false")


def test_killed_server_comes_back(control_plane: Cluster) -> None:
    """A killed API server is started again and still knows everything."""
    control_plane.kubectl("create", "namespace", "test-survivor")
    killed = control_plane.pid("kube-apiserver")
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: control_plane.pid("kube-apiserver") != killed, "another process", 10)
    wait_for(lambda: "test-survivor" in control_plane.kubectl("get", "namespaces", check=False), "the server", 30)
    control_plane.kubectl("delete", "namespace", "test-survivor", "--timeout=60s")


def test_user_kubeconfig_is_private(control_plane: Cluster) -> None:
    """Keys are readable by their owner only."""
    assert control_plane.user("nobody-special").stat().st_mode & 0o077 == 0
    assert control_plane.kubeconfig.stat().st_mode & 0o077 == 0
