"""Routes that the command line shows, before the real CRDs and the real istiod."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Done
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh

pytestmark = pytest.mark.mesh

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
SPACE = "cli-routes"
HOSTED = ("--gateway", f"istio-system/{GATEWAY}", "--domain", "models.example.com")
ISTIO, GATEWAY_API = "VirtualService", "HTTPRoute"


@pytest.fixture(scope="module")
def plane(mesh_plane: Mesh) -> Iterator[Mesh]:
    """A mesh with our resource and a namespace for models."""
    cluster = mesh_plane.cluster
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    cluster.established("inferencemodels.pantala.dev")
    cluster.kubectl("create", "namespace", SPACE)
    yield mesh_plane
    cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


def pantala(*arguments: str, stdin: str = "") -> Done:
    """Run a command of the command line."""
    done = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)


def diff(plane: Mesh, sample: str, *options: str) -> tuple[set[str], str]:
    """Kinds that the operator would create for a sample, and the notes."""
    where = ("-n", SPACE, "--kubeconfig", str(plane.cluster.kubeconfig), *HOSTED)
    done = pantala("render", "--diff", "-o", "json", *where, *options, str(SAMPLES / f"{sample}.yaml"))
    assert done.code == 1, done.err
    return {change["object"].split()[0] for change in json.loads(done.out)}, done.err


@pytest.mark.parametrize(
    ("sample", "mesh", "kinds"),
    [
        ("split-mirror", "istio", {ISTIO}),
        ("split-mirror", "gateway-api", {GATEWAY_API}),
        ("gateway", "istio", {ISTIO}),
        ("policies", "istio", {ISTIO, "DestinationRule", "EnvoyFilter", "AuthorizationPolicy"}),
        ("gateway-api", "gateway-api", {GATEWAY_API}),
    ],
)
def test_rendered_samples_are_accepted(plane: Mesh, sample: str, mesh: str, kinds: set[str]) -> None:
    """The routes and policies of a sample are accepted as they are printed, with no unknown field, by istiod's webhook too."""
    done = pantala("render", "-n", SPACE, "--mesh", mesh, *HOSTED, str(SAMPLES / f"{sample}.yaml"))
    assert (done.code, done.err) == (0, "")
    options = ("--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
    names = plane.cluster.kubectl("create", *options, stdin=done.out).splitlines()
    assert len(names) == done.out.count("\nkind: ")
    assert kinds == {kind for kind in kinds if any(name.startswith(f"{kind.lower()}.") for name in names)}


def test_a_diff_sees_what_the_cluster_has(plane: Mesh) -> None:
    """Where both are there `auto` means Istio; the Gateway API, and nothing, can be chosen."""
    assert ISTIO in diff(plane, "gateway-api")[0]
    found, _ = diff(plane, "gateway-api", "--mesh", "gateway-api")
    assert (GATEWAY_API in found, ISTIO in found) == (True, False)
    found, notes = diff(plane, "gateway-api", "--mesh", "none")
    assert found == {"ConfigMap", "Service", "Deployment"}
    assert "traffic.split" in notes


def test_a_diff_knows_the_gateways(plane: Mesh) -> None:
    """A gateway that is not in the cluster is told; one that is there takes the model's host."""
    assert "does not exist" not in diff(plane, "gateway")[1]
    assert "Gateway istio-system/other does not exist" in diff(plane, "gateway", "--gateway=istio-system/other")[1]


def test_a_settled_route_is_no_difference(plane: Mesh) -> None:
    """Once the model is there and its objects are as printed, nothing differs.

    A new weight changes nothing yet, since no version is ready, and the note says so; a time-out is a change of the route alone.
    """
    path, cluster = SAMPLES / "split-mirror.yaml", plane.cluster
    options = ("-n", SPACE, "--kubeconfig", str(cluster.kubeconfig))
    cluster.kubectl("apply", "-n", SPACE, "-f", str(path))
    first = json.loads(pantala("render", "--diff", "-o", "json", *options, str(path)).out)
    objects = {"apiVersion": "v1", "kind": "List", "items": [change["after"] for change in first]}
    cluster.kubectl("apply", "--server-side", "--field-manager=pantala", "-f", "-", stdin=json.dumps(objects))
    same = pantala("render", "--diff", *options, str(path))
    assert (same.code, same.out) == (0, "")
    text = path.read_text()
    weights = text.replace("weight: 20", "weight: 40").replace("weight: 80", "weight: 60")
    later = pantala("render", "--diff", *options, "-", stdin=weights)
    assert (later.code, later.out) == (0, "")
    assert "has no ready replica" in later.err
    changed = pantala("render", "--diff", "-o", "json", *options, "-", stdin=f"{text.rstrip()}\n    timeout: 5s\n")
    cluster.kubectl("delete", "imodel/classifier", "-n", SPACE)
    found = [(change["action"], change["object"]) for change in json.loads(changed.out)]
    assert found == [("update", f"{ISTIO} {SPACE}/classifier")]
