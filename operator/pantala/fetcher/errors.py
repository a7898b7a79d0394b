"""From what opendal and the kernel say to a reason, a sentence and a next step.

opendal's exceptions carry no fields: kind, whether a retry may help, and the store's own code are in the text
(`NotFound (permanent) at read => S3Error { code: "NoSuchKey", ...`, opendal 0.47). Only those three are taken from it,
never the text as a whole: it holds URLs and response headers. What a blocking file raises is an OSError with the same
text (and no errno), so the kind is read from the text and not from the type.
"""

import errno
import re

from pantala.errors import FetchFailure

_HEAD = re.compile(r"^(\w+) \((\w+)\)")
_STORE_CODE = re.compile(r'code: "(\w+)"')
_STATUS = re.compile(r"status: (\d{3})")
_SOURCE = re.compile(r"(?:Source:\n\s+|, source: )(.*)")
_URL = re.compile(r" for url \(.*\)")
_DENIED_CODES = {
    "AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "RequestTimeTooSkewed", "AllAccessDisabled", "AuthorizationHeaderMalformed", "InvalidSecurity", "NotSignedUp",
}  # fmt: skip
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SHORT_READ = "reader got too"


class FetchError(Exception):
    """A fetch that ended: the reason decides the exit code, the message names the object and the next step."""

    def __init__(self, failure: FetchFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message


class Transient(Exception):  # noqa: N818 - it is no error until the retries are spent
    """Trying again may help; `args[0]` says what happened, without URLs."""


class ShortRead(Transient):
    """The answer held more or fewer bytes than were asked for."""


def classify(error: Exception, subject: str) -> FetchError | Transient:
    """Turn an exception of opendal into a reason.

    Args:
        error: what opendal raised.
        subject: what was being read, for the message (`s3://bucket/key`).
    """
    text = str(error)
    code = _first(_STORE_CODE, text)
    status = _first(_STATUS, text)
    kind = _first(_HEAD, text) or type(error).__name__
    if kind == "ConditionNotMatch":
        return changed(subject)
    if code == "NoSuchBucket":
        message = f"bucket of {subject} does not exist; create it, or correct the uri or storage.endpoint"
        return FetchError(FetchFailure.NOT_FOUND, message)
    if kind == "NotFound":
        message = f"{subject} does not exist; upload it, or correct the uri"
        return FetchError(FetchFailure.NOT_FOUND, message)
    if kind == "PermissionDenied" or code in _DENIED_CODES or status in ("401", "407"):
        detail = f" ({code})" if code else f" (HTTP {status})" if status else ""
        message = f"{subject}: the store denied access{detail}; check the keys in the Secret of storage.secretRef and their rights"
        return FetchError(FetchFailure.DENIED, message)
    return _by_words(text, subject) or _other(kind, text, subject, code, status)


def changed(subject: str) -> FetchError:
    """The object is no longer the one that was listed."""
    message = (
        f"{subject} was replaced while it was read; weights of a version must not change: upload under another uri"
    )
    return FetchError(FetchFailure.CHANGED_WHILE_READING, message)


def disk_full(where: str, needed: int, available: int) -> FetchError:
    """The volume is too small (bytes)."""
    message = f"{where}: {needed} bytes are needed and {available} are available; raise the size of storage.cache, or free space"
    return FetchError(FetchFailure.DISK_FULL, message)


def from_os(error: OSError, where: str) -> FetchError:
    """Turn an error of the local file system into a reason."""
    if error.errno in _NO_SPACE:
        message = (
            f"{where}: writing failed ({errno.errorcode[error.errno]}); raise the size of storage.cache, or free space"
        )
        return FetchError(FetchFailure.DISK_FULL, message)
    message = f"{where}: {error.strerror or type(error).__name__}; the volume must be writable for the fetcher's user"
    return FetchError(FetchFailure.INVALID, message)


def _by_words(text: str, subject: str) -> FetchError | None:
    """What opendal 0.47 tells by nothing but its words."""
    if "failed to load signing credential" in text:
        return FetchError(FetchFailure.DENIED, f"{subject}: no usable credentials; name a Secret in storage.secretRef")
    if "does not contain file content length" in text:
        message = f"{subject}: the server announces no length (Content-Length); serve it as a plain file"
        return FetchError(FetchFailure.INVALID, message)
    return None


def _other(kind: str, text: str, subject: str, code: str | None, status: str | None) -> FetchError | Transient:
    if _SHORT_READ in text or kind == "RangeNotSatisfied":
        return ShortRead("the answer was longer or shorter than asked for")
    head = _HEAD.match(text)
    temporary = head is None or head[2] != "permanent"
    source = _URL.sub("", _first(_SOURCE, text) or "").rsplit(": ", 1)[-1]
    what = code or (f"HTTP {status}" if status else source or kind)
    if temporary or kind == "RateLimited" or (status or "").startswith("5"):
        return Transient(what)
    if kind == "Unexpected" and status is None:
        return Transient(what)  # a broken connection or body; opendal is not sure, and neither are we
    message = f"{subject}: the store answered {what}; check uri, storage.endpoint and storage.region"
    return FetchError(FetchFailure.INVALID, message)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None
