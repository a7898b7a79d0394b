"""Every kind of store through real dfdaemons: the first node reads the store, the second has it from the first.

What plays the store is an emulator or a stand-in, as for the direct way (test_stores_emulated, _hubs, _signed).
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.addons.azure import Azurite
from tests.cluster.addons.dragonfly import Dragonfly, Peer
from tests.cluster.addons.gcs import GcsServer
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http
from tests.fetcher.standin_bucket import StandinBucket
from tests.fetcher.standin_http import Answer, Request, StandinServer, ranged
from tests.fetcher.standin_huggingface import Repo, StandinHub
from tests.fetcher.standin_modelscope import StandinModelScope
from tests.fetcher.standin_webhdfs import StandinWebHdfs
from tests.fetcher.test_stores_signed import IDS, STORES
from tests.fetcher.tools import MIB, SECRET, fetch, tree, wait_until

pytestmark = pytest.mark.p2p

SIZE = 9 * MIB + 5
TOKEN = "t0ken-of-somebody-0123456789"


def bring(dragonfly: Dragonfly, to: Path, content: bytes, uri: str, *args: str, env: dict[str, str]) -> None:
    """Fetch one file on both nodes; the ledger says who gave it, and nothing was read past dfdaemon."""
    for node, source in (("n1", "origin"), ("n2", "peer")):
        folder = to.with_name(f"{to.name}-{node}")
        result = fetch(folder, uri, *args, "--peers", str(dragonfly[node].socket), "--fallback-after", "5", env=env)
        assert result.code == 0, result.log
        assert list(tree(folder).values()) == [content]
        assert (result.bytes[source], result.message["direct"]) == (len(content), 0), result.log
        assert "fallback" not in result.message
        assert not any(TOKEN in text or SECRET in text for text in (result.log, result.raw))


def test_a_public_object_of_s3(dragonfly: Dragonfly, s3: S3Server, to: Path) -> None:
    """It is asked for by its web address, because dfdaemon's S3 signs everything."""
    content = os.urandom(SIZE)
    s3.create_bucket("through-peers")
    owner = f"AWS4-HMAC-SHA256 Credential={s3.access_key}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host"
    headers = {"x-amz-acl": "public-read", "Authorization": f"{owner}, Signature=0"}  # moto takes any signature
    headers["Content-Type"] = "application/octet-stream"
    assert http("PUT", f"{s3.endpoint}/through-peers/a%20b/w.bin", content, headers)[0] == 200
    assert http("GET", f"{s3.endpoint}/through-peers/a%20b/w.bin")[0] == 200
    bring(dragonfly, to, content, "s3://through-peers/a b/w.bin", "--endpoint", s3.endpoint, env={})


def test_a_public_bucket_of_google(dragonfly: Dragonfly, gcs: GcsServer, to: Path) -> None:
    """The same."""
    content = os.urandom(SIZE)
    gcs.create_bucket("through-peers")
    gcs.put("through-peers", "a b/w.bin", content)
    bring(dragonfly, to, content, "gs://through-peers/a b/w.bin", "--endpoint", gcs.endpoint, env={})


def test_azure(dragonfly: Dragonfly, azurite: Azurite, to: Path) -> None:
    """With the account's key, and a public container without one."""
    content = os.urandom(SIZE)
    azurite.create_container("through-peers")
    azurite.put("through-peers", "a b/w.bin", content)
    where = ("--endpoint", azurite.endpoint)
    bring(dragonfly, to, content, "abs://through-peers/a b/w.bin", *where, env=azurite.credentials)
    azurite.create_container("public-to-peers", public=True)
    azurite.put("public-to-peers", "w.bin", content[1:])
    bring(dragonfly, to.with_name("public"), content[1:], "abs://public-to-peers/w.bin", *where, env={})


@pytest.mark.parametrize("revision", ["main", "refs%2Fpr%2F1"])
def test_hugging_face(dragonfly: Dragonfly, to: Path, revision: str) -> None:
    """Token and revision arrive, and large files come from where the hub sends dfdaemon."""
    content = os.urandom(SIZE)
    with StandinHub(TOKEN) as hub:
        hub.repos["Some-Org/res.net"] = Repo({"a b/w.bin": content}, ("main", "refs/pr/1"))
        uri = f"hf://Some-Org/res.net@{revision}/a b/w.bin"
        bring(dragonfly, to, content, uri, "--endpoint", hub.url, env={"HF_TOKEN": TOKEN})


def test_modelscope(dragonfly: Dragonfly, to: Path) -> None:
    """The same."""
    content = os.urandom(SIZE)
    with StandinModelScope(TOKEN) as hub:
        hub.repos["Some-Org/res.net", "v1.0"] = {"a b/w.bin": content}
        uri = "modelscope://Some-Org/res.net@v1.0/a b/w.bin"
        bring(dragonfly, to, content, uri, "--endpoint", hub.url, env={"MODELSCOPE_API_TOKEN": TOKEN})


