"""manifests/dragonfly-values.yaml: its keys are the Dragonfly chart's, and the real dfdaemon does what its rules say."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.charts.standin_store import StandinStore, ask
from tests.cluster.addons.dragonfly import Dragonfly
from tests.cluster.errors import ClusterError

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "manifests/dragonfly-values.yaml"
KEYS = ROOT / "tests/data/dragonfly-chart-keys.txt"
RULE = {"regex", "useTLS", "redirect", "filteredQueryParams", "schedulingPolicy"}
"""Keys of a rule (dragonfly-client-config 1.5.10, struct Rule)."""

AMZ = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={0}&X-Amz-Date={0}&X-Amz-Expires=9&X-Amz-SignedHeaders=host"
AMZ += "&X-Amz-Signature={0}"
GOOG = AMZ.replace("X-Amz", "X-Goog")
SAS = "sv=2024-11-04&ss=b&srt=o&sp=r&se={0}&st={0}&spr=https&sig={0}"
DELEGATED = "sv=2024-11-04&sr=b&sp=r&se={0}&skoid={0}&sktid=t&skt={0}&ske={0}&sks=b&skv=2024-11-04&sig={0}"
QCLOUD = (
    "q-sign-algorithm=sha1&q-ak={0}&q-sign-time={0}&q-key-time={0}&q-header-list=host&q-url-param-list=&q-signature={0}"
)
STORES = {
    "s3": ("http://models.s3.eu-central-1.amazonaws.com/s3/a.mar", AMZ),
    "s3-old-host": ("http://models.s3.amazonaws.com/s3o/a.mar", AMZ + "&X-Amz-Security-Token={0}"),
    "s3-by-path": ("http://s3.us-west-2.amazonaws.com/s3p/a.mar", AMZ),
    "s3-china": ("http://models.s3.cn-north-1.amazonaws.com.cn/s3c/a.mar", AMZ),
    "gcs": ("http://storage.googleapis.com/gcs/a.mar", GOOG),
    "gcs-by-host": ("http://models.storage.googleapis.com/gcsh/a.mar", "GoogleAccessId={0}&Expires={0}&Signature={0}"),
    "azure-service-sas": ("http://acct.blob.core.windows.net/az/a.mar", SAS),
    "azure-delegation-sas": ("http://acct.blob.core.windows.net/azd/a.mar", DELEGATED),
    "oss": ("http://models.oss-cn-hangzhou.aliyuncs.com/oss/a.mar", "OSSAccessKeyId={0}&Expires={0}&Signature={0}"),
    "oss-v4": (
        "http://models.oss-cn-hangzhou.aliyuncs.com/oss4/a.mar",
        "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential={0}&x-oss-date={0}&x-oss-expires=9&x-oss-signature={0}",
    ),
    "obs": ("http://models.obs.cn-north-4.myhuaweicloud.com/obs/a.mar", "AccessKeyId={0}&Expires={0}&Signature={0}"),
    "obs-as-s3": ("http://models.obs.eu-west-101.myhuaweicloud.eu/obss/a.mar", AMZ + "&X-Obs-Date={0}"),
    "cos": ("http://models-125.cos.ap-guangzhou.myqcloud.com/cos/a.mar", QCLOUD),
    "huggingface": ("http://huggingface.co/org/model/resolve/main/model.safetensors", ""),
    "huggingface-cdn": (
        "http://cas-bridge.xethub.hf.co/xet-bridge-us/a",
        "X-Amz-Algorithm=A&X-Amz-Content-Sha256=U&" + AMZ.partition("&")[2] + "&X-Xet-Cas-Uid={0}&x-id=GetObject",
    ),
    "huggingface-lfs": ("http://cdn-lfs-us-1.hf.co/repos/a", "Policy={0}&Signature={0}&Key-Pair-Id={0}&Expires={0}"),
    "modelscope": ("http://www.modelscope.cn/api/v1/models/org/model/repo", "Revision=master&FilePath=a.bin"),
    "own-s3": ("http://minio.storage.svc/own/a.mar", AMZ),
    "own-s3-port": ("http://s3.example.com:9000/own9/a.mar", AMZ),
}
"""URLs of files, and their signatures with a hole for what differs from one signing to the next."""


def values() -> dict[str, Any]:
    """The file."""
    found: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    return found


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Paths of all values; a list is one."""
    for key, value in tree.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value:
            yield from leaves(value, here)
        else:
            yield here


