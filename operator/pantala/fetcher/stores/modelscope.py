"""ModelScope: listed by its own API, because opendal has no service for it, and read by plain HTTP.

The two addresses are those of dragonfly-client-backend 1.5.10, model_scope.rs, so that both ways ask for the same.
"""

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError, Transient
from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import CONTROL_TIMEOUT, Access, Entry, Store, operator, where_verified
from pantala.storage.base import RepoLocation
from pantala.storage.modelscope import MODEL_SCOPE

_ENDPOINT = "https://modelscope.cn"
_OK = HTTPStatus.OK
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


def open_repo(location: RepoLocation, access: Access) -> Store:
    """Read with the token of the Secret, else what is public."""
    access.check(MODEL_SCOPE.fields)
    endpoint = (access.endpoint or _ENDPOINT).rstrip("/")
    revision = quote(location.revision, safe="")
    token = access.keys(MODEL_SCOPE.fields).get("MODELSCOPE_API_TOKEN", "")
    options = {"endpoint": endpoint, "root": f"/models/{location.repo}/resolve/{location.revision}/"}
    options |= {"token": token} if token else {}
    fields = {"revision": revision, "base_url": endpoint} | ({"token": token} if token else {})
    query = urlencode({"Revision": location.revision, "Recursive": "true"})
    shown = f"modelscope://{location.repo}@{revision}"
    files = f"{endpoint}/api/v1/models/{location.repo}/repo/files?{query}"
    peer = PeerSource(f"modelscope://{location.repo}/", model_scope=fields, secret=token, endpoint=endpoint)
    return Store(
        operator("http", options),
        location.path,
        shown,
        lists=True,
        peer_source=where_verified(peer),
        catalog=partial(asyncio.to_thread, _list, files, token, shown),
    )


def _list(url: str, token: str, shown: str) -> list[Entry]:
    request = urllib.request.Request(url, headers={"User-Agent": "pantala"})  # noqa: S310 - the endpoint was checked to be http(s)
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=CONTROL_TIMEOUT) as answer:  # noqa: S310 - see above
            body = json.loads(answer.read())
        code = int(body["Code"])
        files = [_entry(file) for file in body["Data"]["Files"] or [] if file["Type"] != "tree"] if code == _OK else []
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error.code, shown) from None
    except (ValueError, KeyError, TypeError):
        message = f"{shown}: the answer is no listing of ModelScope's; check storage.endpoint"
        raise FetchError(FetchFailure.INVALID, message) from None
    except (OSError, http.client.HTTPException) as error:
        raise Transient(str(getattr(error, "reason", "")) or type(error).__name__) from None
    if code != _OK:
        raise _refused(code, shown)
    return files


def _entry(file: dict[str, Any]) -> Entry:
    """What identifies the content comes first: the checksum, else the commit that wrote it."""
    return Entry(file["Path"], int(file["Size"]), file.get("Sha256") or file.get("Revision") or "")


def _refused(code: int, shown: str) -> FetchError | Transient:
    if code == HTTPStatus.NOT_FOUND:
        message = f"{shown} does not exist, or is not public; correct the uri, or name a Secret in storage.secretRef"
        return FetchError(FetchFailure.NOT_FOUND, message)
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        message = f"{shown}: the hub denied access (HTTP {code}); check the token in the Secret of storage.secretRef"
        return FetchError(FetchFailure.DENIED, message)
    if code in _TEMPORARY or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Transient(f"HTTP {code}")
    return FetchError(FetchFailure.INVALID, f"{shown}: the hub answered {code}; check uri and storage.endpoint")
