"""The build cache with two builders at once and with one that is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import cache
from tests.cluster.process import wait_for

_BUILDER = """
import sys, time
from pathlib import Path
from tests.cluster import cache
root, gate = Path(sys.argv[1]), Path(sys.argv[2])
def make(folder):
    with (root / "calls").open("a") as calls:
        calls.write("x")
    (folder / "part").write_text("1")
    while not gate.exists():
        time.sleep(0.01)
    (folder / "whole").write_text("2")
print(cache.entry("tool-v1-abc", make, root))
"""
_ROOT = Path(__file__).parents[2]


def _builder(root: Path, gate: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _BUILDER, str(root), str(gate)]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _calls(root: Path) -> int:
    return len((root / "calls").read_text()) if (root / "calls").exists() else 0


def test_two_builders_build_once(tmp_path: Path) -> None:
    """The second of two builders waits, says so, and gets what the first has built."""
    gate = tmp_path / "gate"
    first = _builder(tmp_path, gate)
    wait_for(lambda: _calls(tmp_path) == 1, "first builder", 30)
    second = _builder(tmp_path, gate)
    assert second.stderr is not None
    assert "waiting for another builder" in second.stderr.readline()
    assert not (tmp_path / "tool-v1-abc").exists()
    gate.touch()
    results = [it.communicate(timeout=30)[0].strip() for it in (first, second)]
    assert results == [str(tmp_path / "tool-v1-abc")] * 2
    assert _calls(tmp_path) == 1
    assert (tmp_path / "tool-v1-abc" / "whole").read_text() == "2"


def test_killed_builder_leaves_no_entry(tmp_path: Path) -> None:
    """A builder killed halfway leaves no entry; the next one starts afresh and removes the remains."""
    gate = tmp_path / "gate"
    killed = _builder(tmp_path, gate)
    wait_for(lambda: _calls(tmp_path) == 1, "builder", 30)
    wait_for(lambda: any(tmp_path.glob(".tool-v1-abc.*.tmp/part")), "half an entry", 30)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "tool-v1-abc").exists()
    gate.touch()
    again = _builder(tmp_path, gate)
    assert again.communicate(timeout=30)[0].strip() == str(tmp_path / "tool-v1-abc")
    assert (tmp_path / "tool-v1-abc" / "whole").exists()
    assert not list(tmp_path.glob(".tool-v1-abc.*.tmp"))


def test_failed_builder_leaves_nothing(tmp_path: Path) -> None:
    """An error of the build reaches the caller and leaves neither an entry nor remains."""

    def make(folder: Path) -> None:
        (folder / "part").touch()
        raise ValueError("no compiler")

    with pytest.raises(ValueError, match="no compiler"):
        cache.entry("tool-v1-abc", make, tmp_path)
    assert [it.name for it in tmp_path.iterdir()] == [".locks"]
