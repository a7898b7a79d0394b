"""The volume of the weights: which folders of a node are allowed, and who gets which rights in them."""

from dataclasses import replace
from typing import Any

import pytest

from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest
from tests.planner.world import World, model, version


def world(path: str = "/var/lib/pantala", **fields: Any) -> World:
    """A model whose weights lie in a folder of the node."""
    return World(model(storage={"cache": {"hostPath": {"path": path}}}, **fields))


def pod(found: World, name: str = "v1") -> Manifest:
    """The pods of a version, as planned."""
    found.settle()
    spec: Manifest = found.deployment(name)["spec"]["template"]["spec"]
    return spec


def folder(found: World, name: str = "v1") -> str:
    """The folder of a version on the node."""
    volumes = {volume["name"]: volume for volume in pod(found, name)["volumes"]}
    path: str = volumes["models"]["hostPath"]["path"]
    return path


@pytest.mark.parametrize("path", ["/etc/kubernetes", "/var/lib", "/var/lib/pantala2", "/var/lib/kubelet"])
def test_a_folder_that_is_not_allowed(path: str) -> None:
    """The model is not accepted, nothing is made of it, and the message names the allowed folders and who may add one."""
    found = world(path)
    found.settle()
    assert not found.names()
    accepted = next(item for item in found.report().status["conditions"] if item["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidSpec")
    for word in (path, "/var/lib/pantala or /var/lib/dragonfly", "settings.cacheHostPaths", "hostPath.path"):
        assert word in accepted["message"]


def test_folders_of_the_installation() -> None:
    """The allowed folders are a setting, and hold for what is below them as well."""
    found = world("/srv/models/a")
    found.settings = replace(Settings(), cache_host_paths=("/srv/models",))
    assert folder(found).startswith("/srv/models/a/vision/resnet/v1-")
    none = world()
    none.settings = replace(Settings(), cache_host_paths=())
    none.settle()
    assert not none.names()


def test_who_may_do_what() -> None:
    """Only the fetcher is root, without capabilities; the server and `hold` stay what the pod says, the server cannot write."""
    spec = pod(world())
    hold, fetch = spec["initContainers"]
    (server,) = spec["containers"]
    assert [item["name"] for item in (hold, fetch)] == ["hold", "fetch"]
    assert hold["restartPolicy"] == "Always"
    rights = fetch["securityContext"]
    assert (rights["runAsUser"], rights["runAsNonRoot"]) == (0, False)
    for container in (hold, fetch, server):
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert container is fetch or not {"runAsUser", "runAsNonRoot"} & set(context)
    assert spec["securityContext"]["runAsNonRoot"] is True
    mounts = {mount["mountPath"]: mount for mount in server["volumeMounts"]}
    assert mounts["/models"]["readOnly"] is True
    assert "/node-cache" not in mounts


def test_pods_that_want_other_content_have_another_folder() -> None:
    """What decides about the content is in the folder's name: while an update rolls, nobody changes what another serves."""
    first = folder(world())
    same = folder(world(resources={"requests": {"cpu": "1"}}, scaling={"minReplicas": 3}))
    assert first == same
    others = [
        folder(world(modelName="other")),
        folder(world(runtime={"name": "torchserve"})),
        folder(world(runtime={"name": "triton", "batching": {"maxSize": 4}})),
        folder(
            World(model(version(uri="s3://models/x/"), storage={"cache": {"hostPath": {"path": "/var/lib/pantala"}}}))
        ),
    ]
    assert len({first, *others}) == 5


@pytest.mark.parametrize(
    ("resources", "cpu"),
    [(None, None), ({"requests": {"cpu": "1"}}, None), ({"limits": {"cpu": "1", "memory": "1Gi"}}, "50m")],
)
def test_hold_fits_the_pods_class(resources: Manifest | None, cpu: str | None) -> None:
    """A pod that is Guaranteed stays so: where the user limits the CPU, `hold` asks for exactly its limits."""
    hold = pod(world(**({"resources": resources} if resources else {})))["initContainers"][0]
    assert hold["resources"]["limits"].get("cpu") == cpu
    if cpu:
        assert hold["resources"]["requests"] == hold["resources"]["limits"]


def test_other_caches_need_no_holder() -> None:
    """An emptyDir and a claim are as they were: the fetcher alone, and nobody is root."""
    for cache in (None, {"emptyDir": {}}, {"pvc": {"claimName": "c"}}):
        found = World(model(**({"storage": {"cache": cache}} if cache else {})))
        (fetch,) = pod(found)["initContainers"]
        assert "runAsUser" not in fetch["securityContext"]
