"""From a URI and credentials to an opendal operator and the path within it: one module per kind of store."""

from collections.abc import Mapping
from pathlib import Path

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.secrets import Credentials
from pantala.fetcher.stores import azblob, cos, gcs, hdfs, huggingface, local, modelscope, obs, oss, s3, web
from pantala.fetcher.stores.base import Access, Store
from pantala.manifest.types import Invalid
from pantala.storage.base import BucketLocation, HdfsLocation, HttpLocation, PvcLocation, RepoLocation
from pantala.storage.registry import parse

__all__ = ["Store", "open_store"]

_BUCKETS = {
    "s3": s3.open_bucket,
    "gs": gcs.open_bucket,
    "abs": azblob.open_bucket,
    "oss": oss.open_bucket,
    "obs": obs.open_bucket,
    "cos": cos.open_bucket,
}
_HUBS = {"hf": huggingface.open_repo, "modelscope": modelscope.open_repo}


def open_store(
    uri: str, *, endpoint: str | None, region: str | None, credentials: Credentials, environ: Mapping[str, str]
) -> Store:
    """Make the operator for a URI; nothing is asked yet.

    Args:
        uri: of any scheme that `pantala.storage` knows, or a path on this machine.
        endpoint: base URL of the service, where the URI does not name it.
        region: what S3 requests are signed for.
        credentials: the keys of the store.
        environ: where a pod's own identity is announced.

    Raises:
        FetchError: the URI, the endpoint or the keys cannot work.
    """
    if "://" not in uri or uri.startswith("file://"):
        return local.open_path(Path(uri.removeprefix("file://")).absolute(), uri)
    location = parse(uri)
    if isinstance(location, Invalid):
        raise FetchError(FetchFailure.INVALID, location.message)
    access = Access(endpoint, region, credentials, environ)
    match location:
        case BucketLocation():
            return _BUCKETS[location.scheme](location, access)
        case RepoLocation():
            return _HUBS[location.scheme](location, access)
        case HdfsLocation():
            return hdfs.open_path(location, access)
        case HttpLocation():
            return web.open_site(location, access)
        case PvcLocation():
            return local.open_claim(location)
