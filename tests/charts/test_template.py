"""What the chart renders: without a cluster, by the real Helm."""

import json
import re
import subprocess
import sys
from typing import Any, get_args

import pytest
import yaml

from pantala.api.accelerator import Provider
from pantala.cli import accelerators, autoscaling
from pantala.cli.operator import operator
from pantala.cluster.resources import OPTIONAL, WATCHED, WRITTEN
from pantala.manifest.settings import AcceleratorSettings, AutoscalingSettings, MonitorSettings, Settings
from pantala.runtimes import registry
from tests.charts import rights
from tests.charts.helm import CHART, ROOT, Helm, HelmError, documents, of_kind
from tests.charts.values import SETS
from tests.golden import assert_golden

COPIES = tuple(f"# Source: pantala/templates/{name}.yaml" for name in ("crds", "dashboards", "alerts"))
"""How parts begin that are files of the chart as they are."""


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm without a cluster."""
    return Helm()


@pytest.mark.parametrize("name", SETS)
def test_lint_is_strict(helm: Helm, name: str) -> None:
    """No set of values makes `helm lint --strict` complain."""
    output = helm.run("lint", "--strict", str(CHART), "--kube-version=1.36.0", values=SETS[name])
    assert "0 chart(s) failed" in output
    assert "[WARNING]" not in output


def test_the_default_is_as_it_was(helm: Helm) -> None:
    """The default values render to the golden file, copies of files apart: the CRD, dashboards and alerts."""
    parts = re.split("^---\n", helm.template(), flags=re.MULTILINE)
    assert_golden("chart-default/rendered.yaml", "---\n".join(part for part in parts if not part.startswith(COPIES)))


def test_the_crd_is_that_of_the_repository(helm: Helm) -> None:
    """The copy equals crds/, what is rendered differs from it by labels and the annotation that keeps it at uninstall."""
    done = subprocess.run(
        [sys.executable, ROOT / "charts/sync-crds.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    (rendered,) = of_kind(documents(helm.template()), "CustomResourceDefinition")
    (source,) = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered["metadata"].pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
    assert rendered == source


def test_the_crd_can_be_somebody_elses(helm: Helm) -> None:
    """crds.enabled=false leaves it out."""
    assert of_kind(documents(helm.template({"crds": {"enabled": False}})), "CustomResourceDefinition") == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image": {"tagg": "1"}}, "at '/image': additional properties 'tagg' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"log": {"level": "loud"}}, "at '/log/level': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"watchNamespaces": "team-a"}, "at '/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Team"]}, "at '/watchNamespaces/0': 'Team' does not match pattern"),
        ({"image": {"digest": "sha256:12"}}, "at '/image/digest': 'sha256:12' does not match pattern"),
        ({"settings": {"dragonflySocketFolder": "run"}}, "at '/settings/dragonflySocketFolder': 'run' does not match"),
        ({"settings": {"cacheHostPaths": ["/var"]}}, "at '/settings/cacheHostPaths/0': '/var' does not match pattern"),
        ({"settings": {"cacheHostPaths": ["/a/../b"]}}, "at '/settings/cacheHostPaths/0': '/a/../b' does not match"),
        ({"tracing": {"otlpEndpoint": "otel:4318"}}, "at '/tracing/otlpEndpoint': 'otel:4318' does not match pattern"),
        ({"dragonfly": {"nodePortService": {"nodePort": "x"}}}, "nodePort': got string, want integer"),
        ({"resource": {}}, "additional properties 'resource' not allowed"),
        (
            {"autoscaling": {"keda": {"prometheusUrl": "http://user:secret@prometheus"}}},
            "at '/autoscaling/keda/prometheusUrl': 'http://user:secret@prometheus' does not match pattern",
        ),
        (
            {"autoscaling": {"keda": {"prometheusUrl": "http://prometheus/x?token=y"}}},
            "at '/autoscaling/keda/prometheusUrl': 'http://prometheus/x?token=y' does not match pattern",
        ),
        *(
            ({"prometheus": {"url": url}}, f"at '/prometheus/url': '{url}' does not match pattern")
            for url in ("https://token@prometheus", "https://prometheus?token=x", "https://prometheus/x#token")
        ),
        (
            {"autoscaling": {"keda": {"authenticationRef": {"kind": "Secret"}}}},
            "at '/autoscaling/keda/authenticationRef/kind': value must be one of 'ClusterTriggerAuthentication'",
        ),
        (
            {"metrics": {"serviceMonitor": {"interval": "30s1m"}}},
            "at '/metrics/serviceMonitor/interval': '30s1m' does not match pattern",
        ),
        (
            {"metrics": {"serviceMonitor": {"labels": {"release": "a b"}}}},
            "at '/metrics/serviceMonitor/labels/release': 'a b' does not match pattern",
        ),
        (
            {"accelerators": {"default": "amd"}},
            "at '/accelerators/default': value must be one of 'nvidia', 'mig', 'hami'",
        ),
        (
            {"accelerators": {"pools": [{"provider": "mig"}]}},
            "at '/accelerators/pools/0': missing property 'nodeSelector'",
        ),
        (
            {"accelerators": {"pools": [{"nodeSelector": {}, "provider": "mig"}]}},
            "at '/accelerators/pools/0/nodeSelector': minProperties: got 0, want 1",
        ),
        (
            {"accelerators": {"pools": [{"nodeSelector": {"a": "b,c=d"}, "provider": "mig"}]}},
            "at '/accelerators/pools/0/nodeSelector/a': 'b,c=d' does not match pattern",
        ),
        (
            {"accelerators": {"sharedResource": "gpu"}},
            "at '/accelerators/sharedResource': 'gpu' does not match pattern",
        ),
        ({"accelerators": {"aliyunUnit": "GB"}}, "at '/accelerators/aliyunUnit': value must be one of 'GiB', 'MiB'"),
        (
            {"accelerators": {"resourceNames": {"gpumem": "example.com/gpumem"}}},
            "at '/accelerators/resourceNames': additional properties 'gpumem' not allowed",
        ),
    ],
)
def test_wrong_values_are_refused(helm: Helm, values: dict[str, Any], words: str) -> None:
    """A typo or a wrong type is an error that names the place."""
    with pytest.raises(HelmError) as refused:
        helm.template(values)
    assert words in str(refused.value)


def test_every_value_is_in_the_schema() -> None:
    """Schema and values.yaml name the same values, so that none is refused and none is undocumented."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def check(where: str, part: dict[str, Any], value: Any) -> None:
        if part.get("additionalProperties") is not False or not isinstance(value, dict):
            return
        known = set(part["properties"]) - {"global", "claims"}
        assert known == set(value), where
        for name in known:
            check(f"{where}.{name}", part["properties"][name], value[name])

    check("values", schema, values)


