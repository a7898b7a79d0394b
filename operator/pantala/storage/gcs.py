"""Google Cloud Storage.

The Secret holds the key of a service account, the JSON file as Google gives it; without one the bucket is read
anonymously. `storage.endpoint` is for emulators.
"""

from pantala.storage.bucket import BucketStorage
from pantala.storage.plain import Fields, Need

GCS = BucketStorage(
    "gs",
    Fields(
        "gs://",
        endpoint=Need.OPTIONAL,
        example="https://storage.googleapis.com",
        required_keys=("GOOGLE_CREDENTIALS",),
    ),
    longest=222,  # a name with dots; each part has at most 63
)
"""`gs://bucket/key`."""
