"""Huawei Cloud OBS."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.base import BucketLocation
from pantala.storage.obs import OBS


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with the keys of the Secret."""
    access.check(OBS.fields)
    endpoint = (access.endpoint or "").rstrip("/")
    keys = access.keys(OBS.fields)
    key, secret = (keys[name] for name in OBS.fields.required_keys)
    options = {"bucket": location.bucket, "root": "/", "endpoint": endpoint}
    options |= {"access_key_id": key, "secret_access_key": secret}
    fields = {"endpoint": endpoint, "access_key_id": key, "access_key_secret": secret}
    shown = f"obs://{location.bucket}"
    peer = PeerSource(f"{shown}/", object_storage=fields, secret=secret, endpoint=endpoint)
    return Store(operator("obs", options), location.key, shown, lists=True, peer_source=peer)
