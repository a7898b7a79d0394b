"""Starting processes that die with their parent, and waiting for conditions with a deadline."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.spec import Paths

_PR_SET_PDEATHSIG = 1
_REVIVALS = 20
"""Times that a component is started again; one that keeps dying is a problem to be seen."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty if there is none: with the pid it names one process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]  # a zombie holds nothing any more


class Processes:
    """The child processes of one supervisor, recorded in the state folder."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str] | None]] = {}
        self._revived: Counter[str] = Counter()
        paths.log.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Start a component with its output in `log/NAME.log`; return its process id."""
        with (self._paths.log / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
                start_new_session=True,
            )
        self._running[name] = process
        self._commands[name] = (command, env)
        with self._paths.pids.open("a") as pids:
            pids.write(f"{process.pid} {start_time(process.pid)} {name}\n")
        return process.pid

    def check(self, *names: str) -> None:
        """Raise if one of the named components (by default any) has ended; the message holds the end of its log."""
        for name, process in self._running.items():
            if (not names or name in names) and process.poll() is not None:
                log = self._paths.log / f"{name}.log"
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise ClusterError(f"{name} ended with {process.returncode}; {log}:\n{tail}")

    def dead(self) -> list[str]:
        """Names of the components that have ended."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def revive(self, names: Collection[str]) -> None:
        """Start again whichever of the named components has ended, as a kubelet does with a static pod."""
        for name in self.dead():
            if name in names and self._revived[name] < _REVIVALS:
                self._revived[name] += 1
                self.start(name, *self._commands[name])

    def kill(self) -> None:
        """Kill all, the youngest first, and wait for them."""
        for process in reversed(self._running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()


def wait_for(
    condition: Callable[[], bool],
    what: str,
    seconds: float,
    check: Callable[[], None] | None = None,
    every: float = 0.05,
) -> None:
    """Poll a condition until it holds; `check` may raise earlier, for instance because a process died.

    Raises:
        ClusterError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if check:
            check()
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
