"""Repositories on model hubs, and HDFS, each against a stand-in that speaks the documented addresses."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fetcher.standin_http import Answer, Request, StandinServer
from tests.fetcher.standin_huggingface import Repo, StandinHub
from tests.fetcher.standin_modelscope import StandinModelScope
from tests.fetcher.standin_webhdfs import StandinWebHdfs
from tests.fetcher.tools import MIB, Result, fetch, tree

TOKEN = "t0ken-of-somebody-0123456789"
FILES = {"config.json": b"{}", ".gitattributes": b"*", "sub dir/w.bin": os.urandom(17 * MIB), "sub dir/empty": b""}
FILES |= {f"shard-{number}": bytes([number]) for number in range(8)}  # more than a page of a stand-in
KINDS = ["hf", "modelscope", "hdfs"]
_KEYS = {"hf": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN", "hdfs": "HDFS_DELEGATION_TOKEN"}


@dataclass
class Kind:
    """One of the stores with the same model in it."""

    name: str
    server: StandinServer
    files: dict[str, bytes]
    """What is in the model; a test may replace a file."""
    root: str
    """URI of the model."""

    def fetch(self, to: Path, uri: str, *, token: str = TOKEN) -> Result:
        """Run the command."""
        endpoint = () if self.name == "hdfs" else ("--endpoint", self.server.url)
        return fetch(to, uri, *endpoint, env={_KEYS[self.name]: token} if token else {})

    def replace(self, name: str, content: bytes) -> None:
        """Put another content under a name."""
        if isinstance(self.server, StandinWebHdfs):
            self.server.files[f"/models/resnet/{name}"] = content
            self.server.modified += 1000
        else:
            self.files[name] = content


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Each kind of store, which asks for a token."""
    files = dict(FILES)
    match request.param:
        case "hf":
            with StandinHub(TOKEN) as hub:
                hub.repos["Some-Org/res.net"] = Repo(files, ("main", "v1.0", "refs/pr/1"))
                yield Kind("hf", hub, files, "hf://Some-Org/res.net")
        case "modelscope":
            with StandinModelScope(TOKEN) as scope:
                scope.repos = {("Some-Org/res.net", revision): files for revision in ("master", "v1.0")}
                yield Kind("modelscope", scope, files, "modelscope://Some-Org/res.net")
        case "hdfs":
            with StandinWebHdfs(TOKEN) as hdfs:
                hdfs.files = {f"/models/resnet/{name}": content for name, content in files.items()}
                yield Kind("hdfs", hdfs, files, f"hdfs://{hdfs.host}/models/resnet")


def test_a_whole_model(kind: Kind, to: Path) -> None:
    """All files arrive, large ones in ranges from where the store sends them; the second run reads nothing."""
    result = kind.fetch(to, kind.root)
    assert result.code == 0, result.log
    assert tree(to) == FILES
    assert result.bytes["origin"] == sum(map(len, FILES.values()))
    assert not any(TOKEN in text for text in (result.log, result.out, result.raw))
    assert kind.fetch(to, kind.root).bytes["origin"] == 0


def test_a_part_of_it(kind: Kind, to: Path) -> None:
    """A folder, and one file."""
    assert kind.fetch(to, f"{kind.root}/sub dir").code == 0
    assert tree(to) == {"w.bin": FILES["sub dir/w.bin"], "empty": b""}
    other = to.with_name("other")
    assert kind.fetch(other, f"{kind.root}/config.json").code == 0
    assert tree(other) == {"config.json": b"{}"}


def test_a_token_that_is_wrong(kind: Kind, to: Path) -> None:
    """It is a Denied with the next step, and the token is not told."""
    result = kind.fetch(to, kind.root, token="wr0ng-t0ken-0123456789")
    assert (result.code, result.message["reason"]) == (11, "Denied"), result.log
    assert "storage.secretRef" in result.message["message"]
    assert not any("wr0ng" in text for text in (result.log, result.out, result.raw))


def test_what_does_not_exist(kind: Kind, to: Path) -> None:
    """A name that is not in the model."""
    result = kind.fetch(to, f"{kind.root}/nope")
    assert (result.code, result.message["reason"]) == (10, "NotFound"), result.log
    assert "nope does not exist" in result.message["message"]


def test_a_file_that_is_replaced_while_it_is_read(kind: Kind, to: Path) -> None:
    """There is no If-Match, so the file is looked at again after it was read."""
    answer = kind.server.answer

    def replacing(request: Request) -> Answer:
        given = answer(request)
        if request.method == "GET" and len(given.body) > MIB:
            kind.replace("sub dir/w.bin", bytes(17 * MIB))
        return given

    kind.server.answer = replacing  # type: ignore[method-assign]
    result = kind.fetch(to, f"{kind.root}/sub dir/w.bin")
    assert (result.code, result.message["reason"]) == (14, "ChangedWhileReading"), result.log
    assert tree(to) == {}


@pytest.mark.parametrize("kind", ["hf", "modelscope"], indirect=True)
def test_a_revision(kind: Kind, to: Path) -> None:
    """A tag is asked for, and one that is not there is not found."""
    result = kind.fetch(to, f"{kind.root}@v1.0/config.json")
    assert result.code == 0, result.log
    assert any("v1" in request.raw for request in kind.server.requests)
    assert not any("main" in request.raw or "master" in request.raw for request in kind.server.requests)
    result = kind.fetch(to.with_name("other"), f"{kind.root}@v2.0")
    assert (result.code, result.message["reason"]) == (10, "NotFound"), result.log


@pytest.mark.parametrize("kind", ["hf"], indirect=True)
def test_a_revision_with_slashes(kind: Kind, to: Path) -> None:
    """Written with %2F."""
    result = kind.fetch(to, f"{kind.root}@refs%2Fpr%2F1/config.json")
    assert result.code == 0, result.log
    assert tree(to) == {"config.json": b"{}"}


@pytest.mark.parametrize("kind", ["modelscope"], indirect=True)
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b"", "Unavailable"),
        (200, b"<html>", "Invalid"),
        (200, b"[]", "Invalid"),
        (200, b'{"Code": 200, "Data": null}', "Invalid"),
        (200, b'{"Code": 404, "Data": null}', "NotFound"),
    ],
)
def test_a_listing_that_fails(kind: Kind, to: Path, status: int, body: bytes, reason: str) -> None:
    """A hub that is overloaded is asked again; what is no listing is told."""
    kind.server.answer = lambda _: Answer(status, body)  # type: ignore[method-assign]
    result = fetch(to, kind.root, "--endpoint", kind.server.url, "--retry-seconds", "0.5", env={})
    assert result.message["reason"] == reason, result.log
    assert len(kind.server.requests) == 1 or reason == "Unavailable"
