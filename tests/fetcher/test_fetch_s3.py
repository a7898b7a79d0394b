"""Fetching from a real S3 server (moto)."""

import hashlib
import os
from pathlib import Path

from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import MIB, Proxy, fetch, tree

FILES = {
    "config.json": b"{}",
    "empty": b"",
    "nested/deeper/weights.bin": os.urandom(9 * MIB + 17),
    "with space/ünï ✓ %20#?+&.bin": b"name",
}


def put(s3: S3Server, bucket: str, prefix: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        s3.put(bucket, f"{prefix}/{name}", content)


def test_a_folder_arrives_with_every_name_and_byte(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """Nested folders, an empty file, spaces and unicode arrive unchanged; each byte is read once."""
    put(s3, bucket, "m", FILES)
    result = fetch(to, f"s3://{bucket}/m", "--endpoint", proxy.url)
    assert result.code == 0, result.log
    assert tree(to) == FILES
    size = sum(map(len, FILES.values()))
    assert result.bytes == {"origin": size, "peer": 0, "local": 0, "cache": 0}
    assert result.message["files"] == len(FILES)
    assert proxy.counts.body == size
    assert sum(1 for _ in (to / ".pantala").iterdir()) == 2


def test_a_second_run_reads_nothing(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """A restarted container lists the store and reads 0 bytes; the fingerprint stays."""
    put(s3, bucket, "m", FILES)
    first = fetch(to, f"s3://{bucket}/m", "--endpoint", proxy.url)
    proxy.reset()
    second = fetch(to, f"s3://{bucket}/m", "--endpoint", proxy.url)
    assert (second.code, proxy.counts.reads, proxy.counts.body) == (0, 0, 0)
    assert second.bytes == {"origin": 0, "peer": 0, "local": 0, "cache": sum(map(len, FILES.values()))}
    assert second.message["fingerprint"] == first.message["fingerprint"]
    assert tree(to) == FILES


def test_with_a_digest_a_second_run_asks_nothing(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """What is on disk has the promised digest, so the store is not even listed."""
    s3.put(bucket, "w.bin", FILES["nested/deeper/weights.bin"])
    digest = "sha256:" + hashlib.sha256(FILES["nested/deeper/weights.bin"]).hexdigest()
    args = (f"s3://{bucket}/w.bin", "--endpoint", proxy.url, "--digest", digest)
    assert fetch(to, *args).code == 0
    proxy.reset()
    result = fetch(to, *args)
    assert (result.code, result.message["digest"]) == (0, digest)
    assert (proxy.counts.heads, proxy.counts.lists, proxy.counts.reads) == (0, 0, 0)


def test_weights_on_disk_survive_a_store_that_is_down(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """A container that restarts while the store is unreachable uses what it has, and says so."""
    s3.put(bucket, "w.bin", b"weights")
    args = (f"s3://{bucket}/w.bin", "--endpoint", proxy.url, "--retry-seconds", "0.5")
    assert fetch(to, *args).code == 0
    proxy.fault = lambda *_: 503
    result = fetch(to, *args)
    assert result.code == 0
    assert "the weights on disk are used" in result.log


def test_a_changed_file_on_the_volume_is_fetched_again(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """The marker is not believed blindly."""
    s3.put(bucket, "w.bin", b"weights")
    args = (f"s3://{bucket}/w.bin", "--endpoint", proxy.url)
    assert fetch(to, *args).code == 0
    (to / "w.bin").write_bytes(b"WEIGHTS")
    assert fetch(to, *args).bytes["origin"] == len(b"weights")
    assert tree(to) == {"w.bin": b"weights"}


def test_a_new_object_under_the_same_key_replaces_the_old_one(s3: S3Server, bucket: str, to: Path) -> None:
    """Without a digest the store decides; files that it no longer has go away."""
    put(s3, bucket, "m", {"a": b"1", "b": b"2"})
    args = (f"s3://{bucket}/m", "--endpoint", s3.endpoint)
    first = fetch(to, *args)
    s3.put(bucket, "m/a", b"new")
    s3.delete(bucket, "m/b")
    second = fetch(to, *args)
    assert tree(to) == {"a": b"new"}
    assert first.message["fingerprint"] != second.message["fingerprint"]


def test_two_models_share_a_volume(s3: S3Server, bucket: str, to: Path) -> None:
    """Each removes and replaces only what it has put there itself."""
    s3.put(bucket, "one.bin", b"1")
    s3.put(bucket, "two.bin", b"2")
    for name in ("one", "two", "one"):
        assert fetch(to, f"s3://{bucket}/{name}.bin", "--endpoint", s3.endpoint).code == 0
    assert tree(to) == {"one.bin": b"1", "two.bin": b"2"}


def test_a_strangers_file_is_not_replaced(s3: S3Server, bucket: str, to: Path) -> None:
    """A volume that holds somebody's file of the same name is refused, and the file stays."""
    s3.put(bucket, "w.bin", b"weights")
    to.mkdir()
    (to / "w.bin").write_bytes(b"precious")
    result = fetch(to, f"s3://{bucket}/w.bin", "--endpoint", s3.endpoint)
    assert (result.code, result.message["reason"]) == (15, "Invalid")
    assert "was not put there by pantala fetch" in result.message["message"]
    assert tree(to) == {"w.bin": b"precious"}


def test_a_thousand_small_files(s3: S3Server, bucket: str, to: Path) -> None:
    """Listings have pages (1000 keys), and each file costs one request."""
    s3.put(bucket, "m/big", os.urandom(9 * MIB))
    for number in range(1020):
        s3.put(bucket, f"m/{number:04}", b"%d" % number)
    proxy = Proxy(s3.endpoint)
    result = fetch(to, f"s3://{bucket}/m/", "--endpoint", proxy.url)
    proxy.close()
    assert (result.code, result.message["files"]) == (0, 1021)
    assert (to / "1019").read_bytes() == b"1019"
    assert (proxy.counts.lists, proxy.counts.heads, proxy.counts.reads) == (2, 0, 1022)
