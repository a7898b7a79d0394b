"""What each kind of store gives to the fetcher's container, and what is refused."""

import ast
from pathlib import Path

import pytest

import pantala.storage
from pantala.manifest.types import Invalid
from pantala.storage.base import (
    BucketLocation,
    HdfsLocation,
    HttpLocation,
    Location,
    PvcLocation,
    RepoLocation,
    Source,
    StorageAccess,
)
from pantala.storage.registry import for_uri, parse

KNOWN = "s3://, gs://, abs://, oss://, obs://, cos://, hf://, modelscope://, hdfs://, https://, pvc://"
DIGEST = "sha256:" + "ab" * 32


def access(source: Source) -> StorageAccess | Invalid:
    store = for_uri(source.uri)
    return store if isinstance(store, Invalid) else store.access(source)


def key(name: str, secret: str, *, optional: bool) -> dict[str, object]:
    ref: dict[str, object] = {"name": secret, "key": name}
    if optional:
        ref["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": ref}}


def test_s3_with_everything() -> None:
    """The two keys are required, so that the kubelet names a missing one; a session token is not."""
    source = Source("s3://models/resnet/1/resnet.mar", "https://s3.example.com:9000", "eu-1", DIGEST, "store")
    assert access(source) == StorageAccess(
        args=(
            "--uri", "s3://models/resnet/1/resnet.mar",
            "--endpoint", "https://s3.example.com:9000",
            "--region", "eu-1",
            "--digest", DIGEST,
        ),
        env=(
            key("AWS_ACCESS_KEY_ID", "store", optional=False),
            key("AWS_SECRET_ACCESS_KEY", "store", optional=False),
            key("AWS_SESSION_TOKEN", "store", optional=True),
        ),
    )  # fmt: skip


def test_s3_without_a_secret_sets_nothing() -> None:
    """Anonymous, or the pod's own identity."""
    assert access(Source("s3://models/resnet/")) == StorageAccess(("--uri", "s3://models/resnet/"))


@pytest.mark.parametrize(
    ("uri", "endpoint", "required", "optional"),
    [
        ("gs://models/m/", None, ["GOOGLE_CREDENTIALS"], []),
        ("abs://models/m/", "https://me.blob.core.windows.net", ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"], []),
        ("abs://models/m/", "http://azurite:10000/me", ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"], []),
        (
            "oss://models/m/",
            "https://oss-cn-hangzhou.aliyuncs.com",
            ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            ["ALIBABA_CLOUD_SECURITY_TOKEN"],
        ),
        (
            "obs://models/m/",
            "https://obs.eu-west-101.myhuaweicloud.com",
            ["HUAWEI_CLOUD_ACCESS_KEY_ID", "HUAWEI_CLOUD_SECRET_ACCESS_KEY"],
            [],
        ),
        (
            "cos://models-1250000000/m/",
            "https://cos.ap-singapore.myqcloud.com",
            ["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"],
            ["TENCENTCLOUD_SECURITY_TOKEN"],
        ),
        ("hf://Org/Repo@v1.0/sub", "https://mirror.example.com", ["HF_TOKEN"], []),
        ("modelscope://Org/Repo", None, ["MODELSCOPE_API_TOKEN"], []),
        ("hdfs://namenode:9870/models/m", None, ["HDFS_DELEGATION_TOKEN"], []),
    ],
)
def test_the_other_stores(uri: str, endpoint: str | None, required: list[str], optional: list[str]) -> None:
    """The same shape: what is no secret in arguments, keys from the Secret, required ones required."""
    args = ("--uri", uri, *(("--endpoint", endpoint) if endpoint else ()), "--digest", DIGEST)
    keys = [key(name, "store", optional=False) for name in required]
    keys += [key(name, "store", optional=True) for name in optional]
    source = Source(uri, endpoint, digest=DIGEST, secret_name="store")
    assert access(source) == StorageAccess(args, tuple(keys))


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://models/a?b#c%20d", BucketLocation("s3", "models", "a?b#c%20d")),
        ("gs://some.domain.example.com", BucketLocation("gs", "some.domain.example.com", "")),
        ("ABS://models/m/", BucketLocation("abs", "models", "m/")),
        ("hf://Org/Re.po", RepoLocation("hf", "Org/Re.po", "main", "")),
        ("hf://Org/Repo@refs%2Fpr%2F1/a b/c@d", RepoLocation("hf", "Org/Repo", "refs/pr/1", "a b/c@d")),
        ("modelscope://Org/Repo/", RepoLocation("modelscope", "Org/Repo", "master", "")),
        ("hdfs://namenode/m/w", HdfsLocation("namenode:9870", "m/w")),
        ("hdfs://10.0.0.1:50070/", HdfsLocation("10.0.0.1:50070", "")),
        ("https://host/a%20b/", HttpLocation("https://host", "a b/index.json", index=True)),
        ("pvc://claim/m/", PvcLocation("claim", "m")),
    ],
)
def test_what_a_uri_means(uri: str, location: Location) -> None:
    """Keys and paths are what the store lists, character by character; only the web's are encoded."""
    assert parse(uri) == location


def test_https_keys_are_all_optional() -> None:
    """A server asks for one kind of credential."""
    names = ("HTTP_USERNAME", "HTTP_PASSWORD", "HTTP_BEARER_TOKEN")
    assert access(Source("https://host/a/b.onnx", secret_name="web")) == StorageAccess(
        ("--uri", "https://host/a/b.onnx"), tuple(key(name, "web", optional=True) for name in names)
    )


