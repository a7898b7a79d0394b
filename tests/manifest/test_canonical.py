"""Equal values have equal digests."""

from pantala.manifest.canonical import canonical, digest


def test_order_of_keys_means_nothing() -> None:
    """The order in which a map was made is not part of its identity; the order of a list is."""
    assert canonical({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


def test_types_are_told_apart() -> None:
    """A number, its text and a truth value are three values."""
    assert len({digest(value) for value in (1, "1", True, None)}) == 4


def test_digest_is_stable() -> None:
    """The digest is the same on every machine and in every release: a change of it would rewrite every object."""
    assert digest({"kind": "Service", "ports": [80, 443]}) == "ee34e024195ca33a"
