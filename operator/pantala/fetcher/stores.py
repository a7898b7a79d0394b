"""From a URI and credentials to an opendal operator and the path within it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import opendal
from opendal.layers import TimeoutLayer

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.secrets import Credentials
from pantala.fetcher.source import PeerSource
from pantala.storage.base import Invalid
from pantala.storage.pvc import MOUNT_PATH
from pantala.storage.uri import HttpLocation, PvcLocation, S3Location, check_endpoint, parse

CONTROL_TIMEOUT = 30.0
"""Seconds for a HEAD or a page of a listing."""
IO_TIMEOUT = 30.0
"""Seconds without a byte before a read is given up and tried again."""
_IDENTITY = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


@dataclass(frozen=True)
class Store:
    """A store that can be read, and where in it the model is."""

    operator: opendal.AsyncOperator
    path: str
    """Within the operator, without leading slash; empty is the root."""
    shown: str
    """The URI of the operator's root for messages, without a trailing slash."""
    lists: bool
    """Whether the store can be listed; a web server cannot."""
    index: bool = False
    """Whether `path` is an index file."""
    trusts_if_match: bool = False
    """Whether the store is known to honour If-Match on ranges (a web server may ignore it)."""
    peer_source: PeerSource | str = "dfdaemon does not read this kind of store"
    """How the node's dfdaemon reads the store, or why it cannot."""

    @cached_property
    def blocking(self) -> opendal.Operator:
        """The same store for threads, whose files are read into buffers of ours."""
        return self.operator.to_operator()

    def subject(self, path: str) -> str:
        """How a message names an object."""
        return f"{self.shown}/{path}"


def open_store(
    uri: str, *, endpoint: str | None, region: str | None, credentials: Credentials, environ: Mapping[str, str]
) -> Store:
    """Make the operator for a URI; nothing is asked yet.

    Args:
        uri: s3, http(s), pvc or file URI, or a path on this machine.
        endpoint: base URL of an S3 store that is not AWS.
        region: what S3 requests are signed for.
        credentials: keys, user and password, or token.
        environ: where a pod's own identity is announced.

    Raises:
        FetchError: the URI or the endpoint cannot work.
    """
    if "://" not in uri or uri.startswith("file://"):
        return _local(Path(uri.removeprefix("file://")).absolute(), uri)
    location = parse(uri)
    if isinstance(location, Invalid):
        raise FetchError(FetchFailure.INVALID, location.message)
    if endpoint is not None and (invalid := check_endpoint(endpoint)):
        raise FetchError(FetchFailure.INVALID, invalid.message)
    match location:
        case S3Location(bucket, key):
            options = _s3_options(bucket, endpoint, region, credentials, environ)
            peers = _s3_peers(bucket, options)
            operator = _operator("s3", options)
            return Store(operator, key, f"s3://{bucket}", lists=True, trusts_if_match=True, peer_source=peers)
        case HttpLocation(origin, path, index):
            options = {"endpoint": origin, "root": "/"}
            for option, name in (
                ("username", "HTTP_USERNAME"),
                ("password", "HTTP_PASSWORD"),
                ("token", "HTTP_BEARER_TOKEN"),
            ):
                if value := credentials.get(name):
                    options[option] = value
            if "token" in options:
                options.pop("username", None)
                options.pop("password", None)
            return Store(_operator("http", options), path, origin, lists=False, index=index)
        case PvcLocation(claim, path):
            return _mounted(claim, path)


def _operator(scheme: str, options: dict[str, str]) -> opendal.AsyncOperator:
    try:
        operator = opendal.AsyncOperator(scheme, **options)
    except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
        message = f"the store cannot be set up ({type(error).__name__}); check uri, storage.endpoint and storage.region"
        raise FetchError(FetchFailure.INVALID, message) from None
    return operator.layer(TimeoutLayer(timeout=CONTROL_TIMEOUT, io_timeout=IO_TIMEOUT))


def _s3_options(
    bucket: str, endpoint: str | None, region: str | None, credentials: Credentials, environ: Mapping[str, str]
) -> dict[str, str]:
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    options = {"bucket": bucket, "region": region, "root": "/", "disable_ec2_metadata": "true"}
    options["endpoint"] = endpoint or f"https://s3.{region}.amazonaws.com"
    key, secret = credentials.get("AWS_ACCESS_KEY_ID"), credentials.get("AWS_SECRET_ACCESS_KEY")
    if (key is None) != (secret is None):
        missing = "AWS_ACCESS_KEY_ID" if key is None else "AWS_SECRET_ACCESS_KEY"
        raise FetchError(FetchFailure.DENIED, f"{missing} is missing; add it to the Secret of storage.secretRef")
    if key is not None and secret is not None:
        options |= {"access_key_id": key, "secret_access_key": secret, "disable_config_load": "true"}
        if token := credentials.get("AWS_SESSION_TOKEN"):
            options["session_token"] = token
    elif not any(environ.get(name) for name in _IDENTITY):
        options |= {"skip_signature": "true", "disable_config_load": "true"}
    return options


def _s3_peers(bucket: str, options: Mapping[str, str]) -> PeerSource | str:
    if "access_key_id" not in options:
        return "dfdaemon reads S3 with keys only; name a Secret with them in storage.secretRef"
    fields = {
        "region": options["region"],
        "endpoint": options["endpoint"],
        "access_key_id": options["access_key_id"],
        "access_key_secret": options["secret_access_key"],
    }
    if token := options.get("session_token"):
        fields["session_token"] = token
    return PeerSource(
        f"s3://{bucket}/",
        object_storage=fields,
        secret=options["secret_access_key"],
        endpoint=options["endpoint"],
    )


def _mounted(claim: str, path: str) -> Store:
    root = Path(MOUNT_PATH)
    if not root.is_dir():
        message = f"claim {claim} is not mounted at {MOUNT_PATH}; this uri works in a pod of the operator only"
        raise FetchError(FetchFailure.NOT_FOUND, message)
    return Store(_operator("fs", {"root": str(root)}), path, f"pvc://{claim}", lists=True)


def _local(path: Path, uri: str) -> Store:
    if not path.exists():
        raise FetchError(FetchFailure.NOT_FOUND, f"{uri} does not exist; correct the path")
    name = path.name + ("/" if path.is_dir() else "")
    return Store(_operator("fs", {"root": str(path.parent)}), name, str(path.parent).rstrip("/"), lists=True)


def host_of(uri: str) -> str:
    """The scheme and host of a URI, for log lines that must not hold user-info."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname or ''}"
