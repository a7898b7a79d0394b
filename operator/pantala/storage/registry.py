"""Which module serves which scheme: a new store is one line here."""

from pantala.manifest.types import Invalid
from pantala.storage.azblob import AZBLOB
from pantala.storage.base import Location, Storage
from pantala.storage.cos import COS
from pantala.storage.gcs import GCS
from pantala.storage.hdfs import HdfsStorage
from pantala.storage.https import HttpsStorage
from pantala.storage.huggingface import HUGGING_FACE
from pantala.storage.modelscope import MODEL_SCOPE
from pantala.storage.obs import OBS
from pantala.storage.oss import OSS
from pantala.storage.pvc import PvcStorage
from pantala.storage.s3 import S3
from pantala.storage.uri import bad_uri, check_common

STORES: dict[str, Storage] = {
    "s3": S3,
    "gs": GCS,
    "abs": AZBLOB,
    "oss": OSS,
    "obs": OBS,
    "cos": COS,
    "hf": HUGGING_FACE,
    "modelscope": MODEL_SCOPE,
    "hdfs": HdfsStorage(),
    "https": HttpsStorage(),
    "http": HttpsStorage(),
    "pvc": PvcStorage(),
}
"""The stores by URI scheme."""
KEYS = tuple(sorted({key for store in STORES.values() for key in store.keys}))
"""All keys that a Secret may have."""


def for_uri(uri: str) -> Storage | Invalid:
    """Find the store of a URI, or say what is wrong with it."""
    if invalid := check_common(uri):
        return invalid
    scheme, separator, _ = uri.partition("://")
    store = STORES.get(scheme.lower()) if separator else None
    if store is None:
        known = ", ".join(f"{scheme}://" for scheme in STORES if scheme != "http")
        return bad_uri(f"'{uri}' has no known scheme; use one of {known}")
    return store


def parse(uri: str) -> Location | Invalid:
    """Take a URI apart."""
    store = for_uri(uri)
    return store if isinstance(store, Invalid) else store.parse(uri)
