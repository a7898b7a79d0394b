"""`pantala render` without a cluster."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pantala.cli.main import main
from pantala.cli.render import rendered
from pantala.manifest.settings import Settings

GOOD = """\
apiVersion: pantala.dev/v1alpha1
kind: InferenceModel
metadata: {name: resnet}
spec:
  runtime: {name: triton}
  versions:
  - {name: v1, uri: "s3://models/resnet/1/"}
"""


def run(*arguments: str, text: str = GOOD) -> Result:
    """Run the command on a resource on standard input."""
    return CliRunner().invoke(main, ["render", "-", *arguments], input=text)


def objects(result: Result) -> list[dict[str, Any]]:
    """The documents that were printed."""
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def test_order() -> None:
    """What a pod needs is printed before its Deployment, every object in its namespace and with a placeholder for the uid."""
    found = objects(run())
    assert [item["kind"] for item in found] == ["ConfigMap", "Service", "Service", "Deployment"]
    assert {item["metadata"]["namespace"] for item in found} == {"default"}
    owners = {item["metadata"]["ownerReferences"][0]["uid"] for item in found}
    assert owners == {"00000000-0000-0000-0000-000000000000"}
    assert all("pantala.dev/applied" in item["metadata"]["annotations"] for item in found)
    assert run().stdout.count("\n---\n") == 3


def test_brief() -> None:
    """`--brief` hides the operator's books and nothing else."""
    whole, brief = objects(run()), objects(run("--brief"))
    for left, right in zip(whole, brief, strict=True):
        left["metadata"].pop("annotations")
        assert left == right


def test_defaults_are_those_of_the_schema() -> None:
    """A default that the API server would store counts, as if it were written."""
    explicit = GOOD.replace("{name: triton}", "{name: triton, startupTimeout: 30m}") + "  scaling: {minReplicas: 1}\n"
    assert run().stdout == run(text=explicit).stdout


def test_several() -> None:
    """Several documents become their objects one after the other; other kinds are passed over."""
    second = GOOD.replace("name: resnet", "name: other").replace("triton", "torchserve")
    theirs = "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferenceModel\nmetadata: {name: theirs}\n"
    found = objects(run(text=f"{GOOD}---\n{theirs}---\n{second}"))
    assert [item["metadata"]["name"] for item in found if item["kind"] == "Deployment"] == ["resnet-v1", "other-v1"]


def test_images() -> None:
    """The images of an installation are options."""
    (deployment,) = objects(run("--fetcher-image", "f:1", "--triton-image", "t:1", "--torchserve-image", "x:1"))[-1:]
    pod = deployment["spec"]["template"]["spec"]
    assert [pod["initContainers"][0]["image"], pod["containers"][0]["image"]] == ["f:1", "t:1"]


def test_json() -> None:
    """`-o json` is a List of the same objects."""
    assert json.loads(run("-o", "json").stdout)["items"] == objects(run())


