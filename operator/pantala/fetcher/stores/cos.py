"""Tencent Cloud COS."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.base import BucketLocation
from pantala.storage.cos import COS


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with the keys of the Secret."""
    access.check(COS.fields)
    endpoint = (access.endpoint or "").rstrip("/")
    keys = access.keys(COS.fields)
    key, secret = (keys[name] for name in COS.fields.required_keys)
    options = {"bucket": location.bucket, "root": "/", "endpoint": endpoint, "disable_config_load": "true"}
    options |= {"secret_id": key, "secret_key": secret}
    shown = f"cos://{location.bucket}"
    peer: PeerSource | str
    if token := keys.get("TENCENTCLOUD_SECURITY_TOKEN"):
        options["security_token"] = token
        peer = "dfdaemon takes no temporary keys for COS; use keys without TENCENTCLOUD_SECURITY_TOKEN"
    else:
        fields = {"endpoint": endpoint, "access_key_id": key, "access_key_secret": secret}
        peer = PeerSource(f"{shown}/", object_storage=fields, secret=secret, endpoint=endpoint)
    return Store(operator("cos", options), location.key, shown, lists=True, peer_source=peer)
