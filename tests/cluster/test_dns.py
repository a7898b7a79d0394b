"""Names of Services, as pods ask for them."""

import socket
import struct
from collections.abc import Sequence

import pytest

from tests.cluster import dns

_KNOWN = {("web", "shop"): ["10.96.1.7"], ("peers", "shop"): ["10.208.1.2", "10.208.1.3"], ("empty", "shop"): []}


def _lookup(name: str, namespace: str) -> Sequence[str] | None:
    return _KNOWN.get((name, namespace))


def query(name: str, kind: int = 1) -> bytes:
    """A query as a resolver sends it."""
    labels = b"".join(bytes([len(it)]) + it.encode() for it in name.split("."))
    return struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def parse(message: bytes) -> tuple[int, list[str]]:
    """Response code and addresses of an answer."""
    number, flags, _questions, answers, *_rest = struct.unpack_from("!6H", message)
    assert number == 4711
    assert flags & 0x8000
    records = message[len(message) - 16 * answers :]  # each refers to the question and holds one address
    return flags & 0xF, [socket.inet_ntoa(records[at + 12 : at + 16]) for at in range(0, len(records), 16)]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.shop.svc.cluster.local", 1, (0, ["10.96.1.7"])),
        ("Web.Shop.svc.cluster.local", 1, (0, ["10.96.1.7"])),
        ("peers.shop.svc.cluster.local", 1, (0, ["10.208.1.2", "10.208.1.3"])),
        ("empty.shop.svc.cluster.local", 1, (0, [])),
        ("web.shop.svc.cluster.local", 28, (0, [])),
        ("none.shop.svc.cluster.local", 1, (3, [])),
        ("shop.svc.cluster.local", 1, (3, [])),
        ("example.com", 1, (3, [])),
    ],
)
def test_answers(name: str, kind: int, expected: tuple[int, list[str]]) -> None:
    """Services have their addresses, no IPv6, and every other name does not exist."""
    assert parse(dns.answer(query(name, kind), _lookup)) == expected


@pytest.mark.parametrize("length", range(30))
def test_cut_messages_are_refused(length: int) -> None:
    """A message that ends too early is an error of the sender, not of the server."""
    with pytest.raises(ValueError, match=r"."):
        dns.answer(query("web.shop.svc.cluster.local")[:length], _lookup)


def test_api_server_away() -> None:
    """Without the API server the answer is `try again`, not `no such name`."""

    def away(_name: str, _namespace: str) -> Sequence[str]:
        raise ConnectionRefusedError

    assert parse(dns.answer(query("web.shop.svc.cluster.local"), away)) == (2, [])
