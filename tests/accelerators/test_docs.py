"""docs/accelerators.md against what is built."""

import re
from typing import get_args

import pytest
import yaml

from pantala.accelerators.base import NoUtilization
from pantala.accelerators.registry import PROVIDERS
from pantala.api.accelerator import Accelerator, Provider
from pantala.api.rules_accelerator import FIELDS
from pantala.api.rules_escapes import LIMITER_PATHS, LIMITERS
from tests.accelerators import table
from tests.accelerators.examples import EXAMPLES

TEXT = table.PAGE.read_text()
LEAST = {
    "mig": {"profile": "1g.10gb"},
    "hami": {"memoryPerCard": "8Gi"},
    "volcano": {"memoryPerCard": "8Gi", "corePercent": 50},
    "tencent": {"memoryPerCard": "8Gi", "corePercent": 50},
    "aliyun": {"memoryPerCard": "8Gi"},
    "visible-devices": {"devices": ["0"]},
}
"""A valid ask of each provider that needs more than its name."""


def _cells(provider: str) -> list[str]:
    found = re.search(rf"^\| `{provider}` \|.*$", TEXT, re.MULTILINE)
    assert found, f"the table of providers has no row of {provider}"
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_examples_are_current() -> None:
    """The page has the examples that are tested; `python -m tests.accelerators.table` writes them."""
    assert table.page() == TEXT
    assert all(f"[{example.title}]({example.link})" in TEXT for example in EXAMPLES)


@pytest.mark.parametrize("provider", get_args(Provider))
def test_every_provider_has_a_row(provider: str) -> None:
    """The row of a provider names the fields that it takes, the resources that pods ask for, and its metric or none."""
    _, fields, asks, kept, metric = _cells(provider)
    assert re.findall(r"`(\w+)`", fields) == [field for field, names in FIELDS.items() if provider in names]
    assert kept
    spec = Accelerator.model_validate({"provider": provider, **LEAST.get(provider, {})})
    found = PROVIDERS[provider].utilization(spec)
    if isinstance(found, NoUtilization):
        assert "none" in metric
        assert "DCGM" not in metric
    else:
        assert f"`{found.series}`" in metric
    shown = [it.theirs + it.more for it in EXAMPLES if yaml.safe_load(it.ours)["provider"] == provider]
    for name in re.findall(r"`([a-z.]+/[a-z.-]+)", asks):
        assert any(name in text for text in shown), f"no example of {provider} has {name}"


def test_what_is_refused_is_listed() -> None:
    """The page lists the variables and the paths that the rules refuse."""
    words = set(re.findall(r"`([A-Z_]+|/\S+)`", TEXT))
    assert set(LIMITER_PATHS) <= words
    for name in words:
        assert not name.startswith(("CUDA_", "GPU_", "ACTIVE_")) or re.search(LIMITERS, name) or "VISIBLE" in name
    whole = re.sub(r"\(_\[0-9\]\+\)\?|[\^$]", "", LIMITERS).replace("(MEMORY|SM)", "MEMORY")
    assert set(whole.strip("()").split("|")) <= words
