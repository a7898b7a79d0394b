"""Which module serves which scheme: a new store is one line here."""

from pantala.storage.base import Invalid, Storage
from pantala.storage.https import HttpsStorage
from pantala.storage.pvc import PvcStorage
from pantala.storage.s3 import S3Storage
from pantala.storage.uri import parse

STORES: dict[str, Storage] = {
    "s3": S3Storage(),
    "https": HttpsStorage(),
    "http": HttpsStorage(),
    "pvc": PvcStorage(),
}
"""The stores by URI scheme."""


def for_uri(uri: str) -> Storage | Invalid:
    """Find the store of a URI, or say what is wrong with it."""
    location = parse(uri)
    if isinstance(location, Invalid):
        return location
    return STORES[uri.split(":", 1)[0].lower()]
