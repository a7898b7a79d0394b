"""What a person sees while something takes minutes: what, which of how many, for how long."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError

_EVERY = 15.0
"""Seconds between two lines where there is no terminal whose line could be rewritten."""


def say(text: str) -> None:
    """Print one line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def run_shown(title: str, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> float:
    """Run a long command with its output in a log file, showing the elapsed seconds; return them.

    Raises:
        ClusterError: the command failed; the message holds the last lines of its output.
    """
    start, shown = time.monotonic(), 0.0
    terminal = sys.stderr.isatty()
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=output, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    code = process.wait(timeout=1.0)
                    break
                except subprocess.TimeoutExpired:
                    spent = time.monotonic() - start
                    if terminal:
                        print(f"\r{title} ... {spent:.0f} s", end="", file=sys.stderr, flush=True)
                    elif spent - shown >= _EVERY:
                        shown = spent
                        say(f"{title} ... {spent:.0f} s")
        except BaseException:
            process.kill()
            process.wait()
            raise
    spent = time.monotonic() - start
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ClusterError(f"{title}: {' '.join(command[:3])} failed with {code}:\n{tail}")
    if terminal:
        print("\r", end="", file=sys.stderr)
    say(f"{title}: {spent:.0f} s    ")
    return spent
