"""The chart with a list of namespaces: Roles in them and nothing cluster-wide; and two operators, one of them standing by."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts import models, rights
from tests.charts.installed import Installed, model, namespace, release, wait_ready
from tests.cluster import Cluster
from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import wait_for

pytestmark = pytest.mark.e2e

SYSTEM, WATCHED, ALSO_WATCHED, FOREIGN = "team-operator", "team-a", "team-b", "elsewhere"


@pytest.fixture(scope="module")
def team(cluster: Cluster, s3: S3Server) -> Iterator[Installed]:
    """Two operators for two namespaces, beside a third that they must not touch."""
    models.upload(s3)
    with (
        namespace(cluster, WATCHED, s3),
        namespace(cluster, ALSO_WATCHED, s3),
        namespace(cluster, FOREIGN, s3),
        release(cluster, SYSTEM) as found,
    ):
        found.install({"watchNamespaces": [WATCHED, ALSO_WATCHED], "replicas": 2})
        yield found


def _model(team: Installed, s3: S3Server, space: str) -> dict[str, Any]:
    return model(team.cluster, s3, space, "doubles", "triton", "triton/2/")


def test_only_models_of_the_named_namespaces_are_served(team: Installed, s3: S3Server) -> None:
    """Models of the named namespaces become Ready; one elsewhere is left alone; no call is refused.

    The service account has no cluster-wide right: it cannot even list the namespaces.
    """
    team.apply(_model(team, s3, FOREIGN), _model(team, s3, WATCHED), _model(team, s3, ALSO_WATCHED))
    for space in (WATCHED, ALSO_WATCHED):
        wait_ready(team.cluster, space, "doubles")
    (left,) = team.objects("imodel", "-n", FOREIGN)
    assert "status" not in left
    assert team.objects("deployments,services", "-n", FOREIGN) == []
    assert {call.namespace for call in team.log.calls(team.since, user=team.user)} <= {
        SYSTEM,
        WATCHED,
        ALSO_WATCHED,
        "",
    }
    assert rights.forbidden(team.log, team.user, team.since) == []
    bound = team.objects("clusterrolebindings")
    assert not [it for it in bound if any(team.namespace == who.get("namespace") for who in it.get("subjects", ()))]
    for ask in (("list", "namespaces"), ("list", "pods", "-A"), ("get", "secrets", "-n", WATCHED)):
        assert team.cluster.kubectl("auth", "can-i", *ask, f"--as={team.user}", check=False).startswith("no")


@pytest.mark.parametrize("how", [("--wait=false",), ("--grace-period=0", "--force")], ids=["stopped", "vanished"])
def test_the_standby_takes_over(team: Installed, s3: S3Server, how: tuple[str, ...]) -> None:
    """An operator that is stopped gives its Lease back, one that vanishes loses it: another one goes on with the models.

    That is the one that stood by, or the pod that comes in place of the first, if it is quicker.
    """
    team.cluster.kubectl("rollout", "status", "deployment/pantala", "-n", SYSTEM, "--timeout=60s")
    active = team.holder()
    team.cluster.kubectl("delete", "pod", active, "-n", SYSTEM, *how)
    wait_for(lambda: team.holder() not in {"", active}, "another one has the Lease", 60)
    name = f"after-{how[0].strip('-').partition('=')[0]}"
    team.apply(_model(team, s3, WATCHED) | {"metadata": {"name": name, "namespace": WATCHED}})
    wait_ready(team.cluster, WATCHED, name)
