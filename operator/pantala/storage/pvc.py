"""A PersistentVolumeClaim in the model's namespace, mounted read-only into the fetcher.

The weights are copied like those of any other store, so that what is served cannot change under the server.
"""

from pantala.storage.base import Invalid, Source, StorageAccess
from pantala.storage.uri import PvcLocation, check_digest, parse

MOUNT_PATH = "/source"
"""Where the fetcher finds the claim."""
VOLUME_NAME = "source"
"""Name of the volume in the pod."""


class PvcStorage:
    """`pvc://claim/path`: a file or a folder in a claim."""

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Mount the claim; there is nothing secret about it."""
        location = parse(source.uri)
        if isinstance(location, Invalid):
            return location
        if not isinstance(location, PvcLocation):
            return Invalid("InvalidURI", f"uri '{source.uri}' is not pvc://claim/path", "uri")
        given = (("endpoint", source.endpoint), ("region", source.region), ("secretRef", source.secret_name))
        for field, value in given:
            if value is not None:
                message = f"storage.{field} '{value}' has no effect on a pvc:// uri; remove it"
                return Invalid("InvalidStorage", message, f"storage.{field}")
        args = ["--uri", source.uri]
        if source.digest is not None:
            if invalid := check_digest(source.digest):
                return invalid
            args += ["--digest", source.digest]
        volume = {"name": VOLUME_NAME, "persistentVolumeClaim": {"claimName": location.claim, "readOnly": True}}
        mount = {"name": VOLUME_NAME, "mountPath": MOUNT_PATH, "readOnly": True}
        return StorageAccess(tuple(args), volumes=(volume,), mounts=(mount,))
