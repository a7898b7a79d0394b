"""What is made for Istio, before its real judges: the rules of the CRDs, istiod's webhook, and an Envoy that takes it over."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pantala.traffic import istio
from pantala.traffic.route import Route
from tests.cluster.addons import istio as addon
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.errors import ClusterError
from tests.cluster.process import wait_for
from tests.soak import soak
from tests.traffic.hostile_routes import BAD_REGEX, GOOD_REGEX, Hostile
from tests.traffic.istio_cases import CASES, V1, header, route, rule

pytestmark = [pytest.mark.mesh, pytest.mark.soak]

SPACE = "hostile"
COUNT, SEED = soak(120, 400), 20260606
LIVE = soak(20, 60)
"""How many of the generated routes Envoy gets."""


@pytest.fixture(scope="module")
def mesh(mesh_plane: Mesh) -> Iterator[Mesh]:
    """The mesh, and a namespace for routes that goes at the end."""
    addon.apply(mesh_plane.cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}])
    yield mesh_plane
    mesh_plane.cluster.kubectl("delete", f"namespace/{SPACE}")


@pytest.fixture(scope="module")
def generated() -> list[Route]:
    """Routes out of what the API allows."""
    hostile = Hostile(SEED)
    made = [hostile.make(number, SPACE) for number in range(COUNT)]
    assert hostile.discarded < COUNT / 10
    return made


def create(mesh: Mesh, objects: list[dict[str, Any]], *options: str) -> str:
    """Create objects; return what was said about those that were refused."""
    try:
        # As JSON: to YAML 1.2 a text such as 1e3 is a number, which PyYAML does not know and leaves without quotes.
        bundle = {"apiVersion": "v1", "kind": "List", "items": objects}
        mesh.cluster.kubectl("create", *options, "-f", "-", stdin=json.dumps(bundle))
    except ClusterError as error:
        # A rule that another one hides is warned about, and allowed.
        return "\n".join(line for line in str(error).splitlines() if line.strip() and "Warning:" not in line)
    return ""


def patterns(wanted: Route) -> list[str]:
    """The regular expressions that the user wrote."""
    conditions = [match for it, _ in wanted.split.rules for match in it.headers or ()]
    return [match.value for match in conditions if match.type == "RegularExpression"]


@pytest.mark.parametrize("case", CASES)
def test_cases_are_accepted(mesh: Mesh, case: str) -> None:
    """Everything that the golden files hold passes CEL and webhook, and Envoy refuses none of it."""
    wanted = CASES[case]
    host = f"{case}.cases.example.com"
    exposed = {"hosts": (host,), "gateway": ("istio-system", "ingress")}
    objects = istio.objects(replace(wanted, name=f"case-{case}", namespace=SPACE, owner=(), **exposed))
    rules = [it | {"metadata": it["metadata"] | {"name": f"{case}-{it['metadata']['name']}"}} for it in objects[:-1]]
    assert create(mesh, [*rules, objects[-1]]) == ""
    mesh.envoy.wait_for_route(host)
    assert mesh.envoy.rejections() == {}
    assert mesh.istiod.rejections() == []


def test_nothing_generated_is_refused(mesh: Mesh, generated: list[Route]) -> None:
    """No route is refused for what was made of it: only for a regular expression that the user wrote, and that is none."""
    innocent = [it for it in generated if set(patterns(it)) <= set(GOOD_REGEX)]
    others = [it for it in generated if it not in innocent]
    assert len(innocent) >= 0.75 * COUNT
    assert len(others) >= 0.025 * COUNT
    objects = [manifest for it in innocent for manifest in istio.objects(it)]
    assert create(mesh, objects, "--dry-run=server") == ""
    for wanted in others:
        said = create(mesh, istio.objects(wanted), "--dry-run=server")
        # One cause stands in the line itself, more have a line each.
        causes = [line for line in said.splitlines() if line.strip().startswith("* ")] or said.splitlines()
        assert all("error parsing regexp" in line for line in causes), said
        tame = tuple((it.model_copy(update={"headers": None, "prefix": "/a"}), to) for it, to in wanted.split.rules)
        again = replace(wanted, split=replace(wanted.split, rules=tame))
        assert create(mesh, istio.objects(again), "--dry-run=server") == ""


@pytest.mark.parametrize("pattern", BAD_REGEX)
def test_a_regular_expression_that_is_none_is_refused(mesh: Mesh, pattern: str) -> None:
    """The webhook is no rubber stamp, and its message holds the cause."""
    wrong = rule("wrong", V1, headers=[header("x-a", pattern, "RegularExpression")])
    made = route(replace(CASES["minimal"].split, rules=(wrong,)), namespace=SPACE, owner=())
    assert "error parsing regexp" in create(mesh, istio.objects(made), "--dry-run=server")


def test_values_stay_values_in_envoy(mesh: Mesh, generated: list[Route]) -> None:
    """Envoy has every value of a hostile route in the field that it was written for, whole, and no field besides."""
    wanted = [it for it in generated if set(patterns(it)) <= set(GOOD_REGEX)][:LIVE]
    assert create(mesh, [manifest for it in wanted for manifest in istio.objects(it)]) == ""
    last = wanted[-1].hosts[0]
    wait_for(lambda: mesh.envoy.routes(last) or mesh.envoy.rejections(), f"{last} in Envoy, or a rejection", 30)
    assert mesh.istiod.rejections() == []
    assert mesh.envoy.rejections() == {}
    for it in wanted:
        ways = mesh.envoy.routes(it.hosts[0])
        assert set().union(*ways) <= FIELDS
        for way in ways:
            assert clusters(way) <= {f"outbound|{end.http}||{it.service_host(end.service)}" for end in it.backends} | {
                f"outbound|{end.grpc}||{it.service_host(end.service)}" for end in it.backends
            }
            for side in ("request", "response"):
                compare_headers(it, way, side)
            assert origins(way) == {(kind, text) for kind, text in asked_origins(it)}
        assert seen_rules(ways) == asked_rules(it)


FIELDS = {"match", "route", "name", "metadata", "decorator", "typed_per_filter_config"}
FIELDS |= {f"{side}_headers_to_{verb}" for side in ("request", "response") for verb in ("add", "remove")}
"""What a route in Envoy may have."""


def clusters(way: dict[str, Any]) -> set[str]:
    """The clusters of a route, those of copies among them."""
    action = way["route"]
    weighted = {it["name"] for it in action.get("weighted_clusters", {}).get("clusters", ())}
    mirrors = {it["cluster"] for it in action.get("request_mirror_policies", ())}
    return weighted | mirrors | ({action["cluster"]} if "cluster" in action else set())


def compare_headers(wanted: Route, way: dict[str, Any], side: str) -> None:
    """What Envoy does to headers is what the user wrote; a doubled % is one % (Envoy, Custom request/response headers)."""
    headers = wanted.traffic.headers
    changes = getattr(headers, side) if headers else None
    asked = [(key, value, "OVERWRITE_IF_EXISTS_OR_ADD") for key, value in ((changes and changes.set) or {}).items()]
    asked += [(key, value, "APPEND_IF_EXISTS_OR_ADD") for key, value in ((changes and changes.add) or {}).items()]
    seen = [
        (it["header"]["key"], it["header"]["value"], it.get("append_action", "APPEND_IF_EXISTS_OR_ADD"))
        for it in way.get(f"{side}_headers_to_add", ())
    ]
    assert all(re.fullmatch("([^%]|%%)*", value) for _, value, _ in seen)
    assert sorted((key, value.replace("%%", "%"), action) for key, value, action in seen) == sorted(
        (key.lower(), value, action) for key, value, action in asked if value
    )
    gone = {it.lower() for it in (changes and changes.remove) or ()}
    gone |= {key.lower() for key, value, action in asked if not value and action.startswith("OVERWRITE")}
    assert set(way.get(f"{side}_headers_to_remove", ())) == gone


def origins(way: dict[str, Any]) -> set[tuple[str, str]]:
    """The origins that Envoy lets in."""
    policy = way.get("typed_per_filter_config", {}).get("envoy.filters.http.cors", {})
    found = policy.get("allow_origin_string_match", ())
    return {("regex", it["safe_regex"]["regex"]) if "safe_regex" in it else ("exact", it["exact"]) for it in found}


def asked_origins(wanted: Route) -> Iterator[tuple[str, str]]:
    """The origins that the user wrote."""
    for origin in wanted.traffic.cors.allow_origins if wanted.traffic.cors else ():
        yield ("regex", ".*") if origin == "*" else ("exact", origin)


Seen = list[tuple[str, str, list[tuple[str, str, str]]]]


def seen_rules(ways: list[dict[str, Any]]) -> Seen:
    """Name, path and conditions of every route of HTTP, in Envoy's order."""
    found = []
    for way in ways:
        match = way["match"]
        if way["name"].endswith(".grpc"):
            continue
        conditions = []
        for it in match.get("headers", ()):
            kind = next(kind for kind in ("exact", "prefix", "safe_regex") if kind in it["string_match"])
            value = it["string_match"][kind]
            conditions.append((it["name"], kind, value["regex"] if kind == "safe_regex" else value))
        found.append((way["name"], match.get("path") or match["prefix"], sorted(conditions)))
    return found


def asked_rules(wanted: Route) -> Seen:
    """The same from what the user wrote, of rules with one condition per header."""
    kinds = {"Exact": "exact", "Prefix": "prefix", "RegularExpression": "safe_regex"}
    found: Seen = []
    for it, _ in wanted.split.rules:
        conditions = sorted((one.name.lower(), kinds[one.type], one.value) for one in it.headers or ())
        path = f"{wanted.prefix or ''}{it.prefix or ''}"
        found += [(f"rule.{it.name}", text, conditions) for text in ([path, f"{path}/"] if path else ["/"])]
    return found + [("split", text, []) for text in ([wanted.prefix, f"{wanted.prefix}/"] if wanted.prefix else ["/"])]
