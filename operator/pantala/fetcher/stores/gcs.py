"""Google Cloud Storage."""

import base64
import json

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
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
        _check(keys["GOOGLE_CREDENTIALS"])
        options["credential"] = base64.b64encode(keys["GOOGLE_CREDENTIALS"].encode()).decode()
        peer = "dfdaemon takes a key of Google's from a file on the node alone"
    else:
        options["skip_signature"] = "true"
        peer = PeerSource(f"{endpoint}/{location.bucket}/", if_match=True, endpoint=endpoint)
    shown = f"gs://{location.bucket}"
    return Store(operator("gcs", options), location.key, shown, lists=True, peer_source=peer)


def _check(credentials: str) -> None:
    """Refuse what is no key file: opendal would say no more than that it has no credentials.

    Raises:
        FetchError: without a word of the file.
    """
    try:
        kind = json.loads(credentials)["type"]
    except (ValueError, KeyError, TypeError):
        message = (
            "GOOGLE_CREDENTIALS is no key file of Google's (JSON with a type); put the file's content into the Secret"
        )
        raise FetchError(FetchFailure.DENIED, message) from None
    if kind != "service_account":
        message = (
            f"GOOGLE_CREDENTIALS is of the type {str(kind)[:40]!r}; put the key of a service account into the Secret"
        )
        raise FetchError(FetchFailure.DENIED, message)
