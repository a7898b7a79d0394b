"""S3 and what speaks its protocol."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.base import BucketLocation
from pantala.storage.s3 import S3

_IDENTITY = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with the keys of the Secret, else with the pod's own identity, else anonymously."""
    access.check(S3.fields)
    region = access.region or access.environ.get("AWS_REGION") or access.environ.get("AWS_DEFAULT_REGION")
    region = region or "us-east-1"
    endpoint = (access.endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
    where = {"region": region, "endpoint": endpoint}
    options = where | {"bucket": location.bucket, "root": "/", "disable_ec2_metadata": "true"}
    shown = f"s3://{location.bucket}"
    peer: PeerSource | str
    if keys := access.keys(S3.fields):
        key, secret = keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]
        token = {"session_token": keys["AWS_SESSION_TOKEN"]} if "AWS_SESSION_TOKEN" in keys else {}
        options |= {"access_key_id": key, "secret_access_key": secret, "disable_config_load": "true"} | token
        fields = where | {"access_key_id": key, "access_key_secret": secret} | token
        peer = PeerSource(f"{shown}/", object_storage=fields, secret=secret, endpoint=endpoint)
    elif any(access.environ.get(name) for name in _IDENTITY):
        peer = "the pod's own identity cannot be handed to dfdaemon; name a Secret in storage.secretRef"
    else:
        options |= {"skip_signature": "true", "disable_config_load": "true"}
        # dfdaemon's S3 knows no unsigned requests (dragonfly-client-backend 1.5.10, object_storage.rs)
        peer = PeerSource(f"{endpoint}/{location.bucket}/", if_match=True, endpoint=endpoint)
    return Store(operator("s3", options), location.key, shown, lists=True, peer_source=peer, trusts_if_match=True)
