"""What all kinds of stores check alike; every refusal names the value and the next step.

User-info in a URI (`https://me:password@host`) is refused and never repeated: it would be readable by everybody who may
read the resource.
"""

import re
from urllib.parse import urlsplit

from pantala.manifest.types import Invalid

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def check_digest(digest: str) -> Invalid | None:
    """Refuse what is not `sha256:` and 64 lower-case hexadecimal digits."""
    if _DIGEST.fullmatch(digest):
        return None
    message = f"digest '{digest}' is not sha256: and 64 hexadecimal digits; `pantala digest URI` prints the right one"
    return Invalid("InvalidDigest", message, "digest")


def check_endpoint(endpoint: str, *, example: str = "https://s3.example.com", path: bool = False) -> Invalid | None:
    """Refuse an endpoint that is more or less than scheme, host and port.

    Args:
        endpoint: what the resource says.
        example: what to write instead.
        path: whether one more part (of letters and digits) is fine.
    """
    try:
        parts = urlsplit(endpoint)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return bad_endpoint(f"endpoint cannot be read; write for example {example}")
    if "@" in parts.netloc:
        return bad_endpoint(
            f"endpoint holds credentials before '@{parts.hostname}'; name a Secret in storage.secretRef instead"
        )
    tail = parts.path.strip("/")
    if not fine or parts.query or parts.fragment or (tail and not (path and tail.isalnum())):
        return bad_endpoint(f"endpoint '{endpoint}' is not scheme, host and port; write for example {example}")
    return None


def check_common(uri: str) -> Invalid | None:
    """Refuse what is wrong in a URI of any scheme."""
    try:
        parts = urlsplit(uri)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        return bad_uri(f"cannot be read as a URI ({error}); write for example s3://bucket/path/model.mar")
    if "@" in parts.netloc:
        return bad_uri(
            f"holds credentials before '@{parts.hostname}'; remove them and name a Secret in storage.secretRef"
        )
    if not port_is_fine or any(ord(character) < 32 or ord(character) == 127 for character in uri):  # noqa: PLR2004 - ASCII control characters
        return bad_uri(f"'{uri!r}' has port 0 or a control character; correct it")
    return None


def climbs(path: str) -> bool:
    """Whether a relative path leaves its folder, or could be read as doing so."""
    return path.startswith("/") or "\\" in path or "\0" in path or any(part in ("..", ".") for part in path.split("/"))


def split(uri: str) -> tuple[str, str]:
    """Give authority and path without its leading slash, character by character: a key may hold `?` and `#`."""
    authority, _, path = uri.partition("://")[2].partition("/")
    return authority, path


def bad_uri(message: str) -> Invalid:
    """Make the refusal of a URI."""
    return Invalid("InvalidURI", f"uri {message}", "uri")


def bad_endpoint(message: str) -> Invalid:
    """Make the refusal of an endpoint."""
    return Invalid("InvalidEndpoint", message, "storage.endpoint")
