"""What all kinds of stores share: the store as the rest of the fetcher sees it, and how an operator is made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import opendal
from opendal.layers import TimeoutLayer

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.secrets import Credentials
from pantala.fetcher.source import PeerSource
from pantala.storage.plain import Fields

CONTROL_TIMEOUT = 30.0
"""Seconds for a HEAD or a page of a listing."""
IO_TIMEOUT = 30.0
"""Seconds without a byte before a read is given up and tried again."""


@dataclass(frozen=True)
class Access:
    """What there is beside the URI."""

    endpoint: str | None
    region: str | None
    credentials: Credentials
    environ: Mapping[str, str]

    def check(self, fields: Fields) -> None:
        """Refuse an endpoint that is missing or cannot work.

        Raises:
            FetchError: with the same words as the condition of a model.
        """
        if refusal := fields.check_endpoint(self.endpoint):
            raise FetchError(FetchFailure.INVALID, refusal.message)

    def keys(self, fields: Fields) -> dict[str, str]:
        """Give the keys of a store: all that it requires, or none.

        Raises:
            FetchError: some are there and others are not, or the store needs them.
        """
        found = {name: value for name in fields.required_keys if (value := self.credentials.get(name))}
        if refusal := fields.check_keys(found):
            raise FetchError(FetchFailure.DENIED, refusal.message)
        if not found and fields.required_keys:
            return {}
        return found | {name: value for name in fields.optional_keys if (value := self.credentials.get(name))}


def where_verified(peer: PeerSource) -> PeerSource | str:
    """The way through dfdaemon, unless a key would go to a server that nobody has verified.

    dfdaemon 1.5.10 checks no certificate of a web server or a hub (dragonfly-client-backend, http.rs, hugging_face.rs,
    model_scope.rs: `NoVerifier`), so whoever stands in between would get the key. Object stores with keys are checked.
    """
    if peer.secret and peer.endpoint.startswith("https://"):
        return f"dfdaemon checks no certificate of {peer.endpoint}, so it is not given the key of the Secret"
    return peer


@dataclass(frozen=True)
class Entry:
    """A file that a catalog lists."""

    key: str
    """Path within the operator."""
    size: int
    etag: str


@dataclass(frozen=True)
class Store:
    """A store that can be read, and where in it the model is."""

    operator: opendal.AsyncOperator
    path: str
    """Within the operator, without leading slash; empty is the root."""
    shown: str
    """The URI of the operator's root for messages, without a trailing slash."""
    lists: bool
    """Whether the store can be listed; a web server cannot."""
    peer_source: PeerSource | str
    """How the node's dfdaemon reads the same store, or why it cannot."""
    index: bool = False
    """Whether `path` is an index file."""
    trusts_if_match: bool = False
    """Whether the store is known to honour If-Match on ranges (a web server may ignore it)."""
    catalog: Callable[[], Awaitable[list[Entry]]] | None = None
    """What lists all files where the operator cannot, and tells their sizes."""

    @cached_property
    def blocking(self) -> opendal.Operator:
        """The same store for threads, whose files are read into buffers of ours."""
        return self.operator.to_operator()

    @cached_property
    def takes_if_match(self) -> bool:
        """Whether If-Match can be sent; opendal refuses the option where it cannot."""
        capability: Any = self.operator.capability()
        return bool(capability.read_with_if_match)

    @cached_property
    def signs_urls(self) -> bool:
        """Whether the store signs URLs that are good for reading alone.

        opendal signs those of Azure too, but does not claim to: they permit writing and removing as well (`sp=racwd`), and
        the emulator refuses them.
        """
        capability: Any = self.operator.capability()
        return bool(capability.presign_read)

    def subject(self, path: str) -> str:
        """How a message names an object."""
        return f"{self.shown}/{path}"


def operator(scheme: str, options: Mapping[str, str]) -> opendal.AsyncOperator:
    """Make an operator; nothing is asked.

    Raises:
        FetchError: the options cannot work.
    """
    try:
        made = opendal.AsyncOperator(scheme, **options)
    except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
        message = f"the store cannot be set up ({type(error).__name__}); check uri, storage.endpoint and storage.region"
        raise FetchError(FetchFailure.INVALID, message) from None
    return made.layer(TimeoutLayer(timeout=CONTROL_TIMEOUT, io_timeout=IO_TIMEOUT))