def test_pvc_is_mounted_read_only() -> None:
    """The claim is a volume of the pod, mounted in the fetcher."""
    assert access(Source("pvc://weights/resnet", digest=DIGEST)) == StorageAccess(
        ("--uri", "pvc://weights/resnet", "--digest", DIGEST),
        volumes=({"name": "source", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}},),
        mounts=({"name": "source", "mountPath": "/source", "readOnly": True},),
    )


@pytest.mark.parametrize(
    ("source", "field", "message"),
    [
        (Source("ftp://b/x"), "uri", f"uri 'ftp://b/x' has no known scheme; use one of {KNOWN}"),
        (Source("resnet.mar"), "uri", f"uri 'resnet.mar' has no known scheme; use one of {KNOWN}"),
        (Source("s3:///x"), "uri", "uri 's3:///x' has no valid bucket name; write s3://bucket/path"),
        (
            Source("s3://b-1/a//b"),
            "uri",
            "uri 's3://b-1/a//b' has an empty, '.' or '..' part in its key; write the key as the store lists it",
        ),
        (
            Source("https://me:hunter2@host/x"),
            "uri",
            "uri holds credentials before '@host'; remove them and name a Secret in storage.secretRef",
        ),
        (
            Source("https://host/x?sig=hunter2"),
            "uri",
            "uri 'https://host/x' has a query or a fragment; signed links expire, so use s3:// or storage.secretRef instead",
        ),
        (
            Source("pvc://c/../x"),
            "uri",
            "uri 'pvc://c/../x' leaves the volume or has an empty part; write pvc://claim/path",
        ),
        (Source("pvc://UP/x"), "uri", "uri 'pvc://UP/x' has no valid claim name; write pvc://claim/path"),
        (
            Source("oss://models/x"),
            "storage.endpoint",
            "an oss:// uri needs storage.endpoint; write for example https://oss-cn-hangzhou.aliyuncs.com",
        ),
        (
            Source("abs://models/x", endpoint="https://me.blob.core.windows.net/a/b"),
            "storage.endpoint",
            "endpoint 'https://me.blob.core.windows.net/a/b' is not scheme, host and port; write for example https://ACCOUNT.blob.core.windows.net",
        ),
        (
            Source("obs://models/x", endpoint="https://obs.test:8443", secret_name="s"),
            "storage.endpoint",
            "endpoint 'https://obs.test:8443' has a port, which has no effect for obs://; remove it",
        ),
        (
            Source("cos://models-1/x", endpoint="https://cos.test"),
            "storage.secretRef",
            "a cos:// uri needs storage.secretRef, a Secret with TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY",
        ),
        (
            Source("gs://models/x", region="eu"),
            "storage.region",
            "storage.region 'eu' has no effect on a gs:// uri; remove it",
        ),
        (
            Source("hdfs://namenode/x", endpoint="http://namenode:9870"),
            "storage.endpoint",
            "storage.endpoint 'http://namenode:9870' has no effect on an hdfs:// uri; remove it",
        ),
        (
            Source("hf://gpt2"),
            "uri",
            "uri 'hf://gpt2' has no valid owner and repository; write hf://owner/repo, hf://owner/repo@revision or .../path behind either",
        ),
        (
            Source("modelscope://datasets/a/b"),
            "uri",
            "uri 'modelscope://datasets/a/b' names no model by owner and repository; write modelscope://owner/repo, modelscope://owner/repo@revision or .../path behind either",
        ),
        (
            Source("hf://me/repo@/x"),
            "uri",
            "uri 'hf://me/repo@/x' has no valid revision; write hf://owner/repo, hf://owner/repo@revision or .../path behind either",
        ),
        (
            Source("hf://token@org/repo"),
            "uri",
            "uri holds credentials before '@org'; remove them and name a Secret in storage.secretRef",
        ),
        (
            Source("hdfs:///x"),
            "uri",
            "uri 'hdfs:///x' has no host of a name node; write hdfs://namenode:9870/path",
        ),
        (
            Source("s3://bucket/x", endpoint="s3.example.com"),
            "storage.endpoint",
            "endpoint 's3.example.com' is not scheme, host and port; write for example https://s3.example.com",
        ),
        (
            Source("s3://bucket/x", endpoint="https://me:hunter2@s3.example.com"),
            "storage.endpoint",
            "endpoint holds credentials before '@s3.example.com'; name a Secret in storage.secretRef instead",
        ),
        (
            Source("https://host/x", endpoint="https://other"),
            "storage.endpoint",
            "storage.endpoint 'https://other' has no effect on an https:// uri; remove it",
        ),
        (
            Source("https://host/x", region="eu"),
            "storage.region",
            "storage.region 'eu' has no effect on an https:// uri; remove it",
        ),
        (
            Source("pvc://c/x", secret_name="s"),
            "storage.secretRef",
            "storage.secretRef 's' has no effect on a pvc:// uri; remove it",
        ),
        (
            Source("s3://bucket/x", digest="md5:1"),
            "digest",
            "digest 'md5:1' is not sha256: and 64 hexadecimal digits; `pantala digest URI` prints the right one",
        ),
    ],
)
def test_refusals_name_field_value_and_next_step(source: Source, field: str, message: str) -> None:
    """Nothing is ignored, and no credential is repeated."""
    result = access(source)
    assert isinstance(result, Invalid)
    assert (result.field, result.message) == (field, message)
    assert "hunter2" not in repr(result)


def test_the_layer_is_pure() -> None:
    """No module here can read, wait or ask: that is what makes the planner's tests fast."""
    allowed = {"collections", "dataclasses", "enum", "typing", "re", "urllib", "pantala"}
    for path in Path(pantala.storage.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path
