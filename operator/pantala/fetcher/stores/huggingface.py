"""Hugging Face Hub, by plain HTTP: no ranges of its deduplicating store (Xet), which a mirror has not got."""

from urllib.parse import quote

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator, where_verified
from pantala.storage.base import RepoLocation
from pantala.storage.huggingface import HUGGING_FACE

_ENDPOINT = "https://huggingface.co"


def open_repo(location: RepoLocation, access: Access) -> Store:
    """Read with the token of the Secret, else what is public."""
    access.check(HUGGING_FACE.fields)
    endpoint = (access.endpoint or _ENDPOINT).rstrip("/")
    revision = quote(location.revision, safe="")
    token = access.keys(HUGGING_FACE.fields).get("HF_TOKEN", "")
    options = {"repo_type": "model", "repo_id": location.repo, "revision": location.revision, "endpoint": endpoint}
    options |= {"root": "/", "download_mode": "http"} | ({"token": token} if token else {})
    fields = {"revision": revision, "base_url": endpoint} | ({"token": token} if token else {})
    peer = PeerSource(f"hf://{location.repo}/", hugging_face=fields, secret=token, endpoint=endpoint)
    shown = f"hf://{location.repo}@{revision}"
    return Store(operator("hf", options), location.path, shown, lists=True, peer_source=where_verified(peer))
