"""Each way to fail has its exit code, its word and a message that names the object and the next step."""

import hashlib
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import KEYS, MIB, Proxy, Result, fetch, tree


def expect(result: Result, code: int, reason: str, *words: str) -> None:
    assert (result.code, result.message.get("reason")) == (code, reason), result.log
    for word in words:
        assert word in result.message["message"]
    assert len(result.raw.encode()) <= 1024


def test_missing_bucket_and_missing_key_have_words_of_their_own(s3: S3Server, bucket: str, to: Path) -> None:
    """Both are NotFound; the message tells which it is."""
    result = fetch(to, "s3://no-such-bucket/m", "--endpoint", s3.endpoint)
    expect(result, 10, "NotFound", "bucket of s3://no-such-bucket/m does not exist")
    result = fetch(to, f"s3://{bucket}/nope", "--endpoint", s3.endpoint)
    expect(result, 10, "NotFound", f"s3://{bucket}/nope does not exist: neither an object nor a folder")


def test_denied(s3: S3Server, bucket: str, to: Path) -> None:
    """A store that knows none of the keys, and one that asks for some."""
    s3.put(bucket, "w", b"x")
    s3.deny_all()
    try:
        result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint)
    finally:
        s3.deny_all(denied=False)
    expect(result, 11, "Denied", f"s3://{bucket}/w", "storage.secretRef")
    expect(fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, env={}), 11, "Denied", "storage.secretRef")
    half = {"AWS_ACCESS_KEY_ID": "AKIA"}
    expect(fetch(to, f"s3://{bucket}/w", env=half), 11, "Denied", "AWS_SECRET_ACCESS_KEY is missing")


def test_digest_mismatch_names_both_and_leaves_nothing(s3: S3Server, bucket: str, to: Path) -> None:
    """Wrong bytes never reach the place where a server would read them; right ones do on the next run."""
    content = os.urandom(9 * MIB)
    s3.put(bucket, "w", content)
    wrong = "sha256:" + "0" * 64
    right = "sha256:" + hashlib.sha256(content).hexdigest()
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--digest", wrong)
    expect(result, 13, "DigestMismatch", wrong, right)
    assert tree(to) == {}
    assert fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--digest", right).code == 0


def test_an_object_replaced_while_it_is_read(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """If-Match stops the run; the next one gets the new object, whole."""
    old, new = os.urandom(40 * MIB), os.urandom(40 * MIB)
    s3.put(bucket, "w", old)

    def replace(method: str, path: str, number: int) -> None:
        if method == "GET" and number == 3:
            s3.put(bucket, "w", new)

    proxy.fault = replace
    expect(fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url), 14, "ChangedWhileReading", f"s3://{bucket}/w")
    assert tree(to) == {}
    proxy.reset()
    assert fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url).code == 0
    assert tree(to) == {"w": new}


def test_an_object_removed_while_it_is_read(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """It was listed, so this is no NotFound."""
    s3.put(bucket, "w", os.urandom(40 * MIB))

    def vanish(method: str, path: str, number: int) -> None:
        if method == "GET" and number == 3:
            s3.delete(bucket, "w")

    proxy.fault = vanish
    expect(fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url), 14, "ChangedWhileReading")


def test_a_connection_that_breaks_costs_only_what_was_under_way(
    s3: S3Server, bucket: str, proxy: Proxy, to: Path
) -> None:
    """A request of two chunks that is cut after the first goes on with the second."""
    content = os.urandom(64 * MIB)
    s3.put(bucket, "w", content)
    proxy.fault = lambda method, _path, number: "cut" if method == "GET" and number == 2 else None
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url)
    assert (result.code, result.log.count("retrying")) == (0, 1), result.log
    assert tree(to) == {"w": content}
    spans = [span.removeprefix("bytes=").split("-") for span in proxy.counts.ranges]
    lengths = sorted(int(last) + 1 - int(first) for first, last in spans)
    assert lengths == [8 * MIB] + 4 * [16 * MIB]


@pytest.mark.parametrize("fault", [500, 503, 429, "cut"])
def test_what_passes_is_tried_again(s3: S3Server, bucket: str, proxy: Proxy, to: Path, fault: int | str) -> None:
    """Errors of the server and broken connections cost a retry, which the log tells; the bytes are right."""
    content = os.urandom(30 * MIB)
    s3.put(bucket, "w", content)
    proxy.fault = lambda method, _path, number: fault if method == "GET" and number in (2, 3, 5) else None
    result = fetch(
        to, f"s3://{bucket}/w", "--endpoint", proxy.url, "--digest", "sha256:" + hashlib.sha256(content).hexdigest()
    )
    assert result.code == 0, result.log
    assert result.log.count("retrying") == 3
    assert tree(to) == {"w": content}


