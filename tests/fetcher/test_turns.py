"""Turns at a file among the fetchers of a node."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pantala.fetcher.turns import turn

NAME, OTHER = "a" * 64, "b" * 64
_HOLD = """
import asyncio, sys
from pathlib import Path
from pantala.fetcher.turns import turn

async def main():
    async with turn(Path(sys.argv[1]), sys.argv[2], 60) as mine:
        print("mine", flush=True)
        while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            mine.goes_on()

asyncio.run(main())
"""


def _holder(folder: Path, name: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


async def _has(folder: Path, name: str, patience: float = 60) -> None:
    async with turn(folder, name, patience):
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "done"])
async def test_the_second_waits_for_the_first(tmp_path: Path, end: signal.Signals | None) -> None:
    """As long as another process has the turn nobody else gets it; however that process ends, the next one does.

    Other files are not concerned. The folder need not be writable.
    """
    os.chmod(tmp_path, 0o555)  # noqa: PTH101 - pathlib's would be refused in a coroutine
    holder = _holder(tmp_path, NAME)
    await asyncio.wait_for(_has(tmp_path, OTHER), 5)
    waiting = asyncio.create_task(_has(tmp_path, NAME))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    assert not done
    if end is None:
        holder.communicate("", timeout=10)
    else:
        os.kill(holder.pid, end)
        holder.communicate(timeout=10)
    await asyncio.wait_for(waiting, 5)


async def test_one_of_many_at_a_time(tmp_path: Path) -> None:
    """Ten who want it at once have it one after the other."""
    inside = 0

    async def visit() -> None:
        nonlocal inside
        async with turn(tmp_path, NAME, 60):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.wait_for(asyncio.gather(*(visit() for _ in range(10))), 30)


async def test_nobody_waits_for_one_who_stands_still(tmp_path: Path) -> None:
    """A holder that is stopped, and not gone, is passed over after a while; a folder that is not there stops nobody."""
    holder = _holder(tmp_path, NAME)
    os.kill(holder.pid, signal.SIGSTOP)
    told: list[str] = []
    async with turn(tmp_path, NAME, 0.5, lambda: told.append("waits")):
        assert told == ["waits"]
    await asyncio.wait_for(_has(tmp_path / "absent", NAME), 5)
    holder.kill()
    holder.communicate(timeout=10)


async def test_one_who_goes_on_is_waited_for(tmp_path: Path) -> None:
    """Longer than the patience, as long as pieces come."""
    holder = _holder(tmp_path, NAME)
    assert holder.stdin is not None
    waiting = asyncio.create_task(_has(tmp_path, NAME, patience=2))
    for _ in range(4):
        holder.stdin.write("piece\n")
        holder.stdin.flush()
        done, _ = await asyncio.wait({waiting}, timeout=1.1)
        assert not done
    await asyncio.wait_for(waiting, 10)
    holder.kill()
    holder.communicate(timeout=10)
