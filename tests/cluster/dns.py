"""DNS for the pods of real nodes: Service names, and nothing else, answered by a program of this machine.

CoreDNS takes ten minutes to build; what tests need of it is `NAME.NAMESPACE.svc.cluster.local` (RFC 1035, and the
Kubernetes DNS specification 1.1.0 for ClusterIP and headless Services). Every other name does not exist, at once.
"""

import http.client
import ipaddress
import json
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

USER = "system:serviceaccount:kube-system:kube-dns"
"""A default role of Kubernetes lets this user list Services and Endpoints, and no more."""

Lookup = Callable[[str, str], Sequence[str] | None]
"""(Service, namespace) -> addresses; None where there is no such Service."""

_DOMAIN = ["svc", "cluster", "local"]
_TTL = 5
_A, _AAAA, _IN = 1, 28, 1
_NO_NAME, _SERVER_FAILURE, _NOT_IMPLEMENTED = 3, 2, 4
_HEADER = struct.Struct("!6H")


def answer(query: bytes, lookup: Lookup) -> bytes:
    """Answer one DNS message with one question.

    Raises:
        ValueError: it is not a query.
    """
    if len(query) < _HEADER.size:
        raise ValueError("shorter than a header")
    number, flags, questions, *_rest = _HEADER.unpack_from(query)
    if flags & 0x8000 or questions != 1:
        raise ValueError("not a query with one question")
    labels, end = _name(query, _HEADER.size)
    kind, family = struct.unpack_from("!2H", query, end)
    question = query[_HEADER.size : end + 4]

    def reply(code: int, addresses: Sequence[str] = ()) -> bytes:
        # a response, authoritative, recursion as asked and offered
        head = _HEADER.pack(number, 0x8480 | (flags & 0x0100) | code, 1, len(addresses), 0, 0)
        records = (
            struct.pack("!HHHIH", 0xC00C, _A, _IN, _TTL, 4) + ipaddress.IPv4Address(it).packed for it in addresses
        )
        return head + question + b"".join(records)

    if flags & 0x7800 or family != _IN:
        return reply(_NOT_IMPLEMENTED)
    if len(labels) != 2 + len(_DOMAIN) or labels[2:] != _DOMAIN:
        return reply(_NO_NAME)
    try:
        found = lookup(labels[0], labels[1])
    except (OSError, http.client.HTTPException, ValueError):  # the API server is away: the client asks again
        return reply(_SERVER_FAILURE)
    if found is None:
        return reply(_NO_NAME)
    return reply(0, found if kind == _A else ())


def _name(message: bytes, at: int) -> tuple[list[str], int]:
    labels = []
    while (length := message[at] if at < len(message) else 0xFF) != 0:
        if length > 63 or at + 1 + length >= len(message):
            raise ValueError("bad name")
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    if at + 5 > len(message):
        raise ValueError("no question after the name")
    return labels, at + 1


class Services:
    """Looks Services up in the API server, each time: nothing can be stale."""

    def __init__(self, url: str, pki: Path) -> None:
        self._address = urlsplit(url).netloc
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "dns.crt", pki / "dns.key")
        self._connection: http.client.HTTPSConnection | None = None

    def __call__(self, name: str, namespace: str) -> list[str] | None:
        """Addresses of a Service: its own, or those of its ready pods if it is headless."""
        services = self._list("services", namespace, name)
        if not services:
            return None
        address = services[0]["spec"].get("clusterIP", "")
        if address != "None":
            return [address] if address else []
        ends = self._list("endpoints", namespace, name)
        return [it["ip"] for end in ends for subset in end.get("subsets") or [] for it in subset.get("addresses") or []]

    def _list(self, resource: str, namespace: str, name: str) -> list[dict[str, Any]]:
        path = f"/api/v1/namespaces/{quote(namespace)}/{resource}?fieldSelector=metadata.name%3D{quote(name)}"
        for last in (False, True):
            fresh = self._connection is None
            connection = self._connection or http.client.HTTPSConnection(
                self._address, context=self._context, timeout=3
            )
            self._connection = connection
            try:
                connection.request("GET", path, headers={"User-Agent": "pantala-dns"})
                body = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException):
                connection.close()
                self._connection = None
                if last or fresh:
                    raise
            else:
                return list(body.get("items") or [])
        return []


def main() -> None:
    """Serve on an address: `python -m tests.cluster.dns ADDRESS API-URL PKI-FOLDER`."""
    address, url, pki = sys.argv[1:4]
    services = Services(url, Path(pki))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            query, client = server.recvfrom(4096)
            try:
                server.sendto(answer(query, services), client)
            except (ValueError, OSError) as error:
                print(f"{client}: {error}", flush=True)


if __name__ == "__main__":
    main()
