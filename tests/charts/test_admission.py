"""What the chart renders, before the real API server: every object is one that it takes, with no unknown field."""

import pytest

from tests.charts.helm import CHART, ROOT, Helm, HelmError
from tests.charts.values import SETS
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def admitting(control_plane: Cluster) -> Cluster:
    """An API server with the namespaces that the sets of values name."""
    for name in ("pantala-system", "team-a", "team-b", "p2p"):
        control_plane.kubectl("create", "namespace", name)
    return control_plane


@pytest.mark.parametrize("name", SETS)
def test_the_api_server_takes_every_object(admitting: Cluster, name: str) -> None:
    """A server-side dry run with strict validation accepts all objects of a set of values, and warns of nothing."""
    rendered = Helm().template(SETS[name])
    options = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--warnings-as-errors")
    output = admitting.kubectl("apply", *options, "-f", "-", stdin=rendered)
    assert len(output.splitlines()) == rendered.count("\nkind: ")


def test_a_crd_that_is_there_can_be_taken_over(admitting: Cluster) -> None:
    """Helm refuses a CRD that somebody applied by hand; with --take-ownership it becomes part of the release."""
    admitting.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    helm = Helm(admitting.kubeconfig)
    install = ("upgrade", "--install", "own", str(CHART), "--namespace=pantala-system")
    try:
        with pytest.raises(HelmError, match="cannot be imported into the current release"):
            helm.run(*install)
        helm.run(*install, "--take-ownership")
        path = "jsonpath={.metadata.annotations.helm\\.sh/resource-policy}"
        assert admitting.kubectl("get", "crd", "inferencemodels.pantala.dev", "-o", path) == "keep"
    finally:
        helm.run("uninstall", "own", "--namespace=pantala-system", "--ignore-not-found")
    assert admitting.kubectl("get", "crd", "inferencemodels.pantala.dev", "-o", "name")


@pytest.mark.parametrize(
    ("monitor", "warns"),
    [({}, False), ({"interval": "15000ms"}, False), ({"interval": "15s1ms"}, True), ({"interval": "1m"}, True)],
)
def test_the_notes_say_what_is_missing(admitting: Cluster, monitor: dict[str, str], warns: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """They tell of a ServiceMonitor that cannot be made, and of scrapes that are too rare for the rates of the recording rules."""
    helm = Helm(admitting.kubeconfig)
    options = ("upgrade", "--install", "notes", str(CHART), "--namespace=pantala-system", "--dry-run=server")
    metrics = {"serviceMonitor": {"enabled": True, **monitor}, "service": {"enabled": False}}
    values = {"crds": {"enabled": False}, "metrics": metrics}
    words = " ".join(helm.run(*options, values=values).partition("NOTES:")[2].split())
    assert "WARNING: the operator has no ServiceMonitor: it needs metrics.service.enabled=true." in words
    assert ("scraped too rarely for rates over 1m: set metrics.serviceMonitor.interval" in words) == warns
