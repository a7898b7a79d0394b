"""Web servers."""

import base64

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator, where_verified
from pantala.storage.base import HttpLocation
from pantala.storage.https import FIELDS


def open_site(location: HttpLocation, access: Access) -> Store:
    """Read with a token, or a user and a password, of the Secret; else what is public."""
    access.check(FIELDS)
    keys = access.keys(FIELDS)
    options = {"endpoint": location.origin, "root": "/"}
    user, password = keys.get("HTTP_USERNAME", ""), keys.get("HTTP_PASSWORD", "")
    token = keys.get("HTTP_BEARER_TOKEN", "")
    headers = {}
    if token:
        options["token"] = token
        headers["Authorization"] = f"Bearer {token}"
    elif user or password:
        options |= {"username": user, "password": password}
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    # all of it: a user without a password is a key as well, and two users may have the same password
    secret = headers.get("Authorization", "")
    peer = PeerSource(f"{location.origin}/", headers=headers, if_match=True, secret=secret, endpoint=location.origin)
    return Store(
        operator("http", options),
        location.path,
        location.origin,
        lists=False,
        peer_source=where_verified(peer),
        index=location.index,
    )
