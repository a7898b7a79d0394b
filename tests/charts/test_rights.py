"""What the tests of the chart conclude from an audit log, on a real one."""

import json

import pytest

from tests.charts import rights
from tests.cluster import Cluster
from tests.cluster.audit import AuditLog
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver

USER, SPACE = "chart-rights", "chart-rights"


def _config_map(name: str, namespace: str = SPACE) -> str:
    meta = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}})


def test_an_apply_that_makes_an_object_needs_two_rights(control_plane: Cluster) -> None:
    """With `patch` alone an apply of a new object is refused, and found as refused; with `create` both are found as used.

    The 403 of an admission plugin, here of a quota, is no missing right.
    """
    assert control_plane.audit is not None
    log = AuditLog(control_plane.audit)
    control_plane.kubectl("create", "namespace", SPACE)
    control_plane.kubectl("create", "role", USER, "-n", SPACE, "--verb=patch", "--resource=configmaps")
    control_plane.kubectl("create", "rolebinding", USER, "-n", SPACE, f"--role={USER}", f"--user={USER}")
    kubeconfig = control_plane.user(USER)

    def apply(name: str) -> str:
        options = ("--server-side", "--validate=false", "-f", "-")
        return control_plane.kubectl("apply", *options, stdin=_config_map(name), kubeconfig=kubeconfig, check=False)

    wait_for(lambda: 'cannot create resource "configmaps"' in apply("one"), "the role is known", 10)
    assert f"patch configmaps {SPACE}/one" in rights.forbidden(log, USER)
    control_plane.kubectl("delete", "role", USER, "-n", SPACE)
    verbs = "--verb=patch,create"
    control_plane.kubectl("create", "role", USER, "-n", SPACE, verbs, "--resource=configmaps")
    wait_for(lambda: "serverside-applied" in apply("two"), "the other role is known", 10)
    since = log.mark()
    assert "serverside-applied" in apply("three")
    control_plane.kubectl("create", "quota", "full", "-n", SPACE, "--hard=count/configmaps=1")
    wait_for(lambda: "exceeded quota" in apply("four"), "the quota is known", 20)
    assert rights.forbidden(log, USER, since) == []
    assert rights.used(log.calls(since, user=USER)) >= {("patch", "", "configmaps"), ("create", "", "configmaps")}