def test_hdfs(dragonfly: Dragonfly, to: Path) -> None:
    """The delegation token arrives."""
    content = os.urandom(SIZE)
    with StandinWebHdfs(TOKEN) as hdfs:
        hdfs.files["/models/a b/w.bin"] = content
        uri = f"hdfs://{hdfs.host}/models/a b/w.bin"
        bring(dragonfly, to, content, uri, env={"HDFS_DELEGATION_TOKEN": TOKEN})


@pytest.fixture
def standin() -> Iterator[StandinBucket]:
    """A bucket."""
    with StandinBucket() as server:
        yield server


@pytest.fixture
def proxied(dragonfly: Dragonfly, standin: StandinBucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A dfdaemon whose requests to stores go to the stand-in, whatever their host."""
    for name, value in standin.environment.items():
        monkeypatch.setenv(name, value)
    name = f"proxied-{standin.host.rpartition(':')[2]}"  # a peer's folder is never used again
    yield dragonfly.add(name)
    dragonfly.remove(name)


def test_signed_stores(standin: StandinBucket, proxied: Peer, to: Path) -> None:
    """OSS, OBS and COS: dfdaemon asks the same hosts as the fetcher, and signs in the same way."""
    for kind, (uri, endpoint, host, keys, signature) in zip(IDS, STORES, strict=True):
        content = os.urandom(SIZE)
        standin.objects = {"m/a b.bin": content}
        standin.requests.clear()
        env = keys | standin.environment
        args = ("--endpoint", endpoint, "--peers", str(proxied.socket))
        result = fetch(to.with_name(kind), f"{uri}/m/a b.bin", *args, env=env)
        assert result.code == 0, result.log
        assert tree(to.with_name(kind)) == {"a b.bin": content}
        assert (result.bytes["origin"], result.message["direct"]) == (SIZE, 0), result.log
        assert standin.hosts == {host}
        assert {request.headers["authorization"][: len(signature)] for request in standin.requests} == {signature}


def twice_by_proxy(proxy: str, to: Path, content: bytes, uri: str, endpoint: str, env: dict[str, str]) -> None:
    """Fetch by the proxy; the second time another signature leads to the same task, so nothing is read."""
    for kind in ("proxy", "local"):
        second = int(time.time())
        folder = to.with_name(f"{to.name}-{kind}")
        result = fetch(folder, uri, "--endpoint", endpoint, "--proxy", proxy, "--fallback-after", "5", env=env)
        assert result.code == 0, result.log
        assert list(tree(folder).values()) == [content]
        assert (result.bytes[kind], result.message["direct"]) == (len(content), 0), result.log
        wait_until(lambda second=second: int(time.time()) > second)  # type: ignore[misc]


def test_signed_urls_by_the_proxy(standin: StandinBucket, proxied: Peer, to: Path) -> None:
    """OSS, OBS and COS sign URLs, and their signatures are no part of the task."""
    for kind, (uri, endpoint, host, keys, _) in zip(IDS, STORES, strict=True):
        content = os.urandom(SIZE)
        standin.objects = {"m/a b.bin": content}
        standin.requests.clear()
        env = keys | standin.environment
        twice_by_proxy(proxied.proxy, to.with_name(kind), content, f"{uri}/m/a b.bin", endpoint, env)
        assert standin.hosts == {host}


def test_azure_by_the_proxy(dragonfly: Dragonfly, azurite: Azurite, to: Path) -> None:
    """No URL of Azure's is signed, because it would permit more than reading: the file comes direct, and why is told."""
    content = os.urandom(SIZE)
    azurite.create_container("by-proxy")
    azurite.put("by-proxy", "a b/w.bin", content)
    args = ("--endpoint", azurite.endpoint, "--proxy", dragonfly["n1"].proxy)
    result = fetch(to, "abs://by-proxy/a b/w.bin", *args, env=azurite.credentials)
    assert result.code == 0, result.log
    assert tree(to) == {"w.bin": content}
    assert (result.bytes["origin"], result.message["direct"]) == (SIZE, SIZE)
    assert result.message["fallback"].startswith("Unsupported: "), result.raw


class StandinWeb(StandinServer):
    """A web server with one file, which asks for a token."""

    content = os.urandom(SIZE)

    def answer(self, request: Request) -> Answer:
        """Refuse who has no token, and whoever wants another file."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401)
        if request.headers.get("if-match", '"one"') != '"one"':
            return Answer(412)
        return ranged(request, self.content, ("ETag", '"one"'))


def test_a_web_server_with_a_token(dragonfly: Dragonfly, to: Path) -> None:
    """The token goes along, and so does If-Match with every piece."""
    with StandinWeb() as server:
        bring(dragonfly, to, server.content, f"{server.url}/a%20b/w.bin", env={"HTTP_BEARER_TOKEN": TOKEN})
        spans = [(request, request.headers.get("range", "")[6:].split("-")) for request in server.requests]
        pieces = [request for request, span in spans if span[0] != span[-1]]  # a single byte is a question for the size
        assert len(pieces) >= 3
        assert {request.headers.get("if-match") for request in pieces} == {'"one"'}