def test_an_old_kubernetes_is_refused(helm: Helm) -> None:
    """1.31 is the oldest that is supported; providers' suffixes do not matter."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1\.31\.0-0"):
        helm.template(None, "--kube-version=1.30.9")
    assert helm.template(None, "--kube-version=1.31.2-gke.100")


@pytest.mark.parametrize("name", SETS)
def test_the_operator_understands_its_arguments(helm: Helm, name: str) -> None:
    """The command line of the container is one that `pantala operator` parses."""
    (deployment,) = of_kind(documents(helm.template(SETS[name])), "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[0] == "operator"
    context = operator.make_context("operator", arguments[1:])
    assert list(context.params["namespaces"]) == SETS[name].get("watchNamespaces", [])
    assert context.params["lease_namespace"] == "pantala-system"


def test_settings_reach_the_operator(helm: Helm) -> None:
    """Images, log and registry of the values are those of the command line; the fetcher is the operator's own image."""
    (deployment,) = of_kind(documents(helm.template(SETS["everything"])), "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"registry.example.com/pantala@sha256:{'0' * 64}"
    given = dict(argument.split("=", 1) for argument in container["args"][1:] if "=" in argument)
    assert given["--fetcher-image"] == container["image"]
    assert given["--triton-image"] == "example.com/triton:1"
    assert given["--torchserve-image"] == "example.com/torchserve:1"
    assert given["--log-level"] == "debug"
    assert given["--dragonfly-socket-folder"] == "/run/p2p"
    assert [item for item in container["args"] if "cache-host" in item] == ["--cache-host-path=/srv/models"]
    assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel.monitoring:4318"} in container["env"]
    (other,) = of_kind(documents(helm.template({"settings": {"fetcherImage": "example.com/f:1"}})), "Deployment")
    assert "--fetcher-image=example.com/f:1" in other["spec"]["template"]["spec"]["containers"][0]["args"]


def test_accelerators_reach_the_operator(helm: Helm) -> None:
    """The values are the settings that the operator runs with; by default those that it has by itself."""

    def made(values: dict[str, Any]) -> AcceleratorSettings:
        (deployment,) = of_kind(documents(helm.template(values)), "Deployment")
        args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        return accelerators.settings(dict(operator.make_context("operator", args[1:]).params))

    assert made({}) == AcceleratorSettings()
    assert made(SETS["everything"]) == AcceleratorSettings(
        provider="hami",
        pools=(({"example.com/zone": "a", "pool": "slices"}, "mig"), ({"bare": ""}, "dra")),
        shared_resource="nvidia.com/gpu",
        aliyun_unit="MiB",
        resource_names={"nvidia.com/gpumem": "example.com/gpumem"},
    )


def test_measures_reach_the_operator(helm: Helm) -> None:
    """The values are the settings that the operator runs with; by default those that it has by itself, and models get no monitor."""

    def made(values: dict[str, Any]) -> tuple[AutoscalingSettings, MonitorSettings | None]:
        (deployment,) = of_kind(documents(helm.template(values)), "Deployment")
        args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        given = dict(operator.make_context("operator", args[1:]).params)
        return autoscaling.settings(given), autoscaling.monitor(given)

    assert made({}) == (AutoscalingSettings(), None)
    assert made({"metrics": {"serviceMonitor": {"enabled": True}}})[1] == MonitorSettings()
    assert made(SETS["everything"]) == (
        AutoscalingSettings(
            keda_prometheus_url="http://thanos.monitoring:9090",
            keda_authentication=("TriggerAuthentication", "prometheus"),
            pod_label="pod_name",
            namespace_label="pod_namespace",
            shared_per_process=True,
        ),
        MonitorSettings("1m30s", {"release": "a", "b.io/c": ""}),
    )


def test_every_provider_is_in_the_schema() -> None:
    """The values take the providers that a resource may name, and the names of resources that can be others; nothing else."""
    values = json.loads((CHART / "values.schema.json").read_text())["properties"]["accelerators"]["properties"]
    known = list(get_args(Provider))
    names = "".join(values["resourceNames"]["patternProperties"])
    assert all(re.match(names, name) for name in accelerators.RENAMED)
    assert not re.match(names, "nvidia.com/gpu.shared")
    assert values["default"]["enum"] == values["pools"]["items"]["properties"]["provider"]["enum"] == known


def test_the_folders_of_caches(helm: Helm) -> None:
    """By default the chart allows what the operator allows by itself; an empty list allows none."""

    def allowed(values: dict[str, Any]) -> list[str]:
        (deployment,) = of_kind(documents(helm.template(values)), "Deployment")
        args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        return [item.partition("=")[2] for item in args if item.startswith("--cache-host-path")]

    assert tuple(allowed({})) == Settings().cache_host_paths
    assert allowed({"settings": {"cacheHostPaths": []}}) == [""]


def test_every_runtime_with_an_image_has_a_setting() -> None:
    """A new model server's default image can be set in the values."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    with_image = {name for name, runtime in registry.RUNTIMES.items() if runtime.default_image}
    assert set(values["settings"]["runtimeImages"]) == with_image


def test_rights_cover_what_the_cache_and_the_writer_need(helm: Helm) -> None:
    """Every kind that the code watches and writes is in the rules; nothing on Secrets, no wildcard."""
    (role, *_) = of_kind(documents(helm.template({"rbac": {"aggregateToDefaultRoles": False}})), "ClusterRole")
    found = rights.granted([role])
    for resource in (*WATCHED, *OPTIONAL):
        assert {("list", resource.group, resource.plural), ("watch", resource.group, resource.plural)} <= found
    for resource in WRITTEN:
        assert {(verb, resource.group, resource.plural) for verb in ("create", "patch", "delete")} <= found
    assert not [right for right in found if "secrets" in right or "*" in right]


def test_nodes_are_watched_unless_told_otherwise(helm: Helm) -> None:
    """With `accelerators.watchNodes=false` there is no right on nodes, and the operator does not ask for them."""
    for values, watched in (({}, True), ({"accelerators": {"watchNodes": False}}, False)):
        objects = documents(helm.template(values))
        (deployment,) = of_kind(objects, "Deployment")
        args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        nodes = {right for right in rights.granted(of_kind(objects, "ClusterRole")) if right[2] == "nodes"}
        assert nodes == ({("list", "", "nodes"), ("watch", "", "nodes")} if watched else set())
        assert ("--no-watch-nodes" in args) is not watched


def test_role_only_mode_has_nothing_cluster_wide(helm: Helm) -> None:
    """With watchNamespaces there are Roles with the same rules in each of them, and no ClusterRole.

    Gateways are in other namespaces, and nodes in none, so only a ClusterRole names them.
    """
    objects = documents(helm.template({"watchNamespaces": ["team-a", "team-b"], "crds": {"enabled": False}}))
    assert not [obj for obj in objects if obj["kind"].startswith("Cluster")]
    roles = {role["metadata"]["namespace"]: role for role in of_kind(objects, "Role")}
    assert set(roles) == {"team-a", "team-b", "pantala-system"}
    (cluster_role,) = [
        role
        for role in of_kind(documents(helm.template()), "ClusterRole")
        if not any("aggregate" in label for label in role["metadata"]["labels"])
    ]
    namespaced = [rule for rule in cluster_role["rules"] if rule["resources"] not in (["gateways"], ["nodes"])]
    assert len(namespaced) == len(cluster_role["rules"]) - 2
    assert roles["team-a"]["rules"] == roles["team-b"]["rules"] == namespaced


def test_a_budget_comes_with_the_second_operator(helm: Helm) -> None:
    """One replica has no budget, which would block every drain; two have one, and prefer different nodes."""
    assert of_kind(documents(helm.template()), "PodDisruptionBudget") == []
    objects = documents(helm.template({"replicas": 2}))
    assert len(of_kind(objects, "PodDisruptionBudget")) == 1
    assert "podAntiAffinity" in of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["affinity"]


def test_a_service_monitor_needs_its_crd(helm: Helm) -> None:
    """Asked for, it is made only where the cluster knows the kind; the metrics Service has the port that it names."""
    values = {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}}
    assert of_kind(documents(helm.template(values)), "ServiceMonitor") == []
    objects = documents(helm.template(values, "--api-versions=monitoring.coreos.com/v1/ServiceMonitor"))
    (monitor,) = of_kind(objects, "ServiceMonitor")
    (service,) = of_kind(objects, "Service")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_the_proxies_can_have_a_node_port(helm: Helm) -> None:
    """Asked for, there is a Service in Dragonfly's namespace with the port of the proxy; it selects clients, not seed peers."""
    assert all(service["metadata"]["name"] != "dfstore" for service in of_kind(documents(helm.template()), "Service"))
    (given,) = _dfstore(helm, {"namespace": "p2p", "nodePort": 30401})
    assert given["metadata"]["namespace"] == "p2p"
    assert (given["spec"]["type"], given["spec"]["selector"]) == ("NodePort", {"component": "client"})
    (port,) = given["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["nodePort"]) == (4001, 4001, 30401)
    (default,) = _dfstore(helm, {})
    assert default["metadata"]["namespace"] == "dragonfly-system"
    assert "nodePort" not in default["spec"]["ports"][0]


def _dfstore(helm: Helm, values: dict[str, Any]) -> list[dict[str, Any]]:
    objects = documents(helm.template({"dragonfly": {"nodePortService": {"enabled": True, **values}}}))
    return [service for service in of_kind(objects, "Service") if service["metadata"]["name"] == "dfstore"]


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://otel.monitoring:4318", 4318), ("https://otel.example.com/v1", 443), ("http://otel.example.com", 80)],
)
def test_the_collector_can_be_reached(helm: Helm, url: str, port: int) -> None:
    """The network policy lets spans out to the port of the collector; without a collector there is no such rule."""
    policy = {"networkPolicy": {"enabled": True}}
    (before,) = of_kind(documents(helm.template(policy)), "NetworkPolicy")
    (after,) = of_kind(documents(helm.template(policy | {"tracing": {"otlpEndpoint": url}})), "NetworkPolicy")
    added = [rule for rule in after["spec"]["egress"] if rule not in before["spec"]["egress"]]
    assert added == [{"ports": [{"port": port, "protocol": "TCP"}]}]
