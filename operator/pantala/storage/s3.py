"""S3 and what speaks its protocol.

With a Secret the two keys are required, so that the kubelet names a missing one before anything starts. Without a
Secret nothing is set: the fetcher uses the pod's own identity where a platform injects one (web identity), else it asks
anonymously.
"""

from pantala.storage.base import Invalid, Source, StorageAccess, secret_env
from pantala.storage.uri import check_digest, check_endpoint, parse

REQUIRED_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Keys that the Secret must have."""
OPTIONAL_KEYS = ("AWS_SESSION_TOKEN",)
"""Keys that the Secret may have."""


class S3Storage:
    """`s3://bucket/key`: one object, or a folder of them."""

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass URI, endpoint and region as arguments, keys from the Secret."""
        location = parse(source.uri)
        if isinstance(location, Invalid):
            return location
        args = ["--uri", source.uri]
        if source.endpoint is not None:
            if invalid := check_endpoint(source.endpoint):
                return invalid
            args += ["--endpoint", source.endpoint]
        if source.region is not None:
            args += ["--region", source.region]
        if source.digest is not None:
            if invalid := check_digest(source.digest):
                return invalid
            args += ["--digest", source.digest]
        if source.secret_name is None:
            return StorageAccess(tuple(args))
        env = [secret_env(source.secret_name, key, optional=False) for key in REQUIRED_KEYS]
        env += [secret_env(source.secret_name, key, optional=True) for key in OPTIONAL_KEYS]
        return StorageAccess(tuple(args), tuple(env))
