"""S3 and what speaks its protocol.

Without a Secret nothing is set: the fetcher uses the pod's own identity where a platform injects one (web identity),
else it asks anonymously.
"""

from pantala.storage.bucket import BucketStorage
from pantala.storage.plain import Fields, Need

S3 = BucketStorage(
    "s3",
    Fields(
        "s3://",
        endpoint=Need.OPTIONAL,
        region=True,
        required_keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        optional_keys=("AWS_SESSION_TOKEN",),
    ),
)
"""`s3://bucket/key`."""
