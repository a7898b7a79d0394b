"""What model hubs have in common: `scheme://owner/repo[@revision][/path]` is a repository, or a part of it.

A revision that holds a slash is written with `%2F` (`hf://owner/repo@refs%2Fpr%2F1`).
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pantala.manifest.types import Invalid
from pantala.storage.base import RepoLocation, Source, StorageAccess
from pantala.storage.plain import Fields
from pantala.storage.uri import bad_uri, climbs, split

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REVISION = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}"
_OTHER_KINDS = ("datasets", "models", "spaces")
"""What dfdaemon would take for the kind of the repository (dragonfly-client-backend 1.5.10, hugging_face.rs)."""


@dataclass(frozen=True)
class HubStorage:
    """A model hub."""

    scheme: str
    branch: str
    """The revision that is meant if none is named."""
    fields: Fields

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that the Secret may have."""
        return self.fields.keys

    def parse(self, uri: str) -> RepoLocation | Invalid:
        """Take the URI apart; the path is as the hub lists it, not encoded."""
        owner, rest = split(uri)
        repo, slash, path = rest.partition("/")
        name, at, revision = repo.partition("@")
        revision = unquote(revision) if at else self.branch
        form = f"write {self.scheme}://owner/repo, {self.scheme}://owner/repo@revision or .../path behind either"
        if owner in _OTHER_KINDS:
            return bad_uri(f"'{uri}' names no model by owner and repository; {form}")
        if not re.fullmatch(_NAME, owner) or not re.fullmatch(_NAME, name):
            return bad_uri(f"'{uri}' has no valid owner and repository; {form}")
        if not re.fullmatch(_REVISION, revision) or climbs(revision) or "//" in revision:
            return bad_uri(f"'{uri}' has no valid revision; {form}")
        if climbs(path) or "//" in path or (slash and not path and at):
            return bad_uri(f"'{uri}' has an empty, '.' or '..' part in its path; {form}")
        return RepoLocation(self.scheme, f"{owner}/{name}", revision, path)

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass URI and endpoint as arguments, the token from the Secret."""
        location = self.parse(source.uri)
        return location if isinstance(location, Invalid) else self.fields.access(source)
