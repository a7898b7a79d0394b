"""URIs of weights, taken apart; every refusal names the value and the next step.

User-info in a URI (`https://me:password@host`) is refused and never repeated: it would be readable by everybody who may
read the resource.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from pantala.storage.base import Invalid

SUPPORTED = ("s3", "https", "http", "pvc")
"""Schemes that have a module here."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class S3Location:
    """An object, a folder (a prefix), or a whole bucket (empty key)."""

    bucket: str
    key: str


@dataclass(frozen=True)
class HttpLocation:
    """A file, or the index of a folder, on a web server."""

    origin: str
    """Scheme, host and port, without a trailing slash."""
    path: str
    """Decoded, without the leading slash."""
    index: bool
    """Whether the path is an index file that lists the others."""


@dataclass(frozen=True)
class PvcLocation:
    """A file or folder in a PersistentVolumeClaim; an empty path is its root."""

    claim: str
    path: str


Location = S3Location | HttpLocation | PvcLocation


def parse(uri: str) -> Location | Invalid:
    """Take a URI apart."""
    try:
        parts = urlsplit(uri)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        return _bad(f"cannot be read as a URI ({error}); write for example s3://bucket/path/model.mar")
    if "@" in parts.netloc:
        return _bad(f"holds credentials before '@{parts.hostname}'; remove them and name a Secret in storage.secretRef")
    if not port_is_fine or any(ord(character) < 32 or ord(character) == 127 for character in uri):  # noqa: PLR2004 - ASCII control characters
        return _bad(f"'{uri!r}' has port 0 or a control character; correct it")
    parser = {"s3": _s3, "https": _http, "http": _http, "pvc": _pvc}.get(parts.scheme)
    if parser is None:
        known = ", ".join(f"{scheme}://" for scheme in SUPPORTED if scheme != "http")
        return _bad(f"'{uri}' has no known scheme; use one of {known}")
    return parser(uri, parts)


def check_digest(digest: str) -> Invalid | None:
    """Refuse what is not `sha256:` and 64 lower-case hexadecimal digits."""
    if _DIGEST.fullmatch(digest):
        return None
    message = f"digest '{digest}' is not sha256: and 64 hexadecimal digits; `pantala digest URI` prints the right one"
    return Invalid("InvalidDigest", message, "digest")


def check_endpoint(endpoint: str) -> Invalid | None:
    """Refuse an endpoint that is more or less than scheme, host and port."""
    try:
        parts = urlsplit(endpoint)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return Invalid(
            "InvalidEndpoint", "endpoint cannot be read; write for example https://s3.example.com", "storage.endpoint"
        )
    if "@" in parts.netloc:
        message = f"endpoint holds credentials before '@{parts.hostname}'; name a Secret in storage.secretRef instead"
        return Invalid("InvalidEndpoint", message, "storage.endpoint")
    if not fine or parts.path not in ("", "/") or parts.query or parts.fragment:
        message = f"endpoint '{endpoint}' is not scheme, host and port; write for example https://s3.example.com"
        return Invalid("InvalidEndpoint", message, "storage.endpoint")
    return None


def climbs(path: str) -> bool:
    """Whether a relative path leaves its folder, or could be read as doing so."""
    return path.startswith("/") or "\\" in path or "\0" in path or any(part in ("..", ".") for part in path.split("/"))


def _bad(message: str) -> Invalid:
    return Invalid("InvalidURI", message if message.startswith("uri ") else f"uri {message}", "uri")


def _s3(uri: str, parts: SplitResult) -> S3Location | Invalid:
    if parts.query or parts.fragment:
        # urlsplit cuts a key that holds '?' or '#'; both are legal in S3
        parts = urlsplit(uri.replace("?", "%3F").replace("#", "%23"))
        key = parts.path.replace("%3F", "?").replace("%23", "#")
    else:
        key = parts.path
    key = key[1:]
    if not _BUCKET.fullmatch(parts.netloc):
        return _bad(f"'{uri}' has no valid bucket name; write s3://bucket/path")
    if climbs(key) or "//" in key:
        return _bad(f"'{uri}' has an empty, '.' or '..' part in its key; write the key as the store lists it")
    return S3Location(parts.netloc, key)


def _http(uri: str, parts: SplitResult) -> HttpLocation | Invalid:
    if not parts.hostname:
        return _bad(f"'{uri}' has no host; write https://host/path/model.mar")
    if parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        return _bad(
            f"'{shown}' has a query or a fragment; signed links expire, so use s3:// or storage.secretRef instead"
        )
    path = unquote(parts.path)[1:]
    if climbs(path) or "//" in path:
        return _bad(f"'{uri}' has an empty, '.' or '..' part in its path; write it out")
    folder = path == "" or path.endswith("/")
    path = f"{path}index.json" if folder else path
    return HttpLocation(f"{parts.scheme}://{parts.netloc}", path, index=path.rsplit("/", 1)[-1] == "index.json")


def _pvc(uri: str, parts: SplitResult) -> PvcLocation | Invalid:
    if not _CLAIM.fullmatch(parts.netloc):
        return _bad(f"'{uri}' has no valid claim name; write pvc://claim/path")
    path = uri.removeprefix(f"{parts.scheme}://{parts.netloc}").lstrip("/").rstrip("/")
    if climbs(path) or "//" in path:
        return _bad(f"'{uri}' leaves the volume or has an empty part; write pvc://claim/path")
    return PvcLocation(parts.netloc, path)
