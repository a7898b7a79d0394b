"""The options that make an installation's settings."""

from typing import get_args

import pytest

from pantala.api.accelerator import Provider
from pantala.manifest.settings import AcceleratorSettings, Settings
from tests.cli.installation_options import run, settings


def test_defaults() -> None:
    """Without options the settings are those that the code has by itself."""
    assert settings() == Settings()


def test_routes() -> None:
    """Mesh, gateway, domain and the cluster's domain are taken over; names of hosts are in lower case."""
    found = settings(
        *("--mesh", "gateway-api", "--gateway", "istio-system/ingress", "--domain", "Models.Example.com"),
        *("--cluster-domain", "k8s.example.org"),
    )
    assert (found.mesh, found.gateway) == ("gateway-api", ("istio-system", "ingress"))
    assert (found.domain, found.cluster_domain) == ("models.example.com", "k8s.example.org")


def test_allowed_domains() -> None:
    """A namespace may have several domains; * stands for the others, and nothing behind = allows none."""
    pairs = ("vision=models.example.com", "speech=example.org", "vision=vision.example.net", "vision=example.org", "*=")
    found = settings(*(word for pair in pairs for word in ("--allowed-domain", pair)))
    assert found.allowed_domains == {
        "vision": ("models.example.com", "vision.example.net", "example.org"),
        "speech": ("example.org",),
        "*": (),
    }


def test_environment() -> None:
    """Each of them is a variable too, an empty one being none; several domains are parted by spaces."""
    found = settings(
        MESH="istio", GATEWAY="a/b", DOMAIN="example.com", ALLOWED_DOMAINS="a=x.io *=y.io", CLUSTER_DOMAIN="c.local"
    )
    assert (found.mesh, found.gateway, found.domain) == ("istio", ("a", "b"), "example.com")
    assert (found.allowed_domains, found.cluster_domain) == ({"a": ("x.io",), "*": ("y.io",)}, "c.local")
    assert settings(GATEWAY="", DOMAIN="", ALLOWED_DOMAINS="", CLUSTER_DOMAIN="") == Settings()
    assert settings("--gateway=", "--domain=", "--cluster-domain=") == Settings()


def test_accelerators() -> None:
    """The default provider and those of node pools in their order, the units and names of the vendors' resources."""
    found = settings(
        *("--accelerator-default", "hami", "--accelerator-pool", "pool=shared,example.com/zone=a:volcano"),
        *("--accelerator-pool", "pool=:dra", "--accelerator-shared-resource", "nvidia.com/gpu"),
        *("--accelerator-aliyun-unit", "MiB", "--accelerator-resource-name", "nvidia.com/gpu=hami.io/gpu"),
    ).accelerators
    assert found == AcceleratorSettings(
        provider="hami",
        pools=(({"pool": "shared", "example.com/zone": "a"}, "volcano"), ({"pool": ""}, "dra")),
        shared_resource="nvidia.com/gpu",
        aliyun_unit="MiB",
        resource_names={"nvidia.com/gpu": "hami.io/gpu"},
    )
    assert settings(
        ACCELERATOR_DEFAULT="dra",
        ACCELERATOR_POOLS="a=b:hami c=d:mig",
        ACCELERATOR_SHARED_RESOURCE="a.io/b",
        ACCELERATOR_ALIYUN_UNIT="MiB",
        ACCELERATOR_RESOURCE_NAMES="nvidia.com/gpu=a.io/c nvidia.com/gpumem=a.io/d",
    ).accelerators == AcceleratorSettings(
        provider="dra",
        pools=(({"a": "b"}, "hami"), ({"c": "d"}, "mig")),
        shared_resource="a.io/b",
        aliyun_unit="MiB",
        resource_names={"nvidia.com/gpu": "a.io/c", "nvidia.com/gpumem": "a.io/d"},
    )
    empty = ("DEFAULT", "POOLS", "SHARED_RESOURCE", "ALIYUN_UNIT", "RESOURCE_NAMES")
    assert settings(**{f"ACCELERATOR_{name}": "" for name in empty}) == Settings()


def test_names_are_given_once() -> None:
    """One resource has one name, and no two have the same."""
    for pairs in (
        ("nvidia.com/gpu=a.io/b", "nvidia.com/gpu=a.io/c"),
        ("nvidia.com/gpu=a.io/b", "nvidia.com/gpumem=a.io/b"),
    ):
        result = run(*(word for pair in pairs for word in ("--accelerator-resource-name", pair)))
        assert result.exit_code == 2
        assert "is named twice: give each resource one name of its own" in " ".join(result.output.split())


def test_every_provider_can_be_the_default() -> None:
    """The choices are the providers that a resource may name."""
    for provider in get_args(Provider):
        assert settings("--accelerator-default", provider).accelerators.provider == provider


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--mesh", "linkerd", "'linkerd' is not one of 'auto', 'istio', 'gateway-api', 'none'"),
        *(("--gateway", text, "is no NAMESPACE/NAME: write for example istio-system/ingress")
          for text in ("ingress", "istio-system/", "/ingress", "a.b/ingress", "istio-system/ingress/x", "A/b")),
        *(("--domain", text, "is no DNS name: write for example models.example.com")
          for text in ("*.example.com", "https://example.com", "example.com.", "a..b", "-a.com", "a b", "a" * 64, "a." * 126 + "ab")),
        ("--cluster-domain", "cluster_local", "is no DNS name"),
        *(("--allowed-domain", text, "is no NAMESPACE=DOMAIN: write for example vision=models.example.com")
          for text in ("example.com", "=example.com", "vision=*.example.com", "Vision=example.com", "**=example.com", "")),
        ("--accelerator-default", "amd", "'amd' is not one of 'nvidia', 'mig', 'hami', "),
        *(("--accelerator-pool", text, "is no LABEL=VALUE[,LABEL=VALUE]:PROVIDER: write for example pool=shared:hami")
          for text in ("", "hami", ":hami", "pool:hami", "a=b,:hami", "a=b,a=c:hami", "a b=c:hami", "a=b/c:hami", "-a=b:hami", "A/a=b:hami")),
        ("--accelerator-pool", "a=b:amd", "ends with a provider that is not known: write one of nvidia, mig, hami"),
        ("--accelerator-pool", "a=b", "is no LABEL=VALUE[,LABEL=VALUE]:PROVIDER"),
        *(("--accelerator-shared-resource", text, "is no name of a resource: write for example nvidia.com/gpu")
          for text in ("gpu", "nvidia.com/", "/gpu", "NVIDIA.com/gpu", "nvidia.com/gpu shared", "a.io/" + "b" * 64)),
        ("--accelerator-aliyun-unit", "GB", "'GB' is not one of 'GiB', 'MiB'"),
        *(("--accelerator-resource-name", text, "is no RESOURCE=NAME: write for example nvidia.com/gpu=hami.io/gpu")
          for text in ("", "nvidia.com/gpu", "gpu=a.io/b", "a.io/b=", "a.io/b=c", "a.io/b=c.io/d=e")),
        ("--accelerator-resource-name", "nvidia.com/gpu-mem=a.io/b", "begins with a resource that cannot be renamed: known are nvidia.com/gpu, "),
    ],
)  # fmt: skip
def test_errors(option: str, text: str, words: str) -> None:
    """What cannot be meant is refused: the message names the option, the value, and what to write."""
    result = run(option, text)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output
    assert words in " ".join(result.output.split())
