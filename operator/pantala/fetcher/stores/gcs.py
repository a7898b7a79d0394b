"""Google Cloud Storage."""

import base64

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.base import BucketLocation
from pantala.storage.gcs import GCS

_ENDPOINT = "https://storage.googleapis.com"


def open_bucket(location: BucketLocation, access: Access) -> Store:
    """Read with a service account's key, else anonymously."""
    access.check(GCS.fields)
    endpoint = (access.endpoint or _ENDPOINT).rstrip("/")
    options = {"bucket": location.bucket, "root": "/", "endpoint": endpoint, "disable_vm_metadata": "true"}
    options["disable_config_load"] = "true"
    peer: PeerSource | str
    if keys := access.keys(GCS.fields):
        options["credential"] = base64.b64encode(keys["GOOGLE_CREDENTIALS"].encode()).decode()
        peer = "dfdaemon takes a key of Google's from a file on the node alone"
    else:
        options["skip_signature"] = "true"
        peer = PeerSource(f"{endpoint}/{location.bucket}/", if_match=True, endpoint=endpoint)
    shown = f"gs://{location.bucket}"
    return Store(operator("gcs", options), location.key, shown, lists=True, peer_source=peer)
