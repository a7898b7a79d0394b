"""How the node's dfdaemon reads each kind of store: the fields of the request, or why it cannot."""

from dataclasses import asdict
from typing import Any

import pytest

from pantala.fetcher.secrets import Credentials
from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores import open_store

S3_KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hunter2"}
S3 = {"region": "us-east-1", "endpoint": "http://s3.test:9000", "access_key_id": "id", "access_key_secret": "hunter2"}
OSS_KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hunter2"}
OBS_KEYS = {"HUAWEI_CLOUD_ACCESS_KEY_ID": "id", "HUAWEI_CLOUD_SECRET_ACCESS_KEY": "hunter2"}
COS_KEYS = {"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "hunter2"}
AZURE_KEYS = {"AZURE_STORAGE_ACCOUNT": "id", "AZURE_STORAGE_KEY": "aHVudGVyMg=="}
PAIR = {"access_key_id": "id", "access_key_secret": "hunter2"}


def source(
    uri: str, endpoint: str | None = None, keys: dict[str, str] | None = None, environ: dict[str, str] | None = None
) -> PeerSource | str:
    return open_store(
        uri, endpoint=endpoint, region=None, credentials=Credentials(keys or {}), environ=environ or {}
    ).peer_source


@pytest.mark.parametrize(
    ("uri", "endpoint", "keys", "expected"),
    [
        (
            "s3://models/m/w",
            "http://s3.test:9000/",
            S3_KEYS,
            {"base": "s3://models/", "object_storage": S3, "secret": "hunter2", "endpoint": "http://s3.test:9000"},
        ),
        (
            "s3://models/m/w",
            "http://s3.test:9000",
            S3_KEYS | {"AWS_SESSION_TOKEN": "t"},
            {
                "base": "s3://models/",
                "object_storage": S3 | {"session_token": "t"},
                "secret": "hunter2",
                "endpoint": "http://s3.test:9000",
            },
        ),
        (
            "s3://models/m/w",
            None,
            {},
            {
                "base": "https://s3.us-east-1.amazonaws.com/models/",
                "if_match": True,
                "endpoint": "https://s3.us-east-1.amazonaws.com",
            },
        ),
        (
            "gs://models/m/w",
            None,
            {},
            {
                "base": "https://storage.googleapis.com/models/",
                "if_match": True,
                "endpoint": "https://storage.googleapis.com",
            },
        ),
        (
            "abs://models/m/w",
            "https://id.blob.core.windows.net",
            AZURE_KEYS,
            {
                "base": "abs://models/",
                "object_storage": {
                    "endpoint": "https://id.blob.core.windows.net",
                    "access_key_id": "id",
                    "access_key_secret": "aHVudGVyMg==",
                },
                "secret": "aHVudGVyMg==",
                "endpoint": "https://id.blob.core.windows.net",
            },
        ),
        (
            "abs://models/m/w",
            "https://id.blob.core.windows.net",
            {},
            {
                "base": "https://id.blob.core.windows.net/models/",
                "if_match": True,
                "endpoint": "https://id.blob.core.windows.net",
            },
        ),
        (
            "oss://models/m/w",
            "https://oss.test",
            OSS_KEYS | {"ALIBABA_CLOUD_SECURITY_TOKEN": "t"},
            {
                "base": "oss://models/",
                "object_storage": PAIR | {"endpoint": "https://oss.test", "security_token": "t"},
                "secret": "hunter2",
                "endpoint": "https://oss.test",
            },
        ),
        (
            "oss://models/m/w",
            "https://oss.test",
            {},
            {"base": "https://models.oss.test/", "if_match": True, "endpoint": "https://oss.test"},
        ),
        (
            "obs://models/m/w",
            "https://obs.test",
            OBS_KEYS,
            {
                "base": "obs://models/",
                "object_storage": PAIR | {"endpoint": "https://obs.test"},
                "secret": "hunter2",
                "endpoint": "https://obs.test",
            },
        ),
        (
            "cos://models-1/m/w",
            "https://cos.test",
            COS_KEYS,
            {
                "base": "cos://models-1/",
                "object_storage": PAIR | {"endpoint": "https://cos.test"},
                "secret": "hunter2",
                "endpoint": "https://cos.test",
            },
        ),
        (
            "hf://Org/Repo@refs%2Fpr%2F1/sub/w",
            "http://mirror.test",
            {"HF_TOKEN": "hunter2"},
            {
                "base": "hf://Org/Repo/",
                "hugging_face": {
                    "token": "hunter2",
                    "revision": "refs%2Fpr%2F1",
                    "base_url": "http://mirror.test",
                },
                "secret": "hunter2",
                "endpoint": "http://mirror.test",
            },
        ),
        (
            "modelscope://Org/Repo/w",
            "https://mirror.test",
            {},
            {
                "base": "modelscope://Org/Repo/",
                "model_scope": {"revision": "master", "base_url": "https://mirror.test"},
                "endpoint": "https://mirror.test",
            },
        ),
        (
            "hdfs://namenode/m/w",
            None,
            {"HDFS_DELEGATION_TOKEN": "hunter2"},
            {
                "base": "hdfs://namenode:9870/",
                "hdfs": {"delegation_token": "hunter2"},
                "secret": "hunter2",
                "endpoint": "http://namenode:9870",
            },
        ),
        (
            "http://web.test:8443/a%20b/w",
            None,
            {"HTTP_BEARER_TOKEN": "hunter2", "HTTP_USERNAME": "me"},
            {
                "base": "http://web.test:8443/",
                "headers": {"Authorization": "Bearer hunter2"},
                "if_match": True,
                "secret": "Bearer hunter2",
                "endpoint": "http://web.test:8443",
            },
        ),
        (
            "http://web.test/w",
            None,
            {"HTTP_USERNAME": "me", "HTTP_PASSWORD": "hunter2"},
            {
                "base": "http://web.test/",
                "headers": {"Authorization": "Basic bWU6aHVudGVyMg=="},
                "if_match": True,
                "secret": "Basic bWU6aHVudGVyMg==",
                "endpoint": "http://web.test",
            },
        ),
    ],
)
def test_what_dfdaemon_is_told(uri: str, endpoint: str | None, keys: dict[str, str], expected: dict[str, Any]) -> None:
    """Keys and endpoint are in fields of their own, and never in the URL; what is public is asked for by https."""
    found = source(uri, endpoint, keys)
    assert isinstance(found, PeerSource)
    assert asdict(found) == asdict(PeerSource(**expected))
    assert "hunter2" not in repr(found)
    assert "hunter2" not in found.url("m/w")


def test_every_user_of_a_site_has_a_task_of_their_own() -> None:
    """Neither the same password nor none makes two users one, or one of them the public."""
    users = [{}, {"HTTP_USERNAME": "a"}, {"HTTP_USERNAME": "b"}]
    users += [user | {"HTTP_PASSWORD": "hunter2"} for user in users[1:]]
    found = [source("http://web.test/w", None, keys) for keys in users]
    assert len({one.tag("etag") for one in found if isinstance(one, PeerSource)}) == len(users)


@pytest.mark.parametrize(
    ("uri", "endpoint", "keys", "environ", "why"),
    [
        ("s3://models/w", None, {}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, "the pod's own identity cannot be"),
        ("https://web.test/w", None, {"HTTP_BEARER_TOKEN": "t"}, {}, "checks no certificate of https://web.test"),
        ("hf://Org/Repo", None, {"HF_TOKEN": "t"}, {}, "checks no certificate of https://huggingface.co"),
        (
            "modelscope://Org/Repo",
            None,
            {"MODELSCOPE_API_TOKEN": "t"},
            {},
            "checks no certificate of https://modelscope.cn",
        ),
        (
            "gs://models/w",
            None,
            {"GOOGLE_CREDENTIALS": '{"type": "service_account"}'},
            {},
            "from a file on the node alone",
        ),
        (
            "cos://models-1/w",
            "https://cos.test",
            COS_KEYS | {"TENCENTCLOUD_SECURITY_TOKEN": "t"},
            {},
            "no temporary keys for COS",
        ),
        ("/", None, {}, {}, "a volume is read by its pod alone"),
    ],
)
def test_what_dfdaemon_cannot_read(
    uri: str, endpoint: str | None, keys: dict[str, str], environ: dict[str, str], why: str
) -> None:
    """The reason is a sentence for the status."""
    found = source(uri, endpoint, keys, environ)
    assert isinstance(found, str)
    assert why in found
