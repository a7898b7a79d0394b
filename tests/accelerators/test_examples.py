"""Vendors' documented examples, said in our fields, give the same resources and annotations."""

from collections import Counter
from typing import Any

import pytest
import yaml

from pantala.accelerators.base import Claim
from pantala.accelerators.registry import PROVIDERS
from pantala.manifest.types import Manifest
from tests.accelerators.claims import claimed
from tests.accelerators.examples import EXAMPLES, Example

MAPS = ("limits", "annotations", "nodeSelector", "env")
LISTS = ("tolerations", "requires")
WORDS = ("schedulerName", "claim")


def read(text: str) -> dict[str, Any]:
    """An example's YAML in one form, numbers as text."""
    found = yaml.safe_load(text)
    assert set(found) <= {*MAPS, *LISTS, *WORDS}, found
    return {
        **{key: {name: str(value) for name, value in found.get(key, {}).items()} for key in MAPS},
        **{key: sorted(map(str, found.get(key, []))) for key in LISTS},
        **{key: found.get(key) for key in WORDS},
    }


def rendered(made: Claim) -> dict[str, Any]:
    """What a claim puts into a pod, in the same form."""
    requires = [" ".join([it["key"], it["operator"], *it.get("values", ())]) for it in made.parts.node_requirements]
    return {
        "limits": dict(made.parts.limits),
        "annotations": dict(made.parts.annotations),
        "nodeSelector": {},
        "env": {it["name"]: it["value"] for it in made.parts.env},
        "tolerations": [],
        "requires": sorted(requires),
        "schedulerName": made.parts.scheduler_name,
        "claim": made.template,
    }


def changed(theirs: dict[str, Any], less: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The vendor's example without what is said to be missing, and with what is said to be beside it."""
    for key in (*MAPS, *LISTS):
        assert all(item in theirs[key] for item in less[key]), f"{key} of less is not in the example"
    assert all(theirs[key].get(name) == value for key in MAPS for name, value in less[key].items())
    assert all(less[key] is None or less[key] == theirs[key] for key in WORDS)
    maps = {
        key: {name: value for name, value in theirs[key].items() if name not in less[key]} | more[key] for key in MAPS
    }
    lists = {key: sorted([it for it in theirs[key] if it not in less[key]] + more[key]) for key in LISTS}
    return maps | lists | {key: more[key] or (theirs[key] if less[key] is None else None) for key in WORDS}


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{it.vendor}: {it.title}" for it in EXAMPLES])
def test_the_same_as_the_vendors(example: Example) -> None:
    """Our block gives what the vendor's example asks for, but for the differences that are said and explained."""
    block: Manifest = yaml.safe_load(example.ours)
    less, more = read(example.less), read(example.more)
    assert rendered(claimed(block, example.settings)) == changed(read(example.theirs), less, more)
    differs = any([*less.values(), *more.values()])
    assert differs == bool(example.why)
    assert example.why.endswith("." if differs else "")


def test_every_vendor_has_examples() -> None:
    """There is an example for each provider, with a link, and no two have the same name."""
    found = Counter(yaml.safe_load(it.ours)["provider"] for it in EXAMPLES)
    assert set(PROVIDERS) == set(found)
    least = {"hami": 6, "volcano": 3, "tencent": 2, "aliyun": 2, "dra": 4}
    assert all(found[name] >= count for name, count in least.items())
    assert len({(it.vendor, it.title) for it in EXAMPLES}) == len(EXAMPLES)
    assert all(it.link.startswith("https://") for it in EXAMPLES)