def test_unavailable_when_the_retries_are_spent(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """A store that keeps failing, and one that is not there."""
    s3.put(bucket, "w", b"x")
    proxy.fault = lambda *_: 503
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url, "--retry-seconds", "1")
    expect(result, 16, "Unavailable", f"s3://{bucket}/w", "HTTP 503")
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", "http://127.0.0.1:1", "--retry-seconds", "0.5")
    expect(result, 16, "Unavailable", "Connection refused")


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("gopher://host/x", "no known scheme"),
        ("s3://UPPER/x", "no valid bucket name"),
        ("s3://bucket/a/../b", "'..' part"),
        ("https://host/x?X-Amz-Signature=1", "query"),
        ("https://user:hunter22@host/x", "holds credentials"),
        ("pvc://claim/../etc", "leaves the volume"),
    ],
)
def test_what_can_never_work(to: Path, uri: str, word: str) -> None:
    """It is refused before anything is asked, with what to write instead."""
    result = fetch(to, uri)
    expect(result, 15, "Invalid", word)
    assert "hunter22" not in result.log + result.raw


def test_a_name_that_climbs_is_refused(web: tuple[str, Path], to: Path) -> None:
    """An index cannot write outside of the model's folder."""
    url, root = web
    (root.parent / "evil").write_bytes(b"x")
    for name in ("../evil", "/etc/passwd", "a/../../evil", ".pantala/lock"):
        (root / "index.json").write_text(json.dumps({"files": [{"path": name, "size": 1}]}))
        expect(fetch(to, f"{url}/"), 15, "Invalid", "would leave the model's folder")
    assert tree(to) == {}


def test_a_key_that_climbs_is_refused(s3: S3Server, bucket: str, to: Path) -> None:
    """S3 allows keys with `..`; they would be written elsewhere."""
    s3.put(bucket, "m/ok", b"x")
    s3.put(bucket, "m/../evil", b"x")
    result = fetch(to, f"s3://{bucket}/m", "--endpoint", s3.endpoint)
    expect(result, 15, "Invalid", f"s3://{bucket}/m", "'../evil'", "would leave the model's folder")
    assert tree(to) == {}
    assert not (to.parent / "evil").exists()


def test_a_limit_on_the_size_of_files(s3: S3Server, bucket: str, to: Path) -> None:
    """The kernel refuses to write (EFBIG here, EDQUOT or ENOSPC elsewhere): that is DiskFull, and a bigger disk resumes."""
    content = os.urandom(20 * MIB)
    s3.put(bucket, "w", content)
    prefix = ["prlimit", f"--fsize={10 * MIB}"]
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, prefix=prefix)
    expect(result, 12, "DiskFull", "EFBIG", "storage.cache")
    assert fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint).code == 0
    assert tree(to) == {"w": content}


def test_a_limit_below_the_disk(s3: S3Server, bucket: str, to: Path) -> None:
    """A volume's own limit counts although the disk has room: the figures are told before a byte is read."""
    s3.put(bucket, "w", os.urandom(2 * MIB))
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--size-limit", str(MIB))
    expect(result, 12, "DiskFull", f"{2 * MIB} bytes are needed and {MIB} are available")
    assert fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--size-limit", str(4 * MIB)).code == 0


@pytest.mark.e2e
def test_a_volume_that_is_too_small(s3: S3Server, bucket: str, to: Path) -> None:
    """The figures are told before a byte is read; after growing, the same volume works."""
    s3.put(bucket, "w", os.urandom(20 * MIB))
    to.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(to)], check=True)
    try:
        result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint)
        expect(result, 12, "DiskFull", f"{20 * MIB} bytes are needed", "are available")
        subprocess.run(["mount", "-o", "remount,size=64m", str(to)], check=True)
        assert fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint).code == 0
    finally:
        subprocess.run(["umount", str(to)], check=True)


@pytest.mark.e2e
def test_a_volume_that_fills_up_meanwhile(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """Somebody else takes the space while the fetch runs: ENOSPC is DiskFull too."""
    s3.put(bucket, "w", os.urandom(20 * MIB))
    to.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(to)], check=True)

    def fill(method: str, path: str, number: int) -> None:
        if method == "GET" and number == 1:
            (to / "filler").write_bytes(bytes(20 * MIB))

    proxy.fault = fill
    try:
        expect(fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url), 12, "DiskFull", "ENOSPC")
    finally:
        subprocess.run(["umount", str(to)], check=True)


def test_memory_is_bounded(s3: S3Server, bucket: str, to: Path) -> None:
    """A fetch of many chunks takes no more memory than its window (the benchmark shows the same for 4 GiB)."""
    s3.put(bucket, "w", bytes(300 * MIB))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, env=KEYS).code == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert max(before, after) < 200 * 1024 or after == before
