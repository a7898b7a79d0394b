"""The chart on a real node: the operator runs in the cluster, under its own rights, and is upgraded and removed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pantala.cluster.resources import CLAIM_TEMPLATE, OPTIONAL
from tests.charts import models, rights, variant
from tests.charts.installed import CRD, Installed, children, model, namespace, release, url, wait_ready
from tests.cluster import Cluster
from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import wait_for

pytestmark = pytest.mark.e2e

SYSTEM, SPACE = "pantala-system", "chart-models"
LATER_TORCHSERVE = "docker.io/pytorch/torchserve:later"


class Served(NamedTuple):
    """A release that serves two models: `doubles` by Triton and `net` by TorchServe."""

    release: Installed
    cluster: Cluster
    s3: S3Server

    def model(self, name: str, runtime: str, uri: str, **spec: Any) -> dict[str, Any]:
        """A model in the tests' namespace."""
        return model(self.cluster, self.s3, SPACE, name, runtime, uri, **spec)

    def check_predictions(self) -> None:
        """Both models answer right through their NodePorts."""
        assert models.ask_triton(url(self.cluster, SPACE, "doubles"), "doubles", 21) == 42
        assert models.ask_torchserve(url(self.cluster, SPACE, "net"), "net", 2) == 8

    def children(self) -> dict[str, tuple[str, int, int]]:
        """Identity of everything that the two models are made of."""
        return children(self.release, SPACE, "doubles", "net")


@pytest.fixture(scope="module")
def served(cluster: Cluster, s3: S3Server) -> Iterator[Served]:
    """An operator installed by Helm, and two models that are Ready."""
    models.upload(s3)
    with release(cluster, SYSTEM) as found:
        found.install()
        with namespace(cluster, SPACE, s3):
            serving = Served(found, cluster, s3)
            found.apply(serving.model("doubles", "triton", "triton/2/"), serving.model("net", "torchserve", "net.mar"))
            wait_ready(cluster, SPACE, "doubles", "net")
            yield serving


def test_models_are_served_by_an_operator_in_the_cluster(served: Served) -> None:
    """Helm alone installs an operator that makes a Triton and a TorchServe model answer through their NodePorts.

    Its namespace enforces the `restricted` Pod Security Standard, and its metrics say that it is the active one.
    """
    served.check_predictions()
    assert served.release.metric("pantala_leader") == 1


def test_the_operator_uses_exactly_the_rights_that_it_has(served: Served) -> None:
    """A life with every kind of child, a change, a new version, taken names and an end uses each granted right.

    Nothing was refused in it, so no right is missing either.
    """
    found, cluster = served.release, served.cluster
    scaling = {"minReplicas": 1, "maxReplicas": 2, "metrics": [{"type": "CPUUtilization", "target": 70}]}
    busy = {"resources": {"requests": {"cpu": "10m"}}}
    strangers = _strangers("taken-v1")
    found.apply(*strangers)
    found.apply(
        served.model("life", "triton", "triton/2/", scaling=scaling, **busy),
        served.model("taken", "triton", "triton/2/", scaling=scaling, **busy),
    )
    cluster.kubectl("wait", "-n", SPACE, "--for=jsonpath={.status.conditions[?(@.type=='Accepted')].reason}=NameConflict",
                    "--timeout=60s", "imodel/taken")  # fmt: skip
    _claim_templates(served)
    wait_ready(cluster, SPACE, "life")
    life = served.model("life", "triton", "triton/2/", **busy)
    life["spec"]["versions"] = [{"name": "v2", "uri": f"s3://{models.BUCKET}/triton/3/"}]
    found.apply(life)  # a new version, and no autoscaler any more
    cluster.kubectl("wait", "-n", SPACE, "--for=jsonpath={.status.version}=v2", "--timeout=120s", "imodel/life")
    cluster.kubectl("wait", "-n", SPACE, "--for=delete", "--timeout=60s", "deployment/life-v1", "service/life-v1",
                    "configmap/life-v1", "hpa/life-v1", "pdb/life-v1")  # fmt: skip
    # Until kube-proxy has heard of it the old pod answers, which drains for that long.
    address = url(cluster, SPACE, "life")
    wait_for(lambda: models.ask_triton(address, "life", 2) == 6, "the new version answers", 15)
    cluster.kubectl("delete", "-n", SPACE, "imodel/life", "imodel/taken", "imodel/cards")
    for stranger in strangers:
        cluster.kubectl("delete", "-n", SPACE, f"{stranger['kind']}/taken-v1")

    roles = _roles(found)
    assert {role["kind"] for role in roles} == {"ClusterRole", "Role"}
    # A cluster without a mesh does not have the kinds of one.
    absent = {resource.group for resource in OPTIONAL if resource is not CLAIM_TEMPLATE}
    granted = {right for right in rights.granted(roles) if right[1] not in absent}
    assert granted == rights.used(found.log.calls(found.since, user=found.user))
    assert not [resource for _, _, resource in rights.granted(roles) if "secret" in resource]
    assert rights.forbidden(found.log, found.user, found.since) == []


