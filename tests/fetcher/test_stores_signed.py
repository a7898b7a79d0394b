"""OSS, OBS and COS, for which there is no emulator: where a request goes and how it is signed, seen by a stand-in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetcher.standin_bucket import StandinBucket
from tests.fetcher.tools import MIB, SECRET, fetch, tree

FILES = {"m/config.json": b"{}", "m/sub dir/w.bin": os.urandom(9 * MIB), "m/empty": b""}
STORES = [
    (
        "oss://models",
        "http://oss-cn-test.aliyuncs.com",
        "models.oss-cn-test.aliyuncs.com",
        {"ALIBABA_CLOUD_ACCESS_KEY_ID": "the-key-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET},
        "OSS the-key-id:",
    ),
    (
        "obs://models",
        "http://obs.test-1.myhuaweicloud.com",
        "models.obs.test-1.myhuaweicloud.com",
        {"HUAWEI_CLOUD_ACCESS_KEY_ID": "the-key-id", "HUAWEI_CLOUD_SECRET_ACCESS_KEY": SECRET},
        "OBS the-key-id:",
    ),
    (
        "cos://models-1250000000",
        "http://cos.ap-test.myqcloud.com",
        "models-1250000000.cos.ap-test.myqcloud.com",
        {"TENCENTCLOUD_SECRET_ID": "the-key-id", "TENCENTCLOUD_SECRET_KEY": SECRET},
        "q-sign-algorithm=sha1&q-ak=the-key-id&",
    ),
]
IDS = ["oss", "obs", "cos"]


@pytest.fixture
def standin() -> Iterator[StandinBucket]:
    """A bucket with a small model."""
    with StandinBucket() as server:
        server.objects = dict(FILES)
        yield server


@pytest.mark.parametrize(("uri", "endpoint", "host", "keys", "signature"), STORES, ids=IDS)
def test_a_signed_folder(
    standin: StandinBucket, to: Path, uri: str, endpoint: str, host: str, keys: dict[str, str], signature: str
) -> None:
    """The bucket's host is asked, every request is signed in the store's own way, and no secret is told."""
    result = fetch(to, f"{uri}/m", "--endpoint", endpoint, env=keys | standin.environment)
    assert result.code == 0, result.log
    assert tree(to) == {name.removeprefix("m/"): content for name, content in FILES.items()}
    assert standin.hosts == {host}
    assert {request.headers["authorization"][: len(signature)] for request in standin.requests} == {signature}
    assert not any(SECRET in text for text in (result.log, result.out, result.raw))


def test_a_public_file(standin: StandinBucket, to: Path) -> None:
    """OSS can be read without keys; then nothing is signed."""
    uri, endpoint, host, _, _ = STORES[0]
    result = fetch(to, f"{uri}/m/config.json", "--endpoint", endpoint, env=standin.environment)
    assert result.code == 0, result.log
    assert tree(to) == {"config.json": b"{}"}
    assert standin.hosts == {host}
    assert not any("authorization" in request.headers for request in standin.requests)


@pytest.mark.parametrize(("uri", "endpoint", "host", "keys", "signature"), STORES[1:], ids=IDS[1:])
def test_no_keys(
    standin: StandinBucket, to: Path, uri: str, endpoint: str, host: str, keys: dict[str, str], signature: str
) -> None:
    """OBS and COS cannot, and nothing is asked."""
    result = fetch(to, f"{uri}/m", "--endpoint", endpoint, env=standin.environment)
    assert (result.code, result.message["reason"]) == (11, "Denied")
    assert result.message["message"].endswith(f"uri needs storage.secretRef, a Secret with {' and '.join(keys)}")
    assert standin.requests == []


@pytest.mark.parametrize(("uri", "endpoint", "host", "keys", "signature"), STORES, ids=IDS)
def test_half_of_the_keys(to: Path, uri: str, endpoint: str, host: str, keys: dict[str, str], signature: str) -> None:
    """A missing key is named before anything is asked."""
    kept, missing = list(keys)
    result = fetch(to, f"{uri}/m", "--endpoint", endpoint, env={kept: keys[kept]})
    assert (result.code, result.message["reason"]) == (11, "Denied")
    assert result.message["message"] == f"{missing} is missing; add it to the Secret of storage.secretRef"


@pytest.mark.parametrize(("uri", "endpoint", "host", "keys", "signature"), STORES, ids=IDS)
def test_no_endpoint(to: Path, uri: str, endpoint: str, host: str, keys: dict[str, str], signature: str) -> None:
    """There is no default."""
    result = fetch(to, f"{uri}/m", env=keys)
    assert (result.code, result.message["reason"]) == (15, "Invalid")
    assert "uri needs storage.endpoint; write for example https://" in result.message["message"]
