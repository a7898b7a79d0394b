"""The tutorial, as a newcomer types it: its commands run in order on a real cluster, its answers are those on the page."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.cluster.process import wait_for
from tests.e2e.support import Space

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial.md"
_BLOCK = re.compile(r"^```(shell|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATE = 'source ./state; trap "declare -p STORE NODE PORT > ./state 2>/dev/null || true; declare -f >> ./state" EXIT'
"""What a shell would remember from one command to the next: variables and functions."""
_READS = ("ask", "kubectl get", "pantala status")
"""Commands that only look: they are repeated for some seconds, since the cluster may still be moving."""


def steps(page: str) -> list[tuple[str, str]]:
    """The commands of a page, each with the output that follows it (empty if none is shown)."""
    found: list[tuple[str, str]] = []
    for kind, text in _BLOCK.findall(page):
        if kind == "shell":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


def test_every_step_does_what_the_page_says(space: Space, tmp_path: Path) -> None:
    """Upload, Secret, first version, prediction, status, second version, and back: outputs are those on the page.

    `*` stands for what differs from run to run.
    """
    environment = _environment(space, tmp_path)
    found = steps(PAGE.read_text())
    assert len(found) >= 12
    for command, expected in found:
        seen = [""]

        def as_written(command: str = command, expected: str = expected, seen: list[str] = seen) -> bool:
            seen[0] = _run(command, environment, tmp_path)
            return not expected or fnmatchcase(_plain(seen[0]), _plain(expected))

        if command.startswith(_READS):
            wait_for(as_written, f"{command}printed {expected!r}", 15, every=0.3)
        else:
            assert as_written(), f"{command}printed {seen[0]!r}, not {expected!r}"
    children = ("get", "deployments,services,configmaps", "-l", "pantala.dev/model", "-o", "name")
    wait_for(lambda: not space.kubectl(*children), "nothing of the model is left", 60, every=0.5)


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
    store = space.s3.endpoint_at(space.cluster.host_ip)
    (folder / "state").write_text("")
    return {
        "PATH": path,
        "HOME": str(folder),
        "KUBECONFIG": str(kubeconfig),
        "STORE": store,
        "NODE": space.cluster.node_ip,
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