def test_an_upgrade_restarts_nothing_and_reaches_what_is_new(served: Served, tmp_path: Path) -> None:
    """A build with another pod template, other defaults and other default images writes nothing for the models there are.

    No Deployment is written and no pod replaced; a model that is made afterwards gets all that is new.
    """
    found, cluster = served.release, served.cluster
    cluster.load(variant.build(tmp_path))
    for old, new in _other_names(cluster):
        cluster.in_node("ctr", "--namespace", "k8s.io", "images", "tag", "--force", old, new)
    before, since = served.children(), found.log.mark()
    images = {"torchserve": LATER_TORCHSERVE}
    notes = found.install({"image": {"tag": variant.TAG}, "settings": {"runtimeImages": images}})
    assert "serves the models of all namespaces" in notes
    found.wait_for_passes()
    assert found.writes(since, SPACE) == []

    found.apply(served.model("later", "triton", "triton/3/"), served.model("later-net", "torchserve", "net.mar"))
    wait_ready(cluster, SPACE, "later", "later-net")
    assert models.ask_triton(url(cluster, SPACE, "later"), "later", 2) == 6
    assert _template(found, "later-v1") == (variant.IMAGE, variant.TRITON, 7, "yes")
    assert _template(found, "later-net-v1")[1] == LATER_TORCHSERVE
    assert _template(found, "doubles-v1")[3] is None
    assert [
        write for write in found.writes(since, SPACE) if "/later" not in write and "create events" not in write
    ] == []
    assert served.children() == before
    served.check_predictions()
    cluster.kubectl("delete", "-n", SPACE, "imodel/later", "imodel/later-net")
    assert rights.forbidden(found.log, found.user, since) == []


def test_an_uninstall_loses_no_model(served: Served) -> None:
    """Without the operator the models stay, and answer; an operator that is installed again writes nothing for them."""
    found, cluster = served.release, served.cluster
    before = served.children()
    assert "[CustomResourceDefinition] inferencemodels.pantala.dev" in found.helm.uninstall(SYSTEM), "kept, and said so"
    assert found.pods() == {}
    assert CRD.partition("/")[2] in cluster.kubectl("get", CRD)
    assert cluster.kubectl("get", "imodel", "-n", SPACE, "-o", "name").split() == [
        "inferencemodel.pantala.dev/doubles",
        "inferencemodel.pantala.dev/net",
    ]
    assert served.children() == before
    served.check_predictions()
    since = found.log.mark()
    found.install()
    found.wait_for_passes()
    assert found.writes(since, SPACE) == []
    assert served.children() == before


