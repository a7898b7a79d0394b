"""The life of a version's ResourceClaimTemplates on a real API server: made, renewed, refused, repaired, kept while needed."""

from collections.abc import Callable

import pytest

from tests.apiserver.devices import TEMPLATE, TURING, block, given, message, remove, templates
from tests.apiserver.operator_process import Installation, Space

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def space(dra_driver: None, install: Callable[..., Installation]) -> Space:
    """A namespace with an operator that has rights in it alone."""
    made = install()
    made.start().wait("leader")
    return made.space


def test_an_expression_that_is_none(space: Space) -> None:
    """What does not compile is refused by the API server: its words are told, and the pods that answer go on."""
    space.model("broken", accelerator=block(profile="1g.5gb"))
    space.wait_ready("broken")
    (before,) = space.list("Pod", model="broken")
    kept = templates(space, "broken")
    selectors = ["true", "device.attributes['gpu.nvidia.com"]
    space.patch("InferenceModel", "broken", {"spec": {"accelerator": {"selectors": selectors}}})
    text = message(space, "broken", "Rejected", "Accepted")
    assert "compilation failed" in text
    assert "accelerator.selectors" in text
    assert selectors[1] in text
    assert space.condition("broken", "Ready")["status"] == "True"
    (after,) = space.list("Pod", model="broken")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert templates(space, "broken") == kept
    space.patch("InferenceModel", "broken", {"spec": {"accelerator": {"selectors": ["true"]}}})
    space.wait_ready("broken")
    space.wait(lambda: templates(space, "broken").isdisjoint(kept) and len(templates(space, "broken")) == 1, "renewed")
    remove(space, "broken")


def test_another_ask_rolls(space: Space) -> None:
    """Other selectors are another template and a rolling update; the old template goes when it is done, the claims with the pods."""
    space.model("roll", accelerator=block(selectors=[TURING]))
    space.wait_ready("roll")
    (old,) = templates(space, "roll")
    (pod,) = space.list("Pod", model="roll")
    hopper = TURING.replace("Turing", "Hopper")
    space.patch("InferenceModel", "roll", {"spec": {"accelerator": {"selectors": [hopper]}}})
    space.wait(lambda: old not in templates(space, "roll"), "the old template is gone")
    space.wait_ready("roll")
    (new,) = templates(space, "roll")
    claims = space.get("Deployment", "roll-v1")["spec"]["template"]["spec"]["resourceClaims"]
    assert claims == [{"name": "cards", "resourceClaimTemplateName": new}]
    space.wait(
        lambda: [it["metadata"]["uid"] for it in space.list("Pod", model="roll")] != [pod["metadata"]["uid"]], "new"
    )
    space.wait(lambda: {pool for pool, _ in given(space, "roll")} == {"kwok-1"}, "on a Hopper")
    remove(space, "roll")


def test_an_update_that_fits_nowhere(space: Space) -> None:
    """While the new pods get no devices the old template stays, and a pod of the old ReplicaSet is made anew out of it."""
    space.model("stuck", accelerator=block(profile="3g.20gb"))
    space.wait_ready("stuck")
    (old,) = templates(space, "stuck")
    (pod,) = space.list("Pod", model="stuck")
    space.patch("InferenceModel", "stuck", {"spec": {"accelerator": {"profile": "7g.40gb"}}})
    space.wait(lambda: len(space.list("Pod", model="stuck")) == 2, "the pod of the update")
    assert old in templates(space, "stuck")
    space.delete("Pod", pod["metadata"]["name"])
    space.wait(lambda: space.get("Pod", pod["metadata"]["name"]) is None, "the old pod is gone")
    space.wait(lambda: ("kwok-3", "gpu-0-mig-3g20gb-0") in given(space, "stuck"), "its successor has the device")
    space.wait(lambda: space.condition("stuck", "Ready")["status"] == "True", "it answers")
    assert old in templates(space, "stuck")
    remove(space, "stuck")


def test_a_template_that_is_deleted_comes_back(space: Space) -> None:
    """By hand it can go; it is there again under its name before the next pod needs it, and no pod is replaced."""
    space.model("back", accelerator=block())
    space.wait_ready("back")
    (name,) = templates(space, "back")
    (pod,) = space.list("Pod", model="back")
    uid = space.get(TEMPLATE, name)["metadata"]["uid"]
    space.delete(TEMPLATE, name)
    space.wait(lambda: (space.get(TEMPLATE, name) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, "back")
    (after,) = space.list("Pod", model="back")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    remove(space, "back")


def test_a_name_that_is_taken(space: Space) -> None:
    """A stranger's template is left alone, and no pod is made out of it."""
    space.model("other", accelerator=block(count=2))
    space.wait_ready("other")
    (name,) = templates(space, "other")
    remove(space, "other")
    stranger = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": TEMPLATE,
        "metadata": {"name": name},
        "spec": {"spec": {"devices": {"requests": [{"name": "x", "exactly": {"deviceClassName": "mig.nvidia.com"}}]}}},
    }
    space.create(TEMPLATE, stranger)
    space.model("other", accelerator=block(count=2))
    text = message(space, "other", "NameConflict", "Accepted")
    assert name in text
    assert space.get("Deployment", "other-v1") is None
    space.delete(TEMPLATE, name)
    space.wait_ready("other")
    remove(space, "other")


def test_a_role_of_before(space: Space, install: Callable[..., Installation]) -> None:
    """Under a Role that does not name the kind the version says so, and nothing of it is written."""
    made = install()
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{made.space.name}/roles"
    (role,) = (it for it in made.api.call("GET", roles)["items"] if "inferencemodels" in str(it["rules"]))
    kept = [rule for rule in role["rules"] if "resourceclaimtemplates" not in rule["resources"]]
    path = f"{roles}/{role['metadata']['name']}"
    made.api.call("PATCH", path, {"rules": kept}, content="application/merge-patch+json")
    made.start().wait("leader")
    made.space.model("old-role", accelerator=block())
    text = message(made.space, "old-role", "Forbidden", "Accepted")
    assert "check its Role" in text
    assert made.space.get("Deployment", "old-role-v1") is None
