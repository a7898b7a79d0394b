"""Azure Blob Storage."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.azblob import AZBLOB
from pantala.storage.base import BucketLocation


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with the account's key, else anonymously."""
    access.check(AZBLOB.fields)
    endpoint = (access.endpoint or "").rstrip("/")
    options = {"container": location.bucket, "root": "/", "endpoint": endpoint}
    shown = f"abs://{location.bucket}"
    if keys := access.keys(AZBLOB.fields):
        account, secret = keys["AZURE_STORAGE_ACCOUNT"], keys["AZURE_STORAGE_KEY"]
        options |= {"account_name": account, "account_key": secret}
        fields = {"endpoint": endpoint, "access_key_id": account, "access_key_secret": secret}
        peer = PeerSource(f"{shown}/", object_storage=fields, secret=secret, endpoint=endpoint)
    else:
        options["skip_signature"] = "true"
        peer = PeerSource(f"{endpoint}/{location.bucket}/", if_match=True, endpoint=endpoint)
    return Store(operator("azblob", options), location.key, shown, lists=True, peer_source=peer, trusts_if_match=True)
