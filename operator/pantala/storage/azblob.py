"""Azure Blob Storage; what other stores call a bucket is a container here.

The endpoint names the account (`https://ACCOUNT.blob.core.windows.net`); that of the emulator Azurite has the account in
its path. Shared access signatures are not taken: dfdaemon has no field for them, and as a part of a URL they would be
readable by everybody.
"""

from pantala.storage.bucket import BucketStorage
from pantala.storage.plain import Fields, Need

AZBLOB = BucketStorage(
    "abs",
    Fields(
        "abs://",
        endpoint=Need.REQUIRED,
        example="https://ACCOUNT.blob.core.windows.net",
        endpoint_path=True,
        required_keys=("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"),
    ),
)
"""`abs://container/path`."""
