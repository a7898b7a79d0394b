"""Addresses of this machine that are not 127.0.0.1, which the API server refuses as an endpoint; needs root.

Each is an address of `lo` and belongs to one process at a time, over all test runs with one cache: a lock says so, which
the kernel drops when the process dies. What a killed run left is removed by the next one. Nodes and pods reach these
addresses through their default route.
"""

import contextlib
import fcntl
import os
import re
import subprocess
from typing import IO, Self

from tests.cluster import cache
from tests.cluster.errors import ClusterError
from tests.cluster.network import ip

_NUMBERS = range(1, 251)
_FIRST_PORT = 18000
"""Below the ports that the kernel gives to connections (net.ipv4.ip_local_port_range starts at 32768)."""
PORTS = 10
"""Ports of this machine that belong to an address."""


class Loopback:
    """One address, until `close`, and a block of ports that nobody else uses, for who must listen on 0.0.0.0."""

    def __init__(self) -> None:
        """Take the first address that is free.

        Raises:
            ClusterError: none is free, or there are no rights to add one.
        """
        self._lock, number = _claim()
        self.address = _address(number)
        self.ports = range(_FIRST_PORT + PORTS * number, _FIRST_PORT + PORTS * (number + 1))
        try:
            ip(f"address replace {self.address}/32 dev lo")
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Give it back; harmless when called again."""
        if not self._lock.closed:
            ip(f"address del {self.address}/32 dev lo")
            self._lock.close()

    def __enter__(self) -> Self:
        """Return the address."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.close()


def missing() -> str:
    """Why this machine can have no such address; empty if it can."""
    return "" if os.geteuid() == 0 else "addresses that the API server takes as endpoints need root (ip address add)"


def _claim() -> tuple[IO[str], int]:
    _sweep()
    for number in _NUMBERS:
        if lock := _locked(number):
            return lock, number
    raise ClusterError(f"no free address between {_address(_NUMBERS[0])} and {_address(_NUMBERS[-1])}")


def _sweep() -> None:
    """Remove the addresses of processes that died."""
    listed = subprocess.run(
        ["ip", "-4", "-o", "address", "show", "dev", "lo"], capture_output=True, text=True, check=True
    )
    for found in re.findall(r"inet 10\.77\.0\.(\d+)/32", listed.stdout):
        if lock := _locked(int(found)):
            with lock, contextlib.suppress(ClusterError):  # somebody else may just have removed it
                ip(f"address del {_address(int(found))}/32 dev lo")


def _locked(number: int) -> IO[str] | None:
    path = cache.cache_root() / ".locks" / _address(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _address(number: int) -> str:
    return f"10.77.0.{number}"
