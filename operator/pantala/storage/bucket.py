"""What all object stores have in common: `scheme://bucket/key` is one object, a folder (prefix) of them, or a bucket."""

import re
from dataclasses import dataclass

from pantala.manifest.types import Invalid
from pantala.storage.base import BucketLocation, Source, StorageAccess
from pantala.storage.plain import Fields
from pantala.storage.uri import bad_uri, climbs, split


@dataclass(frozen=True)
class BucketStorage:
    """An object store."""

    scheme: str
    fields: Fields
    longest: int = 63
    """Characters of a bucket's name."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that the Secret may have."""
        return self.fields.keys

    def parse(self, uri: str) -> BucketLocation | Invalid:
        """Take the URI apart; the key is as the store lists it, not encoded."""
        bucket, key = split(uri)
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]+[a-z0-9]", bucket) or len(bucket) > self.longest:
            return bad_uri(f"'{uri}' has no valid bucket name; write {self.scheme}://bucket/path")
        if climbs(key) or "//" in key:
            return bad_uri(f"'{uri}' has an empty, '.' or '..' part in its key; write the key as the store lists it")
        return BucketLocation(self.scheme, bucket, key)

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass URI, endpoint and region as arguments, keys from the Secret."""
        location = self.parse(source.uri)
        return location if isinstance(location, Invalid) else self.fields.access(source)
