"""The options that make an installation's settings."""

import click
import pytest
from click.testing import CliRunner, Result

from pantala.cli import options
from pantala.manifest.settings import Settings

GIVEN: list[Settings] = []


@click.command()
@options.installation
def show(settings: Settings) -> None:
    """A command that takes settings."""
    GIVEN.append(settings)


def run(*arguments: str, **environment: str) -> Result:
    """Run it; the environment has nothing else of ours."""
    return CliRunner().invoke(show, arguments, env={f"PANTALA_{name}": text for name, text in environment.items()})


def settings(*arguments: str, **environment: str) -> Settings:
    """The settings that options and variables make."""
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return GIVEN.pop()


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
    ],
)  # fmt: skip
def test_errors(option: str, text: str, words: str) -> None:
    """What cannot be meant is refused: the message names the option, the value, and what to write."""
    result = run(option, text)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output
    assert words in " ".join(result.output.split())
