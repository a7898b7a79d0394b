"""Addresses of `lo`: one owner each, and none is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.addons import loopback
from tests.cluster.addons.loopback import Loopback

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(loopback.missing()), reason="needs root")]

_ROOT = Path(__file__).parents[3]
_CHILD = "from tests.cluster.addons.loopback import Loopback; it = Loopback(); print(it.address, flush=True); input()"


def _present(address: str) -> bool:
    listed = subprocess.run(
        ["ip", "-4", "-o", "address", "show", "dev", "lo"], capture_output=True, text=True, check=True
    )
    return f" {address}/32 " in listed.stdout


def _ownerless(address: str) -> bool:
    """Whether an address is there that nobody holds; another test run may hold it by now."""
    if lock := loopback._locked(int(address.rpartition(".")[2])):
        with lock:
            return _present(address)
    return False


def test_each_has_an_address_and_ports_of_its_own() -> None:
    """Two at a time share nothing; a returned address is gone from the machine."""
    with Loopback() as one, Loopback() as two:
        assert one.address != two.address
        assert not set(one.ports) & set(two.ports)
        assert _present(one.address)
        assert _present(two.address)
    assert not _ownerless(one.address)
    one.close()


def test_what_a_killed_process_left_goes() -> None:
    """Another process's address is not taken while it lives, and is removed by the next one when it was killed."""
    command = (sys.executable, "-c", _CHILD)
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        address = child.stdout.readline().strip()
        with Loopback() as other:
            assert other.address != address
            assert _present(address)
        child.kill()
        child.wait()
        with Loopback():
            assert not _ownerless(address)
    assert not _ownerless(address)
