"""What is read out of dfdaemon's answers, and what the termination message makes of it; without a dfdaemon."""

import json
import random
import string
from pathlib import Path

import pytest

from pantala.distribution.identity import PIECE_LENGTH
from pantala.errors import FetchFailure
from pantala.fetcher.dfdaemon import host_of
from pantala.fetcher.job import CHUNK, Job
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.options import Summary
from pantala.fetcher.parts import Parts
from pantala.fetcher.proxied import address_of
from pantala.fetcher.termination import LIMIT, success
from pantala.fetcher.way import Word, from_origin, short

UUID = "0b6b6d5e-8e1b-4f0e-9d3e-0123456789ab"


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        (f"10.0.0.7-node-1-{UUID}", "node-1"),
        (f"10.0.0.7-seed-client-0-{UUID}-seed", "seed-client-0-seed"),
        (f"fd00::7-a-{UUID}", "a"),
        ("something else", "something else"),
        ("", ""),
    ],
)
def test_the_host_of_a_parent(peer: str, host: str) -> None:
    """A peer's id is IP, hostname and a random part; a hostname may have hyphens."""
    assert host_of(peer) == host


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://10.0.0.7:4001", ("10.0.0.7", 4001)),
        ("http://fd00::7:65001", ("fd00::7", 65001)),
        ("http://[fd00::7]:4001/", ("fd00::7", 4001)),
        ("http://proxy", ("proxy", 4001)),
    ],
)
def test_the_address_of_a_proxy(url: str, address: tuple[str, int]) -> None:
    """The kubelet writes a node's address as it is, also one of IPv6."""
    assert address_of(url) == address


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (
            {"message": 'backend error: NotFound (permanent) at stat, context: {} => S3Error { code: "NoSuchKey"'},
            "NotFound",
        ),
        ({"message": "x: PermissionDenied (permanent) at read, context: { status: 403 }"}, "Denied"),
        ({"message": "", "status_code": 403}, "Denied"),
        ({"message": "", "status_code": 401}, "Denied"),
        ({"message": "", "status_code": 404}, "NotFound"),
        ({"message": None, "status_code": 412}, "ChangedWhileReading"),
    ],
)
def test_what_the_origin_said_is_final(backend: dict[str, object], reason: str) -> None:
    """A store's verdict does not change by asking again, and concerns this file alone."""
    trouble = from_origin(backend, "s3://b/k")
    assert trouble.verdict is not None
    assert (trouble.verdict.failure, trouble.final, trouble.alone) == (FetchFailure(reason), True, True)
    assert "s3://b/k" in trouble.verdict.message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_origin_may_get_better(status: int) -> None:
    """These are tried again."""
    trouble = from_origin({"message": "", "status_code": status}, "s3://b/k")
    assert (trouble.word, trouble.final, trouble.verdict) == (Word.FAILED, False, None)


def test_a_text_of_dfdaemon_is_short_and_holds_no_url() -> None:
    """A URL may hold a signature."""
    text = short("failed for https://h/x?X-Amz-Signature=abc and s3://b/k\nthen\x00 " + "long " * 100)
    assert "Signature" not in text
    assert "\n" not in text
    assert len(text) <= 160


def parts(tmp_path: Path, size: int, done: set[int]) -> Parts:
    """A file of which some chunks are there."""
    job = Job(RemoteFile("f", "f", size, "e", None), "n", tmp_path / "f", wants_hash=False)
    job.done = done
    return Parts(job)


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    """Whatever is there in chunks or pieces: the spans cover the rest, each byte once, and end at the file's end."""
    for seed in range(200):
        dice = random.Random(seed)
        size = dice.randrange(1, 5 * CHUNK)
        chunks = -(-size // CHUNK)
        done = {index for index in range(chunks) if dice.random() < 0.4}
        file = parts(tmp_path, size, done)
        offsets = range(0, size, PIECE_LENGTH)
        file.pieces |= {at for at in offsets if at // CHUNK not in done and dice.random() < 0.4}
        wanted = [at for at in offsets if at // CHUNK not in done and at not in file.pieces]
        asked = []
        while (span := file.missing()) is not None:
            assert not file.has(span)
            pieces = list(range(span[0], sum(span), PIECE_LENGTH))
            assert sum(span) == min(size, pieces[-1] + PIECE_LENGTH)
            asked += pieces
            file.pieces.update(pieces)
        assert asked == wanted


def test_a_chunk_is_complete_with_its_last_piece(tmp_path: Path) -> None:
    """In any order; the last chunk may be short."""
    file = parts(tmp_path, CHUNK + PIECE_LENGTH + 1, set())
    offsets = [PIECE_LENGTH, CHUNK + PIECE_LENGTH, 0, CHUNK]
    assert [file.completes(at) for at in offsets] == [None, None, 0, 1]
    assert [file.length(at) for at in (0, CHUNK + PIECE_LENGTH, 1, 99 * CHUNK)] == [PIECE_LENGTH, 1, 0, 0]


def _anything(dice: random.Random) -> Summary:
    letters = string.ascii_letters + 'äß"\\\n🙂'
    text = "".join(dice.choices(letters, k=dice.randrange(3000)))
    parents = {
        "".join(dice.choices(letters, k=dice.randrange(1, 300))): dice.randrange(10**15)
        for _ in range(dice.randrange(9))
    }
    return Summary(
        "sha256:" + "0" * 64,
        dice.choice([None, "sha256:" + "1" * 64]),
        dice.randrange(10**6),
        dice.choice([None, "overlay"]),
        parents=parents,
        retries=dice.randrange(10**6),
        fallback=dice.choice([None, f"DaemonUnavailable: {text}"]),
        asked_peers=True,
    )


def test_the_termination_message_always_fits() -> None:
    """Names and sentences of any length: at most 1 KiB of JSON, with the figures and the word."""
    sources = dict.fromkeys(("origin", "peer", "local", "cache", "proxy"), 10**15)
    for seed in range(500):
        summary = _anything(random.Random(seed))
        text = success(summary, sources, 10**15, 123456.789)
        assert len(text.encode()) <= LIMIT
        content = json.loads(text)
        assert content["bytes"] == sources
        if summary.fallback:
            assert content["fallback"].startswith("DaemonUnavailable: ")
        if "parents" in content:
            assert sum(content["parents"].values()) == sum(summary.parents.values())


def test_the_largest_parents_are_named() -> None:
    """Three, and the rest as one."""
    parents = {"a": 1, "b": 5, "c": 3, "d": 4, "e": 2}
    summary = Summary("sha256:0", None, 1, parents=parents, asked_peers=True)
    content = json.loads(success(summary, {"peer": 15}, 0, 1.0))
    assert content["parents"] == {"b": 5, "d": 4, "c": 3, "others": 3}
