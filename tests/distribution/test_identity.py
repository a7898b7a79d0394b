"""What names a task, without a dfdaemon; tests/fetcher/test_peers.py holds it against a real one."""

import itertools

from pantala.distribution.identity import PIECE_LENGTH, tag, task_id
from pantala.fetcher.source import PeerSource


def test_a_task_has_the_name_that_dfdaemon_gives() -> None:
    """The parts and their order are dfdaemon's; the expectation was reported by a real one (1.5.10)."""
    assert task_id("s3://bucket/key", tag="0" * 32, piece_length=PIECE_LENGTH) == EXPECTED


EXPECTED = "1a85f729f2e18ded6c318519b9828605d0c5e1531958fb89b794586201deaa2e"


def test_every_part_of_a_tag_counts() -> None:
    """Another key, endpoint or etag is another tag, and parts cannot lend each other characters."""
    parts = ["", "a", "ab", "b", "é"]
    tags = {tag(*values) for values in itertools.product(parts, repeat=3)}
    assert len(tags) == len(parts) ** 3
    assert all(len(value) == 32 for value in tags)


def test_a_source_shows_no_secret() -> None:
    """Whoever prints a source by accident prints no key."""
    secret = "do-not-show"
    source = PeerSource(
        "s3://b/",
        object_storage={"access_key_secret": secret},
        hdfs={"delegation_token": secret},
        hugging_face={"token": secret},
        model_scope={"token": secret},
        headers={"Authorization": secret},
        secret=secret,
    )
    assert secret not in f"{source!r} {source}"


def test_odd_characters_of_a_key_are_quoted() -> None:
    """A key is one path, whatever is in it."""
    assert PeerSource("s3://b/").url("a b/ü?x#y%z+.bin") == "s3://b/a%20b/%C3%BC%3Fx%23y%25z%2B.bin"


def test_the_revision_is_the_repository_s() -> None:
    """Two revisions of a repository are two tasks."""
    one, two = (PeerSource("hf://o/r/", hugging_face={"revision": name}) for name in ("main", "dev"))
    assert one.revision == "main"
    assert one.task_id("k", "e") != two.task_id("k", "e")
