"""docs/storage.md against the registry: every scheme, every key, and whether it is required."""

import re
from pathlib import Path

import pytest

from pantala.manifest.types import Invalid
from pantala.storage.base import Source
from pantala.storage.registry import STORES

TEXT = (Path(__file__).parents[2] / "docs/storage.md").read_text()
EXAMPLES = {
    "abs": ("abs://models/m", "https://me.blob.core.windows.net"),
    "oss": ("oss://models/m", "https://oss.test"),
    "obs": ("obs://models/m", "https://obs.test"),
    "cos": ("cos://models-1/m", "https://cos.test"),
    "hf": ("hf://owner/repo", None),
    "modelscope": ("modelscope://owner/repo", None),
}


def row(heading: str, scheme: str) -> list[str]:
    """The cells of a scheme's row in the table below a heading."""
    table = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(rf"^\| `{scheme}://`.*$", table, re.MULTILINE)
    assert found, scheme
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def keys(cell: str) -> list[str]:
    """The names in a cell."""
    return re.findall(r"`([A-Z_]+)`", cell)


@pytest.mark.parametrize("scheme", [scheme for scheme in STORES if scheme != "http"])
def test_keys(scheme: str) -> None:
    """Required and optional keys are those that the pod gets, and both ways say how they were tried."""
    cells = row("Keys, and what was tried", scheme)
    uri, endpoint = EXAMPLES.get(scheme, (f"{scheme}://models/m", None))
    access = STORES[scheme].access(Source(uri, endpoint, secret_name="s" if STORES[scheme].keys else None))
    assert not isinstance(access, Invalid), access
    required = [env["name"] for env in access.env if "optional" not in env["valueFrom"]["secretKeyRef"]]
    optional = [env["name"] for env in access.env if "optional" in env["valueFrom"]["secretKeyRef"]]
    assert keys(cells[1]) == required
    assert keys(cells[2]) == optional
    assert cells[5]
    assert cells[6] or scheme == "pvc"


@pytest.mark.parametrize("scheme", [scheme for scheme in STORES if scheme != "http"])
def test_uris(scheme: str) -> None:
    """Every scheme has its form, and says whether it needs an endpoint."""
    found = re.search(rf"^\| [^|]+ \| `{scheme}://.*$", TEXT, re.MULTILINE)
    assert found, scheme
    uri, _ = EXAMPLES.get(scheme, (f"{scheme}://models/m", None))
    secret = "s" if STORES[scheme].keys else None
    refused = isinstance(STORES[scheme].access(Source(uri, secret_name=secret)), Invalid)
    assert ("**required**" in found[0]) == refused
    useless = isinstance(STORES[scheme].access(Source(uri, "https://x.example.com", secret_name=secret)), Invalid)
    assert found[0].split("|")[3].strip().startswith("no effect") == useless
