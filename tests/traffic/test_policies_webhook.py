"""Policies before the real CRDs and the validation of a real istiod."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from pantala.manifest.types import Manifest
from pantala.traffic import policies
from pantala.traffic.route import Route
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.errors import ClusterError
from tests.soak import soak
from tests.traffic.hostile import routes
from tests.traffic.policy_cases import CASES, route

pytestmark = [pytest.mark.mesh, pytest.mark.soak]

COUNT = soak(100, 300)


def judged(mesh: Mesh, made: list[Manifest]) -> list[Manifest]:
    """What the API server would store of these objects, after CRDs and webhook."""
    sent = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    command = ("create", "--dry-run=server", "--validate=strict", "-n", "default", "-o", "json", "-f", "-")
    answer, found = mesh.cluster.kubectl(*command, stdin=sent).strip(), []
    while answer:  # one object after the other
        one, end = json.JSONDecoder().raw_decode(answer)
        found += one.get("items", [one])
        answer = answer[end:].strip()
    return found


def test_hostile_wishes_stay_data(mesh_plane: Mesh) -> None:
    """Every object of many hostile models is accepted, and what is stored is what was built, letter for letter."""
    made = [it for one in routes(COUNT, seed=6) for it in policies.objects(_here(one))]
    kinds = Counter(it["kind"] for it in made)
    assert min(kinds[kind] for kind in ("EnvoyFilter", "AuthorizationPolicy", "RequestAuthentication")) >= COUNT / 6
    assert len(made) >= 2 * COUNT
    stored = judged(mesh_plane, made)
    assert [it["metadata"]["name"] for it in stored] == [it["metadata"]["name"] for it in made]
    for is_, was in zip(stored, made, strict=True):
        assert is_["spec"] == was["spec"]


@pytest.mark.parametrize("case", CASES)
def test_goldens_are_accepted(mesh_plane: Mesh, case: str) -> None:
    """What is reviewed in golden files is accepted."""
    made = policies.objects(_here(route(CASES[case])))
    assert len(judged(mesh_plane, made)) == len(made)


@pytest.mark.parametrize("wrong", [{"jwks": "no JSON"}, {"jwksUri": "https://a:x/"}])
def test_the_judge_judges(mesh_plane: Mesh, wrong: dict[str, str]) -> None:
    """What `refusals` warns of is refused there: a key set that is none, and an address that is none."""
    found = _here(route({"authentication": {"jwt": [{"issuer": "a", **wrong}]}}))
    assert policies.refusals(found.traffic)
    with pytest.raises(ClusterError, match=r"jwks parse error|jwksUri: Invalid value"):
        judged(mesh_plane, policies.objects(found))


def _here(found: Route) -> Route:
    """The route in a namespace that is there, of a model that is not."""
    return replace(found, namespace="default", owner=())
