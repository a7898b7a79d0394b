"""Web servers: one file, or a folder that an index file describes.

A web server cannot be listed, so a folder needs `index.json` (`{"files": [{"path", "size", "sha256"}]}`); a URI that
ends in `/` means the index in that folder. All keys of the Secret are optional, because a server asks for one kind of
credential at most.
"""

from urllib.parse import unquote, urlsplit

from pantala.manifest.types import Invalid
from pantala.storage.base import HttpLocation, Source, StorageAccess
from pantala.storage.plain import Fields
from pantala.storage.uri import bad_uri, climbs

FIELDS = Fields("https://", optional_keys=("HTTP_USERNAME", "HTTP_PASSWORD", "HTTP_BEARER_TOKEN"))
"""What of `storage` has an effect."""


class HttpsStorage:
    """`https://host/path/file`, `https://host/folder/` or `https://host/folder/index.json`."""

    keys = FIELDS.keys
    """Keys that the Secret may have."""

    def parse(self, uri: str) -> HttpLocation | Invalid:
        """Take the URI apart; the path is encoded in it, as everywhere on the web."""
        parts = urlsplit(uri)
        if not parts.hostname:
            return bad_uri(f"'{uri}' has no host; write https://host/path/model.mar")
        if parts.query or parts.fragment:
            shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
            return bad_uri(
                f"'{shown}' has a query or a fragment; signed links expire, so use s3:// or storage.secretRef instead"
            )
        path = unquote(parts.path)[1:]
        if climbs(path) or "//" in path:
            return bad_uri(f"'{uri}' has an empty, '.' or '..' part in its path; write it out")
        folder = path == "" or path.endswith("/")
        path = f"{path}index.json" if folder else path
        return HttpLocation(f"{parts.scheme}://{parts.netloc}", path, index=path.rsplit("/", 1)[-1] == "index.json")

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass the URI as argument, credentials from the Secret."""
        location = self.parse(source.uri)
        return location if isinstance(location, Invalid) else FIELDS.access(source)
