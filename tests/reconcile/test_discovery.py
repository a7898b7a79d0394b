"""What an API server serves, read off its discovery."""

from typing import Any

import pytest

from pantala.cluster.discovery import present
from pantala.cluster.resources import (
    GATEWAYS,
    HTTP_ROUTE,
    ISTIO_GATEWAY,
    K8S_GATEWAY,
    OPTIONAL,
    VIRTUAL_SERVICE,
    Resource,
)
from pantala.planner.observed import Mesh, choose_mesh

ALL = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
TERMINATING = ["delete", "deletecollection", "get", "list", "watch"]


def group(resource: Resource, version: str = "", verbs: list[str] = ALL) -> dict[str, Any]:
    resources = [{"resource": resource.plural, "scope": "Namespaced", "verbs": verbs}]
    return {
        "metadata": {"name": resource.group},
        "versions": [{"version": version or resource.version, "resources": resources}],
    }


@pytest.mark.parametrize("resource", OPTIONAL, ids=lambda it: f"{it.group}-{it.kind}")
def test_each(resource: Resource) -> None:
    """A kind is present if its group, its version and its plural are there."""
    assert present({"items": [group(resource)]}) == {resource}
    assert present({"items": [group(resource, version="v1beta9")]}) == frozenset()


def test_gateways_of_two_groups() -> None:
    """Two kinds are called Gateway; each is found by its group."""
    assert present({"items": [group(ISTIO_GATEWAY)]}) == {ISTIO_GATEWAY}
    assert present({"items": [group(K8S_GATEWAY)]}) == {K8S_GATEWAY}


def test_on_its_way_out() -> None:
    """A kind whose CRD is being deleted cannot be written any more: it is not present; what is only read may go on."""
    assert present({"items": [group(VIRTUAL_SERVICE, verbs=TERMINATING)]}) == frozenset()
    assert present({"items": [group(ISTIO_GATEWAY, verbs=TERMINATING)]}) == {ISTIO_GATEWAY}
    assert set(GATEWAYS) == {ISTIO_GATEWAY, K8S_GATEWAY}


@pytest.mark.parametrize("answer", [{}, {"items": None}, {"items": [{"metadata": {"name": "apps"}}]}])
def test_nothing(answer: dict[str, Any]) -> None:
    """An empty answer, and a group whose server did not answer, hold nothing."""
    assert present(answer, (HTTP_ROUTE,)) == frozenset()


@pytest.mark.parametrize(
    ("wanted", "istio", "gateway_api", "mesh"),
    [
        ("auto", True, True, Mesh.ISTIO),
        ("auto", True, False, Mesh.ISTIO),
        ("auto", False, True, Mesh.GATEWAY_API),
        ("auto", False, False, Mesh.NONE),
        ("istio", True, True, Mesh.ISTIO),
        ("istio", False, True, Mesh.NONE),
        ("gateway-api", True, True, Mesh.GATEWAY_API),
        ("gateway-api", True, False, Mesh.NONE),
        ("none", True, True, Mesh.NONE),
    ],
)
def test_choice(wanted: str, istio: bool, gateway_api: bool, mesh: Mesh) -> None:  # noqa: FBT001 -- columns of the table
    """Istio goes before the Gateway API unless the installation says otherwise; what is not there is not chosen."""
    assert choose_mesh(wanted, istio=istio, gateway_api=gateway_api) is mesh