def test_paused() -> None:
    """A paused model becomes nothing, and that is said."""
    result = run(text=GOOD + "  paused: true\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "default/resnet: spec.paused is set, so the operator writes nothing.\n"


def test_autoscaler_that_cannot_be_written() -> None:
    """Without an address of Prometheus there is no ScaledObject, and that is said; with one there is."""
    block = "  scaling: {maxReplicas: 2, engine: KEDA, metrics: [{type: QueueLength, target: 4}]}\n"
    result = run(text=GOOD + block)
    assert "ScaledObject" not in {obj["kind"] for obj in objects(result)}
    assert "version v1: KEDA is not told where Prometheus is" in result.stderr
    assert result.stderr.endswith(" Here: --keda-prometheus-url URL.\n")
    result = run("--keda-prometheus-url", "http://prometheus:9090", text=GOOD + block)
    assert "ScaledObject" in {obj["kind"] for obj in objects(result)}
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("old", "new", "options", "words"),
    [
        ("triton}", "trition}", (), '-:5: resnet: spec.runtime.name: Unsupported value: "trition"'),
        ("uri:", "url:", (), "spec.versions[0].url: unknown field: did you mean uri?"),
        ("name: resnet", "namespace: a, name: resnet", ("-n", "b"), "metadata.namespace is a and --namespace is b."),
        ("v1alpha1", "v9", (), "apiVersion: pantala.dev/v9 is not served: write pantala.dev/v1alpha1"),
        ("{name: resnet}", "{}", (), "metadata.name: Required value"),
        ("InferenceModel", "Secret", (), "-: holds no InferenceModel of pantala.dev/v1alpha1"),
        ("{name: resnet}", "{name", (), "-: cannot be read: "),
    ],
)
def test_errors(old: str, new: str, options: tuple[str, ...], words: str) -> None:
    """What cannot be rendered ends with 2; the error names the field and the value."""
    result = run(*options, text=GOOD.replace(old, new))
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_missing_file(tmp_path: Path) -> None:
    """A file that does not exist ends with 2."""
    result = CliRunner().invoke(main, ["render", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_namespace() -> None:
    """The namespace of the resource, else the one that is asked for."""
    assert {item["metadata"]["namespace"] for item in objects(run("-n", "vision"))} == {"vision"}
    named = GOOD.replace("{name: resnet}", "{name: resnet, namespace: own}")
    assert {item["metadata"]["namespace"] for item in objects(run(text=named))} == {"own"}


def test_same_twice() -> None:
    """Rendering is a function: the same file gives the same text."""
    obj = yaml.safe_load(GOOD)
    obj["metadata"]["namespace"] = "default"
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert rendered(obj, None, Settings(), now) == rendered(obj, None, Settings(), now)


SPLIT = """\
apiVersion: pantala.dev/v1alpha1
kind: InferenceModel
metadata: {name: resnet}
spec:
  runtime: {name: triton}
  versions:
  - {name: v1, uri: "s3://models/resnet/1/"}
  - {name: v2, uri: "s3://models/resnet/2/"}
  - {name: v3, uri: "s3://models/resnet/3/"}
  traffic:
    split: [{version: v1, weight: 80}, {version: v2, weight: 20}]
    mirrors: [{version: v3, percent: 25}]
    rateLimit: {requests: 10}
  expose: {}
"""
HOSTED = ("--gateway", "istio-system/ingress", "--domain", "models.example.com")


def kinds(result: Result) -> list[str]:
    """The kinds that were printed."""
    return [item["kind"] for item in objects(result)]


def test_routes_of_istio() -> None:
    """With `--mesh istio` the routes come last, with the shares, the mirror and the host of when all versions are ready."""
    result = run("--mesh", "istio", *HOSTED, text=SPLIT)
    found = objects(result)
    routes = [item for item in found if item["kind"] == "VirtualService"]
    assert found[-len(routes) :] == routes
    assert {host for route in routes for host in route["spec"]["hosts"]} >= {"resnet.default.models.example.com"}
    for rule in [rule for route in routes for rule in route["spec"]["http"]]:
        assert [target["weight"] for target in rule["route"]] == [80, 20]
        assert [mirror["percentage"] for mirror in rule["mirrors"]] == [{"value": 25}]
    assert "EnvoyFilter" in kinds(result)
    assert result.stderr == ""


def test_routes_of_the_gateway_api() -> None:
    """With `--mesh gateway-api` there is an HTTPRoute; what it cannot say is an error that names the field and what to do."""
    result = run("--mesh", "gateway-api", *HOSTED, text=SPLIT.replace("    rateLimit: {requests: 10}\n", ""))
    assert "HTTPRoute" in kinds(result)
    assert result.stderr == ""
    refused = run("--mesh", "gateway-api", *HOSTED, text=SPLIT)
    assert refused.exit_code == 2
    assert "traffic.rateLimit: no equivalent in the Gateway API" in refused.stderr
    assert "HTTPRoute" not in refused.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "Choose with --mesh istio or --mesh gateway-api"), (("--mesh", "none"), "traffic.split, traffic.mirrors")],
)
def test_routes_without_a_mesh(options: tuple[str, ...], words: str) -> None:
    """Where nothing is known to carry routes out none are printed, and a note says so; a model without any has no note."""
    result = run(*options, text=SPLIT)
    assert set(kinds(result)) == {"ConfigMap", "Service", "Deployment"}
    assert result.stderr.startswith("default/resnet: ")
    assert words in result.stderr
    assert run(*options).stderr == ""


def test_a_host_that_is_not_allowed() -> None:
    """A host that the namespace may not use is told, as the operator would, and is in no route."""
    text = SPLIT.replace("expose: {}", "expose: {hosts: [resnet.example.org]}")
    result = run("--mesh", "istio", *HOSTED, "--allowed-domain", "*=models.example.com", text=text)
    assert "Namespace default may not use the host resnet.example.org" in result.stderr
    assert "resnet.example.org" not in result.stdout


def test_warnings_of_cards() -> None:
    """What a provider of cards has to say is on standard error, once for the versions that it is about; objects are printed."""
    asked = "  accelerator: {provider: visible-devices, devices: ['0', '1']}\n"
    result = run("--mesh", "istio", *HOSTED, text=SPLIT + asked)
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "default/resnet: version v1, v2, v3: warning: accelerator.devices: nobody reserves these cards"
    )
    found = [item for item in objects(result) if item["kind"] == "Deployment"]
    env = [item["spec"]["template"]["spec"]["containers"][0]["env"] for item in found]
    assert all({"name": "NVIDIA_VISIBLE_DEVICES", "value": "0,1"} in it for it in env)


def test_a_measure_that_never_comes() -> None:
    """A metric of cards that nobody measures is told once for its versions, unless the installation's exporter measures it."""
    asked = (
        "  accelerator: {sharing: MPS}\n  scaling: {maxReplicas: 2, metrics: [{type: GPUUtilization, target: 70}]}\n"
    )
    found = run("--mesh", "istio", *HOSTED, text=SPLIT + asked)
    (line,) = found.stderr.splitlines()
    assert line.startswith(
        "default/resnet: version v1, v2, v3: warning: scaling.metrics: GPUUtilization has no value with provider nvidia: DCGM"
        " measures the whole card"
    )
    assert found.exit_code == 0
    assert run("--mesh", "istio", *HOSTED, "--dcgm-shared-per-process", text=SPLIT + asked).stderr == ""


def test_the_provider_of_an_installation() -> None:
    """The options of an installation choose the provider of a model that names none; what that cannot express is an error."""
    text = GOOD + "  accelerator: {memoryPerCard: 8Gi}\n"
    (deployment,) = objects(run("--accelerator-default", "hami", text=text))[-1:]
    limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "8192"}
    refused = run(text=text)
    assert refused.exit_code == 2
    assert "version v1: accelerator.memoryPerCard: accelerator.provider is not set" in refused.stderr
