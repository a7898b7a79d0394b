"""Huawei Cloud OBS."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, bucket_host, operator
from pantala.storage.base import BucketLocation
from pantala.storage.obs import OBS


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with the keys of the Secret, else anonymously."""
    access.check(OBS.fields)
    endpoint = (access.endpoint or "").rstrip("/")
    options = {"bucket": location.bucket, "root": "/", "endpoint": endpoint}
    shown = f"obs://{location.bucket}"
    if keys := access.keys(OBS.fields):
        key, secret = keys["HUAWEI_CLOUD_ACCESS_KEY_ID"], keys["HUAWEI_CLOUD_SECRET_ACCESS_KEY"]
        options |= {"access_key_id": key, "secret_access_key": secret}
        fields = {"endpoint": endpoint, "access_key_id": key, "access_key_secret": secret}
        peer = PeerSource(f"{shown}/", object_storage=fields, secret=secret, endpoint=endpoint)
    else:
        peer = PeerSource(f"{bucket_host(location.bucket, endpoint)}/", if_match=True, endpoint=endpoint)
    return Store(operator("obs", options), location.key, shown, lists=True, peer_source=peer)
