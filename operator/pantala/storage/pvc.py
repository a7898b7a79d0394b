"""A PersistentVolumeClaim in the model's namespace, mounted read-only into the fetcher.

The weights are copied like those of any other store, so that what is served cannot change under the server.
"""

import re
from dataclasses import replace

from pantala.manifest.types import Invalid
from pantala.storage.base import PvcLocation, Source, StorageAccess
from pantala.storage.plain import Fields
from pantala.storage.uri import bad_uri, climbs, split

MOUNT_PATH = "/source"
"""Where the fetcher finds the claim."""
VOLUME_NAME = "source"
"""Name of the volume in the pod."""
FIELDS = Fields("pvc://")
"""There is nothing secret about a claim, and nothing to configure."""
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class PvcStorage:
    """`pvc://claim/path`: a file or a folder in a claim."""

    keys = FIELDS.keys
    """Keys that the Secret may have."""

    def parse(self, uri: str) -> PvcLocation | Invalid:
        """Take the URI apart."""
        claim, path = split(uri)
        if not _CLAIM.fullmatch(claim):
            return bad_uri(f"'{uri}' has no valid claim name; write pvc://claim/path")
        path = path.strip("/")
        if climbs(path) or "//" in path:
            return bad_uri(f"'{uri}' leaves the volume or has an empty part; write pvc://claim/path")
        return PvcLocation(claim, path)

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Mount the claim."""
        location = self.parse(source.uri)
        if isinstance(location, Invalid):
            return location
        access = FIELDS.access(source)
        if isinstance(access, Invalid):
            return access
        volume = {"name": VOLUME_NAME, "persistentVolumeClaim": {"claimName": location.claim, "readOnly": True}}
        mount = {"name": VOLUME_NAME, "mountPath": MOUNT_PATH, "readOnly": True}
        return replace(access, volumes=(volume,), mounts=(mount,))
