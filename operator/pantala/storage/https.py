"""Web servers: one file, or a folder that an index file describes.

A web server cannot be listed, so a folder needs `index.json` (`{"files": [{"path", "size", "sha256"}]}`); a URI that
ends in `/` means the index in that folder. All keys of the Secret are optional, because a server asks for one kind of
credential at most.
"""

from pantala.storage.base import Invalid, Source, StorageAccess, secret_env
from pantala.storage.uri import check_digest, parse

OPTIONAL_KEYS = ("HTTP_USERNAME", "HTTP_PASSWORD", "HTTP_BEARER_TOKEN")
"""Keys that the Secret may have."""


class HttpsStorage:
    """`https://host/path/file`, `https://host/folder/` or `https://host/folder/index.json`."""

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass the URI as argument, credentials from the Secret."""
        location = parse(source.uri)
        if isinstance(location, Invalid):
            return location
        for field, value in (("endpoint", source.endpoint), ("region", source.region)):
            if value is not None:
                message = f"storage.{field} '{value}' has no effect on an https:// uri; remove it"
                return Invalid("InvalidStorage", message, f"storage.{field}")
        args = ["--uri", source.uri]
        if source.digest is not None:
            if invalid := check_digest(source.digest):
                return invalid
            args += ["--digest", source.digest]
        if source.secret_name is None:
            return StorageAccess(tuple(args))
        env = tuple(secret_env(source.secret_name, key, optional=True) for key in OPTIONAL_KEYS)
        return StorageAccess(tuple(args), env)