def _roles(found: Installed) -> list[dict[str, Any]]:
    """The roles that are really bound to the operator's service account."""
    bindings = found.objects("clusterrolebindings,rolebindings", "-A")
    own = [
        binding
        for binding in bindings
        if any(
            subject["kind"] == "ServiceAccount" and f"{subject['namespace']}:{subject['name']}" in found.user
            for subject in binding.get("subjects", ())
        )
    ]
    roles = []
    for binding in own:
        where = ("-n", binding["metadata"]["namespace"]) if binding["kind"] == "RoleBinding" else ()
        name = f"--field-selector=metadata.name={binding['roleRef']['name']}"
        roles += found.objects(binding["roleRef"]["kind"], name, *where)
    return roles


def _template(found: Installed, name: str) -> tuple[str, str, int, str | None]:
    """Fetcher, server, drain and the variant's mark in the pod template of a Deployment."""
    (deployment,) = found.objects("deployments", "-n", SPACE, f"--field-selector=metadata.name={name}")
    template = deployment["spec"]["template"]
    server = template["spec"]["containers"][0]
    return (
        template["spec"]["initContainers"][0]["image"],
        server["image"],
        server["lifecycle"]["preStop"]["sleep"]["seconds"],
        template["metadata"]["annotations"].get(variant.MARK),
    )


def _other_names(cluster: Cluster) -> list[tuple[str, str]]:
    """The images of the model servers, and the names that the upgrade gives to the same ones."""
    from pantala.runtimes.images import TORCHSERVE, TRITON

    return [(TRITON, variant.TRITON), (TORCHSERVE, LATER_TORCHSERVE)]


def _claim_templates(served: Served) -> None:
    """The life of the ResourceClaimTemplates of a parked version: made, renewed, and a name that is taken."""
    found, cluster, kind = served.release, served.cluster, "resourceclaimtemplates"
    nowhere = {"spec": {"nodeSelector": {"no": "such"}}}
    model = served.model("cards", "triton", "triton/2/", template=nowhere, traffic={"target": "v1"})
    spare = model["spec"]["versions"][0] | {"name": "spare"}
    model["spec"]["versions"].append(spare)

    def ask(count: int) -> None:
        spare["accelerator"] = {"provider": "dra", "count": count}
        found.apply(model)

    def names() -> list[str]:
        return [it["metadata"]["name"] for it in found.objects(kind, "-n", SPACE)]

    ask(1)
    wait_for(lambda: len(names()) == 1, "a template", 30)
    (old,) = names()
    ask(2)
    wait_for(lambda: names() and old not in names(), "another template", 30)
    (stranger,) = found.objects(kind, "-n", SPACE)
    found.apply({**stranger, "metadata": {"name": old, "namespace": SPACE}})
    ask(1)
    cluster.kubectl("wait", "-n", SPACE, "--for=jsonpath={.status.conditions[?(@.type=='Accepted')].reason}=NameConflict",
                    "--timeout=60s", "imodel/cards")  # fmt: skip
    cluster.kubectl("delete", "-n", SPACE, f"{kind}/{old}")


def _strangers(name: str) -> list[dict[str, Any]]:
    """Objects of somebody else under the name that a version wants: one of each kind that a version has."""
    meta = {"name": name, "namespace": SPACE, "labels": {"owner": "somebody"}}
    labels = {"app": "stranger"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "registry.local/pause:1"}]}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    specs = {
        ("v1", "ConfigMap"): {"data": {"a": "b"}},
        ("v1", "Service"): {"spec": {"ports": [{"port": 80}]}},
        ("apps/v1", "Deployment"): {
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod},
        },
        ("policy/v1", "PodDisruptionBudget"): {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}},
        ("autoscaling/v2", "HorizontalPodAutoscaler"): {"spec": {"maxReplicas": 1, "scaleTargetRef": target}},
    }
    return [{"apiVersion": version, "kind": kind, "metadata": meta} | rest for (version, kind), rest in specs.items()]