def test_every_key_is_one_of_the_chart() -> None:
    """Each key of the file, or a parent that the chart takes as a whole, is in the chart's own list."""
    known = {line for line in KEYS.read_text().splitlines() if not line.startswith("#")}
    parents = {"client.resources", "seedClient.resources", "scheduler.resources"}
    unknown = [
        path
        for path in leaves(values())
        if path not in known and not any(path.startswith(f"{parent}.") for parent in parents)
    ]
    assert unknown == []
    assert not {"dfdaemon", "seedPeer", "cdn"} & values().keys(), "keys before Dragonfly 2.2"
    for rule in values()["client"]["config"]["proxy"]["rules"]:
        assert set(rule) <= RULE
        # In one item they would be one parameter that no URL has.
        assert not [name for name in rule.get("filteredQueryParams", ()) if not re.fullmatch(r"[A-Za-z0-9-]+", name)]


def test_storage_outlives_the_pod() -> None:
    """Pieces are on a folder of the node, mounted at the same path: so hard links below it work too."""
    client = values()["client"]
    (volume,) = [one for one in client["extraVolumes"] if one["name"] == "storage"]
    (mount,) = [one for one in client["extraVolumeMounts"] if one["name"] == "storage"]
    assert (
        volume["hostPath"]["path"] == mount["mountPath"].rstrip("/") == client["config"]["storage"]["dir"].rstrip("/")
    )
    assert client["config"]["storage"]["keep"]
    assert values()["seedClient"]["persistence"]["enable"]


@pytest.fixture(scope="module")
def store() -> Iterator[StandinStore]:
    """The one store behind all hosts."""
    started = StandinStore()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def proxy(store: StandinStore) -> Iterator[str]:
    """The proxy of a real dfdaemon that was started with the file's `client.config`.

    What it sends to stores goes to the stand-in, by http; and its folders and address are the test's.
    """
    config = values()["client"]["config"]
    del config["storage"]["dir"]
    for rule in config["proxy"]["rules"]:
        rule.pop("useTLS", None)
        rule["redirect"] = f"127.0.0.1:{store.port}"
    with Dragonfly("n1", config=config) as started:
        yield started["n1"].proxy


@pytest.mark.p2p
@pytest.mark.parametrize("name", STORES)
def test_signed_urls_of_one_file_are_one_task(proxy: str, store: StandinStore, name: str) -> None:
    """A URL of each store goes through the peers, and the same file under another signature is not read again."""
    url, signature = STORES[name]
    separator = "&" if signature else ""
    first, second, other = (
        f"{url}?{signature.format(quote(key))}{extra}"
        for key, extra in (("AKIA/1", ""), ("AKIA/2", ""), ("AKIA/1", f"{separator}versionId=2"))
    )
    before = store.given
    headers, size = ask(proxy, first)
    assert size == len(store.content)
    task = headers["x-dragonfly-task-id"]
    read = store.given - before
    assert read >= len(store.content)
    headers, size = ask(proxy, second)
    assert (headers["x-dragonfly-task-id"], size) == (task, len(store.content))
    assert store.given - before == read, "from the node's own disk"
    assert ask(proxy, other)[0]["x-dragonfly-task-id"] != task, "another version of the object is another task"


@pytest.mark.p2p
def test_both_spellings_of_the_thresholds_are_refused() -> None:
    """A dfdaemon does not start with old and new names of the disk thresholds, so the file names neither."""
    assert not [path for path in leaves(values()) if "ThresholdPercent" in path]
    policy = {"diskHighThresholdPercent": 90, "distHighThresholdPercent": 90}
    with pytest.raises(ClusterError, match="duplicate field"), Dragonfly("n1", config={"gc": {"policy": policy}}):
        pass


@pytest.mark.p2p
def test_an_endpoint_for_traces_needs_a_protocol() -> None:
    """The chart's empty protocol with an endpoint ends dfdaemon at its start, as the file says."""
    config = {"tracing": values()["client"]["config"]["tracing"] | {"endpoint": "127.0.0.1:4317"}}
    with pytest.raises(ClusterError, match="unsupported OTLP protocol"), Dragonfly("n1", config=config):
        pass
