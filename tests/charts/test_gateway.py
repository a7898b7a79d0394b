"""What the chart says of routes: settings of the operator, its gateway, and who measures; without a cluster."""

from typing import Any

import pytest

from tests.charts.helm import Helm, HelmError, documents, of_kind
from tests.charts.values import GATEWAYS
from tests.golden import assert_golden

DOMAIN = {"traffic": {"domain": "models.example.com"}}


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm without a cluster."""
    return Helm()


def arguments(helm: Helm, values: dict[str, Any]) -> list[str]:
    """Arguments of the operator that are about routes."""
    (deployment,) = of_kind(documents(helm.template(values)), "Deployment")
    args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    return [arg for arg in args if arg.startswith(("--mesh", "--gateway", "--domain", "--allowed", "--cluster"))]


def routes(helm: Helm, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The Gateway, and what belongs to it."""
    return [obj for obj in documents(helm.template(values)) if obj["kind"] in {"Gateway", "HTTPRoute"}]


@pytest.mark.parametrize("name", GATEWAYS)
def test_gateways(helm: Helm, name: str) -> None:
    """The gateway of each set of values is that of its golden file."""
    assert_golden(f"chart-gateway/{name}.yaml", routes(helm, GATEWAYS[name]))


def test_there_is_no_gateway_by_default(helm: Helm) -> None:
    """Without being asked the chart makes no gateway and names none; a model must name its own."""
    assert routes(helm, {}) == []
    assert arguments(helm, {}) == ["--mesh=auto", "--cluster-domain=cluster.local"]
    assert routes(helm, DOMAIN) == []


def test_the_gateway_that_is_made_is_the_default(helm: Helm) -> None:
    """It is called as the release, in the release's namespace, unless the values say otherwise."""
    for gateway, named in (
        ({}, "pantala-system/pantala"),
        ({"name": "ingress"}, "pantala-system/ingress"),
        ({"namespace": "istio-system", "name": "ingress"}, "istio-system/ingress"),
    ):
        values = DOMAIN | {"gateway": {"create": True, **gateway}}
        assert f"--gateway={named}" in arguments(helm, values)
        (made,) = routes(helm, values)
        assert f"{made['metadata']['namespace']}/{made['metadata']['name']}" == named


def test_a_gateway_that_is_there_can_be_the_default(helm: Helm) -> None:
    """With a name alone nothing is made, and the name is that of the default gateway."""
    values = {"gateway": {"namespace": "istio-system", "name": "ingress"}}
    assert routes(helm, values) == []
    assert "--gateway=istio-system/ingress" in arguments(helm, values)


