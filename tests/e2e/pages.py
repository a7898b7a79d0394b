"""Pages of the documentation as a newcomer types them: commands run in order, answers are those on the page.

A block `shell` is run; the block `text` after it is what it prints, with `*` for what differs from run to run. A block
with another word, such as `shell setup`, is for the reader alone.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from tests.cluster.process import wait_for
from tests.e2e.support import Space

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```(shell|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATE = 'source ./state; trap "declare -p STORE NODE PORT > ./state 2>/dev/null || true; declare -f >> ./state" EXIT'
"""What a shell would remember from one command to the next: variables and functions."""
_READS = ("ask", "ledger", "says", "kubectl get", "pantala status", "pantala doctor", "pantala top")
"""Commands that only look: they are repeated for some seconds, since the cluster may still be moving."""


def follow(
    page: Path, space: Space, folder: Path, after: Callable[[str], object] | None = None, **variables: str
) -> list[str]:
    """Run every command of a page in a namespace and hold its output against that on the page.

    Args:
        page: the file.
        space: the namespace; the reader's kubectl has no other one.
        folder: an empty folder, the reader's own.
        after: called with each command when it is done, for what a cluster does by itself and this one does not.
        variables: further variables that the page tells the reader to set.

    Returns:
        What each command printed.
    """
    environment = _environment(space, folder) | variables
    printed = []
    for command, expected in steps(page.read_text()):
        printed.append(_step(command, expected, environment, folder))
        if after:
            after(command)
    return printed


def steps(page: str) -> list[tuple[str, str]]:
    """The commands of a page, each with the output that follows it (empty if none is shown)."""
    found: list[tuple[str, str]] = []
    for kind, text in _BLOCK.findall(page):
        if kind == "shell":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


def nothing_is_left(space: Space) -> None:
    """Wait until all that Pantala made in the namespace is gone."""
    children = ("get", "deployments,services,configmaps", "-l", "pantala.dev/model", "-o", "name")
    wait_for(lambda: not space.kubectl(*children), "nothing of the model is left", 180, every=0.5)


def _step(command: str, expected: str, environment: dict[str, str], folder: Path) -> str:
    seen = ""

    def as_written() -> bool:
        nonlocal seen
        seen = _run(command, environment, folder)
        return not expected or fnmatchcase(_plain(seen), _plain(expected))

    if not command.startswith(_READS):
        assert as_written(), f"{command}printed {seen!r}, not {expected!r}"
        return seen
    try:
        wait_for(as_written, command, 15, every=0.3)
    except Exception as error:
        raise AssertionError(f"{command}printed {seen!r}, not {expected!r}") from error
    return seen


def _plain(text: str) -> str:
    """Without the widths of columns; brackets mean nothing."""
    return re.sub(r"[ \n]+", " ", text).strip().replace("[", "(").replace("]", ")")


def _environment(space: Space, folder: Path) -> dict[str, str]:
    """The environment of a newcomer: the programs, a kubeconfig for the namespace, the addresses and the keys."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(space.cluster._kubectl)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_bytes(space.cluster.kubeconfig.read_bytes())
    space.cluster.kubectl("config", "set-context", "--current", f"--namespace={space.namespace}", kubeconfig=kubeconfig)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    (folder / "state").write_text("")
    return {
        "PATH": path,
        "HOME": str(folder),
        "KUBECONFIG": str(kubeconfig),
        "STORE": space.s3.endpoint_at(space.cluster.host_ip),
        "NODE": next(iter(space.cluster.node_ips), ""),  # simulated nodes have none
        **space.s3.credentials,
    }


def _run(command: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{_STATE}\n{command}"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, f"{command}{done.stdout}{done.stderr}"
    return done.stdout
