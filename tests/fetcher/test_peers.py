"""Through real dfdaemons, around a stand-in for the scheduler: who gave which bytes, and that they are the right ones."""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from pantala.fetcher.dfdaemon import Download, request
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.source import PeerSource
from tests.cluster.addons.dragonfly import Dragonfly
from tests.fetcher.through import MEASURED, Bucket, Meter
from tests.fetcher.tools import MIB, SECRET, tree

pytestmark = pytest.mark.p2p
SIZE = 21 * MIB + 5
FAIL = ("--fallback", "fail")


def test_cold_then_from_a_peer_then_local(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """The origin is read once; the second node has it from the first, and again from itself; every byte is accounted for."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    meter = Meter(dragonfly, bucket_p2p.origin)
    cold, remote, local = (bucket_p2p.fetch(dragonfly[name], "w") for name in ("n1", "n2", "n2"))
    for result in (cold, remote, local):
        assert result.code == 0, result.log
    assert [tree(folder) for folder in bucket_p2p.folders()] == [{"w": content}] * 3
    nothing = {"origin": 0, "peer": 0, "local": 0, "cache": 0}
    assert cold.bytes == {**nothing, "origin": SIZE}
    assert remote.bytes == {**nothing, "peer": SIZE}
    assert local.bytes == {**nothing, "local": SIZE}
    assert remote.message["parents"] == {"n1": SIZE}
    assert all(result.message["direct"] == 0 and "fallback" not in result.message for result in (cold, remote, local))
    meter.agrees(cold, remote, local)


ODD = ["a b.bin", "ü/ß.bin", "what?x=1&y=2", "a#b", "100%25", "p+q", "~-_.!*'()", "semi;colon,comma"]


@pytest.mark.parametrize("key", ODD)
def test_the_identity_is_what_dfdaemon_says(bucket_p2p: Bucket, dragonfly: Dragonfly, key: str) -> None:
    """Whatever is in a key: the name that we compute is the one that dfdaemon reports, and the object is the right one."""
    content = os.urandom(5 * MIB)
    bucket_p2p.put(key, content)
    keys = bucket_p2p.store.credentials
    fields = {"region": "us-east-1", "endpoint": bucket_p2p.origin.endpoint}
    fields |= {"access_key_id": keys["AWS_ACCESS_KEY_ID"], "access_key_secret": keys["AWS_SECRET_ACCESS_KEY"]}
    source = PeerSource(f"s3://{bucket_p2p.name}/", object_storage=fields, secret="k", endpoint="e")
    file = RemoteFile(key, key, len(content), '"etag"', None)
    download = Download(dragonfly["n1"].socket, request(source, file, only_peers=False, span=None), key)
    got = b"".join(piece.content for piece in sorted(download.pieces(), key=lambda piece: piece.offset))
    download.close()
    assert download.task_id == source.task_id(key, file.etag)
    assert got == content


def test_odd_names_arrive(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """The whole command brings such files through the peers too."""
    files = {key: os.urandom(5 * MIB) for key in ODD}
    for key, content in files.items():
        bucket_p2p.put(f"odd/{key}", content)
    result = bucket_p2p.fetch(dragonfly["n1"], "odd")
    assert result.code == 0, result.log
    assert tree(bucket_p2p.newest()) == files
    assert result.message["direct"] == 0


def test_two_keys_never_share_a_task(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """Who reads with another key is another tenant: its fetch reads the origin again. A rotated key is such a miss."""
    store, content = bucket_p2p.store, os.urandom(SIZE)
    bucket_p2p.put("w", content)
    assert bucket_p2p.fetch(dragonfly["n1"], "w").bytes["origin"] == SIZE
    other = store.add_key("ROTATED0123456789", SECRET)
    try:
        rotated = bucket_p2p.fetch(dragonfly["n1"], "w", env=other)
    finally:
        store.remove_key("ROTATED0123456789")
    assert rotated.code == 0, rotated.log
    assert rotated.bytes["origin"] == SIZE
    assert bucket_p2p.fetch(dragonfly["n1"], "w").bytes["local"] == SIZE
    assert SECRET not in rotated.log + rotated.raw + rotated.out


def test_an_object_overwritten_in_place_is_read_anew(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """The etag is in the tag: what the daemons hold of the old object is served to nobody who listed the new one."""
    old, new = os.urandom(SIZE), os.urandom(SIZE)
    bucket_p2p.put("w", old)
    assert bucket_p2p.fetch(dragonfly["n1"], "w").code == 0
    bucket_p2p.put("w", new)
    result = bucket_p2p.fetch(dragonfly["n2"], "w")
    assert result.bytes["origin"] == SIZE
    assert tree(bucket_p2p.newest()) == {"w": new}


def test_small_files_go_direct(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """Many files, large and small, at once: what has 4 MiB at most is read from the store, and the ledger says so."""
    files = {f"{number}.bin": os.urandom(9 * MIB + number) for number in range(5)}
    files |= {f"small/{number}": os.urandom(number * 1000) for number in range(20)} | {"edge": os.urandom(4 * MIB)}
    for name, content in files.items():
        bucket_p2p.put(f"m/{name}", content)
    meter = Meter(dragonfly, bucket_p2p.origin)
    result = bucket_p2p.fetch(dragonfly["n2"], "m")
    assert result.code == 0, result.log
    assert tree(bucket_p2p.newest()) == files
    small = sum(len(content) for content in files.values() if len(content) <= 4 * MIB)
    assert result.message["direct"] == small
    assert result.bytes["origin"] == sum(map(len, files.values()))
    assert "fallback" not in result.message
    meter.agrees(result)


def test_with_fail_the_seed_alone_reads_the_origin(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """`--fallback fail` and a seed: small files go through the peers as well, and the origin is read once by the seed."""
    files = {"w": os.urandom(SIZE), "small": os.urandom(1000), "empty": b""}
    for name, content in files.items():
        bucket_p2p.put(f"m/{name}", content)
    size = sum(map(len, files.values()))
    dragonfly.add("seed", seed=True)
    try:
        meter = Meter(dragonfly, bucket_p2p.origin)
        results = [bucket_p2p.fetch(dragonfly[name], "m", *FAIL) for name in ("n1", "n2")]
        for result in results:
            assert result.code == 0, result.log
            assert result.bytes["peer"] == size
            assert result.message["direct"] == 0
        assert "seed-seed" in results[0].message["parents"]
        assert meter.given() == meter.daemons()["origin"] == size
    finally:
        dragonfly.remove("seed")


def test_with_fail_and_without_a_seed_nothing_reads_the_origin(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """Nobody has it and nobody may read it: the reason is named, and the origin has given nothing."""
    bucket_p2p.put("w", os.urandom(SIZE))
    bucket_p2p.origin.forget()
    result = bucket_p2p.fetch(dragonfly["n1"], "w", *FAIL, "--retry-seconds", "1")
    assert (result.code, result.message["reason"]) == (17, "PeersUnavailable"), result.log
    assert "fallback: Fail" in result.message["message"]
    assert bucket_p2p.origin.given() == 0


def test_a_promised_digest_is_checked(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """What comes through the peers is hashed as what comes from the store."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    right = bucket_p2p.fetch(dragonfly["n1"], "w", "--digest", digest)
    assert (right.code, right.message["digest"]) == (0, digest)
    wrong = bucket_p2p.fetch(dragonfly["n1"], "w", "--digest", "sha256:" + "0" * 64)
    assert (wrong.code, wrong.message["reason"]) == (13, "DigestMismatch")


def test_memory_is_bounded(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """Two large files at once: what is in memory does not grow with them."""
    for name in ("a", "b"):
        bucket_p2p.put(f"big/{name}", os.urandom(200 * MIB))
    for source in ("origin", "local"):
        result = bucket_p2p.fetch(dragonfly["n1"], "big", prefix=MEASURED)
        assert result.code == 0, result.log
        assert result.bytes[source] == 400 * MIB
        assert int(re.findall(r"peak (\d+) KiB", result.out)[0]) < 128 * 1024


def test_all_at_once(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """Two nodes begin with the same model at the same time: the origin is read once, and the ledgers add up to that."""
    files = {f"m/{number}": os.urandom(SIZE) for number in range(3)}
    for name, content in files.items():
        bucket_p2p.put(name, content)
    meter = Meter(dragonfly, bucket_p2p.origin)
    with ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda name: bucket_p2p.fetch(dragonfly[name], "m", to=name), ["n1", "n2"]))
    for result in results:
        assert result.code == 0, result.log
    expected = {name.removeprefix("m/"): content for name, content in files.items()}
    assert [tree(folder) for folder in bucket_p2p.folders()] == [expected] * 2
    meter.agrees(*results)
    assert meter.given() == 3 * SIZE


def test_two_on_one_node_at_once(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """The origin is read once, and the ledgers add up to what it gave: the fetches take turns at a file (see `turns`)."""
    content = os.urandom(3 * SIZE)
    bucket_p2p.put("w", content)
    meter = Meter(dragonfly, bucket_p2p.origin)
    with ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda to: bucket_p2p.fetch(dragonfly["n1"], "w", to=to), ["a", "b"]))
    for result in results:
        assert result.code == 0, result.log
        assert sum(result.bytes.values()) == len(content)
    assert [tree(folder) for folder in bucket_p2p.folders()] == [{"w": content}] * 2
    meter.agrees(*results)
    assert meter.given() == len(content)
