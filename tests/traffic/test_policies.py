"""All policies of a model."""

import pytest

from pantala.traffic import policies
from pantala.traffic.route import Backend
from tests.golden import assert_golden
from tests.traffic.policy_cases import API_KEYS, CASES, route


@pytest.mark.parametrize("case", CASES)
def test_wishes_become_these_objects(case: str) -> None:
    """What a user writes becomes exactly the objects that were reviewed."""
    for made in policies.objects(route(CASES[case])):
        name = f"{made['kind'].lower()}-{made['metadata']['name']}.yaml"
        assert_golden(f"policies-{case}/{name}", made)


def test_refusing_comes_before_opening() -> None:
    """Whoever writes the objects in this order never lets a request in that the whole would refuse."""
    made = policies.objects(route(CASES["everything"]))
    assert [(it["kind"], it["metadata"]["name"]) for it in made] == [
        ("RequestAuthentication", "resnet-jwt"),
        ("AuthorizationPolicy", "resnet-jwt"),
        ("EnvoyFilter", "resnet-rate-limit"),
        ("EnvoyFilter", "resnet-max-body-size"),
        ("AuthorizationPolicy", "resnet-deny"),
        ("AuthorizationPolicy", "resnet-allow"),
    ]


def test_keys_come_before_counting_and_counting_before_holding() -> None:
    """Who has no key uses up nobody's requests, and no body is held that is refused anyway."""
    wanted = CASES["everything"] | {"authentication": {"apiKeys": API_KEYS}}
    filters = [it for it in policies.objects(route(wanted)) if it["kind"] == "EnvoyFilter"]
    order = sorted(filters, key=lambda it: it["spec"]["priority"])
    assert [it["metadata"]["name"] for it in order] == ["resnet-api-keys", "resnet-rate-limit", "resnet-max-body-size"]
    assert len({it["spec"]["priority"] for it in filters}) == 3


def test_no_wishes_no_objects() -> None:
    """A model that asks for nothing of this has no policies; nor has one without a replica."""
    assert policies.objects(route({"timeout": "3s"})) == []
    assert policies.objects(route(CASES["everything"], backends=())) == []


def test_every_port_of_every_version_is_guarded() -> None:
    """Versions with different ports: a filter stands before each, and one for bodies before those of HTTP alone."""
    ends = (Backend("v1", "resnet-v1", 8000, 8001), Backend("v2", "resnet-v2", 9000))
    objects = (
        it for it in policies.objects(route(CASES["everything"], *ends)) if it["kind"] != "RequestAuthentication"
    )
    made = {it["metadata"]["name"]: it["spec"] for it in objects}

    def ports(name: str) -> list[int]:
        matches = (patch["match"]["listener"]["filterChain"] for patch in made[name]["configPatches"])
        return [match["destinationPort"] for match in matches]

    assert ports("resnet-rate-limit") == [8000, 8001, 9000]
    assert ports("resnet-max-body-size") == [8000, 9000]
    for name in ("resnet-jwt", "resnet-deny", "resnet-allow"):
        assert all(
            (operation.get("ports") or operation["notPorts"]) == ["8000", "8001", "9000"]
            for rule in made[name]["rules"]
            for operation in (to["operation"] for to in rule["to"])
        )


@pytest.mark.parametrize("case", CASES)
def test_policies_never_hold_for_other_pods(case: str) -> None:
    """Without labels that select the model's pods nothing is built: Istio would take the whole namespace."""
    with pytest.raises(ValueError, match="selects no pods"):
        policies.objects(route(CASES[case], selector={}))
    for made in policies.objects(route(CASES[case])):
        spec = made["spec"]
        chosen = spec["workloadSelector"]["labels"] if "workloadSelector" in spec else spec["selector"]["matchLabels"]
        assert chosen == {"pantala.dev/model": "resnet"}
