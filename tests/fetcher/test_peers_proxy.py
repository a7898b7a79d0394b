"""Through the HTTP proxy of real dfdaemons, around a stand-in for the scheduler."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons.dragonfly import Dragonfly, Peer
from tests.cluster.addons.faults import Request, Rule
from tests.fetcher.through import PIECE, Bucket
from tests.fetcher.tools import MIB, Result, fetch, tree

pytestmark = pytest.mark.p2p
SIZE = 21 * MIB + 5


def through(bucket: Bucket, proxy: str, key: str, *more: str, **options: Any) -> Result:
    """Fetch a key through a proxy, each time to another folder."""
    folder = bucket.to / f"{key}-{len(list(bucket.to.iterdir()))}"
    options.setdefault("env", bucket.store.credentials)
    arguments = ["--endpoint", bucket.origin.endpoint, "--proxy", proxy, *more]
    return fetch(folder, f"s3://{bucket.name}/{key}", *arguments, **options)


def test_cold_remote_and_local(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """Signatures differ each time and are no part of the task: the origin is read once. What the proxy cannot tell is told so."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w x", content)
    bucket_p2p.origin.forget()
    results = [through(bucket_p2p, dragonfly[name].proxy, "w x") for name in ("n1", "n2", "n2")]
    for result in results:
        assert result.code == 0, result.log
    assert [tree(folder) for folder in bucket_p2p.folders()] == [{"w x": content}] * 3
    assert [result.bytes.get("proxy") for result in results] == [SIZE, SIZE, None]
    assert results[2].bytes["local"] == SIZE
    assert all(result.message["direct"] == 0 for result in results)
    # one byte for each node that did not know the object's length
    assert bucket_p2p.origin.given("^/[^/]+/.") == SIZE + 2


def test_headers_and_filters_of_users(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """A header goes along to dfdaemon; here one that asks for another application's task."""
    bucket_p2p.put("w", os.urandom(SIZE))
    bucket_p2p.origin.forget()
    proxy = dragonfly["n1"].proxy
    assert through(bucket_p2p, proxy, "w").code == 0
    more = ("--proxy-header", "X-Dragonfly-Application=mine", "--proxy-filter", "another")
    other = through(bucket_p2p, proxy, "w", *more)
    assert other.bytes["proxy"] == SIZE
    assert bucket_p2p.origin.given("^/[^/]+/.") == 2 * (SIZE + 1)


def test_two_keys_never_share_a_task(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """The signature is not a part of the task's identity, the key behind it is."""
    bucket_p2p.put("w", os.urandom(SIZE))
    proxy = dragonfly["n1"].proxy
    assert through(bucket_p2p, proxy, "w").code == 0
    other = bucket_p2p.store.add_key("PROXYKEY0123456789", "another-secret-of-a-tenant")
    try:
        result = through(bucket_p2p, proxy, "w", env=other)
    finally:
        bucket_p2p.store.remove_key("PROXYKEY0123456789")
    assert result.bytes.get("local", 0) == 0
    assert result.bytes["proxy"] == SIZE


def test_resumed(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """After SIGKILL only what is missing is asked for."""
    content = os.urandom(61 * MIB + 5)
    bucket_p2p.put("w", content)
    folder = bucket_p2p.to / "killed"
    arguments = ["--endpoint", bucket_p2p.origin.endpoint, "--proxy", dragonfly["n1"].proxy]
    uri, env = f"s3://{bucket_p2p.name}/w", bucket_p2p.store.credentials
    assert fetch(folder, uri, *arguments, env=env, kill_at="pantala.fetcher.resume:Journal.add:4").code < 0
    result = fetch(folder, uri, *arguments, env=env)
    assert result.code == 0, result.log
    assert result.bytes["cache"] == 3 * 8 * MIB
    assert sum(result.bytes.values()) == len(content)
    assert tree(folder) == {"w": content}


def test_nobody_there(bucket_p2p: Bucket) -> None:
    """No proxy on the node: the store is read; with --fallback fail the reason is named."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    result = through(bucket_p2p, "http://127.0.0.1:9", "w", "--fallback-after", "1")
    assert (result.code, result.message["direct"]) == (0, SIZE)
    assert result.message["fallback"].startswith("NoSocket: ")
    assert tree(bucket_p2p.newest()) == {"w": content}
    refused = through(bucket_p2p, "http://127.0.0.1:9", "w", "--fallback", "fail", "--retry-seconds", "1")
    assert (refused.code, refused.message["reason"]) == (17, "PeersUnavailable")


def signed(request: Request) -> bool:
    """Whether a request is one of dfdaemon's, which has the signature in its URL."""
    return "X-Amz-Signature" in request.path


@pytest.mark.parametrize("status", [403, 404])
def test_the_origin_refuses(bucket_p2p: Bucket, dragonfly: Dragonfly, status: int) -> None:
    """What the origin says to dfdaemon reaches us as its status: the store is asked at once."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    bucket_p2p.origin.add(Rule("/w", when=signed, status=status))
    result = through(bucket_p2p, dragonfly["n1"].proxy, "w")
    assert (result.code, result.message["direct"]) == (0, SIZE), result.log
    assert result.message["fallback"].startswith("DaemonFailed: ")
    assert result.message["seconds"] < 20
    assert tree(bucket_p2p.newest()) == {"w": content}


def test_stalled_and_overwritten(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """If-Match goes along: an object that was replaced is not mixed, and the fetch says so."""
    bucket_p2p.put("w", os.urandom(SIZE))
    new = os.urandom(SIZE)
    bucket_p2p.origin.add(Rule("/w", when=signed, skip=3, times=1, call=lambda: bucket_p2p.put("w", new)))
    result = through(bucket_p2p, dragonfly["n1"].proxy, "w", "--fallback-after", "3")
    assert (result.code, result.message["reason"]) == (14, "ChangedWhileReading"), result.log
    assert tree(bucket_p2p.newest()) == {}


def test_the_rate_limit(bucket_p2p: Bucket, tmp_path: Path) -> None:
    """429 of the proxy is tried again until it passes."""
    files = {f"{number}.bin": os.urandom(PIECE + 1) for number in range(6)}
    for name, content in files.items():
        bucket_p2p.put(f"m/{name}", content)
    limit = {"proxy": {"server": {"requestRateLimit": 2}}}
    with Dragonfly("n1", config=limit) as few:
        peer: Peer = few["n1"]
        result = through(bucket_p2p, peer.proxy, "m", "--fallback-after", "30")
    assert result.code == 0, result.log
    assert result.message["direct"] == 0
    assert "429" in result.log
    assert tree(bucket_p2p.newest()) == files