def test_domains(helm: Helm) -> None:
    """Every namespace of an entry may use every domain of it; an entry without domains allows none."""
    allowed = [
        {"namespaces": ["vision", "speech"], "domains": ["models.example.com", "example.org"]},
        {"namespaces": ["*"], "domains": []},
    ]
    values = {"traffic": {"mesh": "istio", "domain": "m.io", "clusterDomain": "k8s.local", "allowedDomains": allowed}}
    assert arguments(helm, values) == [
        "--mesh=istio",
        "--domain=m.io",
        "--allowed-domain=vision=models.example.com",
        "--allowed-domain=vision=example.org",
        "--allowed-domain=speech=models.example.com",
        "--allowed-domain=speech=example.org",
        "--allowed-domain=*=",
        "--cluster-domain=k8s.local",
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gateway": {"create": True}}, "at '/traffic/domain': minLength: got 0, want 1"),
        (DOMAIN | {"gateway": {"create": True, "api": "gateway-api"}}, "at '/gateway/className': minLength: got 0"),
        ({"gateway": {"api": "ingress"}}, "at '/gateway/api': value must be one of 'istio', 'gateway-api'"),
        ({"gateway": {"hosts": ["https://a.io"]}}, "at '/gateway/hosts/0': 'https://a.io' does not match pattern"),
        ({"gateway": {"hosts": ["a.*.io"]}}, "at '/gateway/hosts/0': 'a.*.io' does not match pattern"),
        ({"gateway": {"port": 0}}, "at '/gateway/port': minimum: got 0, want 1"),
        ({"gateway": {"tls": {"secretName": "a/b"}}}, "at '/gateway/tls/secretName': 'a/b' does not match pattern"),
        ({"gateway": {"tls": {"credentialName": "a"}}}, "additional properties 'credentialName' not allowed"),
        ({"traffic": {"mesh": "linkerd"}}, "at '/traffic/mesh': value must be one of 'auto', 'istio', 'gateway-api', 'none'"),
        ({"traffic": {"domain": "*.example.com"}}, "at '/traffic/domain': '*.example.com' does not match pattern"),
        ({"traffic": {"domain": "a" * 149}}, "at '/traffic/domain': maxLength: got 149, want 148"),
        ({"traffic": {"clusterDomain": ""}}, "at '/traffic/clusterDomain': "),
        ({"traffic": {"allowedDomains": [{"namespaces": ["a"]}]}}, "missing property 'domains'"),
        ({"traffic": {"allowedDomains": [{"namespaces": [], "domains": []}]}}, "namespaces': minItems: got 0, want 1"),
        ({"traffic": {"allowedDomains": {"a": ["x.io"]}}}, "at '/traffic/allowedDomains': got object, want array"),
        ({"prometheus": {"url": "prometheus:9090"}}, "at '/prometheus/url': 'prometheus:9090' does not match pattern"),
        ({"prometheus": {"url": "http://u:p@prometheus"}}, "at '/prometheus/url': "),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(helm: Helm, values: dict[str, Any], words: str) -> None:
    """A gateway without a host or a class, and what is no name, is an error that names the place."""
    with pytest.raises(HelmError) as refused:
        helm.template(values)
    assert words in str(refused.value)


def test_hosts_of_its_own_need_no_domain(helm: Helm) -> None:
    """A gateway with hosts can be made where there are no automatic ones."""
    (made,) = routes(helm, {"gateway": {"create": True, "hosts": ["*"]}})
    assert made["spec"]["servers"][0]["hosts"] == ["*"]


def test_a_selector_replaces_the_default(helm: Helm) -> None:
    """Labels of the values are the only ones: the pods of another ingress gateway need not have Istio's label too."""
    (made,) = routes(helm, DOMAIN | {"gateway": {"create": True, "selector": {"app": "edge"}}})
    assert made["spec"]["selector"] == {"app": "edge"}


def _pod(helm: Helm, values: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Arguments about Prometheus, and the pod."""
    (deployment,) = of_kind(documents(helm.template(values)), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    return [arg for arg in pod["containers"][0]["args"] if arg.startswith("--prometheus")], pod


def test_prometheus_gets_its_token_from_a_file(helm: Helm) -> None:
    """The token is a file of the container, so that neither arguments nor environment show it, and a new one is read."""
    token = {"name": "prometheus", "key": "bearer"}
    args, pod = _pod(helm, {"prometheus": {"url": "http://prometheus:9090", "tokenSecret": token}})
    (mount,), (volume,) = pod["containers"][0]["volumeMounts"], pod["volumes"]
    assert args == ["--prometheus-url=http://prometheus:9090", f"--prometheus-token-file={mount['mountPath']}/token"]
    assert (mount["name"], mount["readOnly"], "subPath" in mount) == (volume["name"], True, False)
    assert volume["secret"] == {"secretName": "prometheus", "items": [{"key": "bearer", "path": "token"}]}


@pytest.mark.parametrize("values", [{}, {"prometheus": {"tokenSecret": {"name": "prometheus"}}}])
def test_nothing_is_mounted_without_a_url(helm: Helm, values: dict[str, Any]) -> None:
    """Where nothing is measured no token is needed, and a Secret that is not there stops nothing."""
    args, pod = _pod(helm, values)
    assert (args, "volumes" in pod) == ([], False)


@pytest.mark.parametrize(
    ("url", "port"), [("http://prometheus:9090/a", 9090), ("https://prometheus", 443), ("http://a.b.c", 80)]
)
def test_prometheus_can_be_reached(helm: Helm, url: str, port: int) -> None:
    """The network policy lets the operator out to the port of Prometheus."""
    policy: dict[str, Any] = {"networkPolicy": {"enabled": True}}
    (before,) = of_kind(documents(helm.template(policy)), "NetworkPolicy")
    (after,) = of_kind(documents(helm.template(policy | {"prometheus": {"url": url}})), "NetworkPolicy")
    added = [rule for rule in after["spec"]["egress"] if rule not in before["spec"]["egress"]]
    assert added == [{"ports": [{"port": port, "protocol": "TCP"}]}]
