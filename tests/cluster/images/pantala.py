"""Pantala's own image for the local cluster: the wheel that a release gets, in a virtual environment on Debian's Python.

Two layers: dependencies, which change rarely, and Pantala itself, a small layer made again in seconds when a source
line changes. The `Dockerfile` makes the image of a release from the same wheel.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

from tests.cluster.cache import cache_root, entry
from tests.cluster.images.debian import BASE, COMPILE, drop_caches, pip_install
from tests.cluster.images.layers import Layer, Work, short_hash
from tests.cluster.images.oci import Config
from tests.cluster.progress import run_shown

_ROOT = Path(__file__).resolve().parents[3]
_HOME = "opt/pantala"
_SITE = f"{_HOME}/lib/python3.11/site-packages"
_PYVENV = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n"
_WHEEL_INPUTS = ("operator", "pyproject.toml", "README.md", "LICENSE")

CONFIG = Config(
    entrypoint=["pantala"],
    user="1000:1000",
    path=f"/{_HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
)
"""As in the Dockerfile."""


def reference() -> str:
    """Return the image's name: the operator's default for its own image, tagged with the project's version."""
    return f"docker.io/pantala/pantala:{_project()['version']}"


def layers() -> tuple[Layer, ...]:
    """Return the layers of the present source tree."""
    return (BASE, _dependencies(), _code())


@cache
def _project() -> dict[str, object]:
    return tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]


def _dependencies() -> Layer:
    requirements = tuple(_project()["dependencies"])
    constraints = _ROOT / "constraints.txt"
    pinned = constraints.read_text() if constraints.is_file() else ""

    def build(work: Work) -> None:
        options = ["--constraint", str(constraints)] if pinned else []
        pip_install(work, _SITE, *options, *requirements)
        home = work.upper / _HOME
        (home / "bin").mkdir()
        (home / "bin/python").symlink_to("/usr/bin/python3.11")
        (home / "pyvenv.cfg").write_text(_PYVENV)
        subprocess.run(["rm", "-rf", work.upper / _SITE / "bin"], check=True)  # programs that nobody calls
        drop_caches(work.upper)
        work.run("compile", f"{COMPILE} /{_SITE}")

    return Layer("pantala-dependencies", (BASE,), (*requirements, pinned, _PYVENV, COMPILE, "1"), build)


def _code() -> Layer:
    def build(work: Work) -> None:
        site = work.upper / _SITE
        site.mkdir(parents=True)
        with zipfile.ZipFile(wheel()) as archive:
            archive.extractall(site)
        _write_script(work.upper / _HOME / "bin/pantala")
        if sys.version_info[:2] == (3, 11):  # the image's own version; another's compiled files would be ignored
            command = COMPILE.replace("python3", sys.executable, 1).split()
            subprocess.run([*command, "-s", str(work.upper), "-p", "/", site], check=True)

    return Layer("pantala", (), (_source_hash(), COMPILE, "1"), build)


def _write_script(path: Path) -> None:
    module, _, function = _project()["scripts"]["pantala"].partition(":")
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/{_HOME}/bin/python\nfrom {module} import {function}\n\nraise SystemExit({function}())\n")
    path.chmod(0o755)


def _source_hash() -> str:
    """Return a hash of all that goes into the wheel."""
    digest = hashlib.sha256()
    for name in _WHEEL_INPUTS:
        top = _ROOT / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                digest.update(f"{file.relative_to(_ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def wheel() -> Path:
    """Return the project's wheel, built by pip as for a release, once for every state of the sources."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(_ROOT)]
        run_shown("wheel", command, cwd=folder, env=os.environ, log=folder / "log")

    folder = entry(f"wheel-{short_hash([_source_hash()])}", build, cache_root() / "images")
    (found,) = folder.glob("*.whl")
    return found
