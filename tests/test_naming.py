"""Names of children: readable, short enough, and never the same for two versions of one model."""

import string

import pytest

from pantala import naming


def test_a_short_name_is_kept() -> None:
    """Up to 52 characters a child is called `<model>-<version>`."""
    assert naming.child_name("resnet", "v1") == "resnet-v1"
    longest = naming.child_name("m" * 49, "v1")
    assert longest == "m" * 49 + "-v1"
    assert len(longest) == naming.MAX_CHILD_NAME


def test_a_long_name_is_cut_and_hashed() -> None:
    """Beyond 52 characters the name is cut and ends in eight hexadecimal digits of a hash of model and version."""
    name = naming.child_name("m" * 50, "v1")
    assert len(name) == naming.MAX_CHILD_NAME
    head, _, tail = name.rpartition("-")
    assert head == "m" * 43
    assert len(tail) == 8
    assert set(tail) <= set(string.hexdigits.lower())


def test_cut_names_do_not_collide() -> None:
    """Names that are equal up to the cut differ in their hash, also where only the place of the dash differs."""
    names = {naming.child_name("m" * 52, f"v{number}") for number in range(100)}
    names |= {naming.child_name("m" * 50 + "-a", "b"), naming.child_name("m" * 50, "a-b")}
    assert len(names) == 102


@pytest.mark.parametrize("length", range(40, 54))
def test_a_cut_name_is_a_name(length: int) -> None:
    """Wherever the cut falls, the name stays a DNS label that leaves room for the suffixes of ReplicaSet and pod."""
    name = naming.child_name("m" * (length - 1) + "-x-y-z-more-of-it", "v1")
    assert len(name) <= naming.MAX_CHILD_NAME
    assert "--" not in name
    assert name[-1] != "-"
    assert len(name) + 11 <= 63


def test_selector_is_part_of_the_labels() -> None:
    """What a Deployment selects are labels that every object of the version carries."""
    labels = naming.labels("resnet", "v1")
    assert naming.selector("v1", "resnet").items() <= labels.items()
    assert naming.LABEL_VERSION not in naming.labels("resnet")
