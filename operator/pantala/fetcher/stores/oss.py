"""Alibaba Cloud OSS."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.base import BucketLocation
from pantala.storage.oss import OSS


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with the keys of the Secret, else anonymously."""
    access.check(OSS.fields)
    endpoint = (access.endpoint or "").rstrip("/")
    options = {"bucket": location.bucket, "root": "/", "endpoint": endpoint}
    shown = f"oss://{location.bucket}"
    if keys := access.keys(OSS.fields):
        key, secret = keys["ALIBABA_CLOUD_ACCESS_KEY_ID"], keys["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
        token = keys.get("ALIBABA_CLOUD_SECURITY_TOKEN")
        fields = {"access_key_id": key, "access_key_secret": secret} | ({"security_token": token} if token else {})
        options |= fields
        fields["endpoint"] = endpoint
        peer = PeerSource(f"{shown}/", object_storage=fields, secret=secret, endpoint=endpoint)
    else:
        options["skip_signature"] = "true"
        scheme, _, host = endpoint.partition("://")
        peer = PeerSource(f"{scheme}://{location.bucket}.{host}/", if_match=True, endpoint=endpoint)
    return Store(operator("oss", options), location.key, shown, lists=True, peer_source=peer)
