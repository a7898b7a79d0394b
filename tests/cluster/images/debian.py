"""Debian inside images: the base layer that all share, and packages on top of it, from this machine's own mirror."""

import shlex
import subprocess
import sys
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.images.layers import Layer, Work

SUITE = "bookworm"
"""The release whose Python (3.11) has a stub in Triton's wheel and whose archive has a CPU build of PyTorch."""
_BASE_PACKAGES = ("ca-certificates", "libgomp1", "libnuma1", "libpython3.11", "python3")
_USER = "server:x:1000:1000::/home/server:/usr/sbin/nologin\n"
"""The user that pods run as; both real images have a user of this number too."""

COMPILE = "python3 -m compileall -q --invalidation-mode unchecked-hash"
"""Compiles Python once for all: file times are not kept, and pods cannot write, so a check would compile every start."""


def mirror() -> str:
    """Return the address of Debian's archive in this machine's apt configuration, for the suite of the images.

    Raises:
        ClusterError: apt has no Debian archive.
    """
    fields = "$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [row for line in listed.splitlines() if (row := line.split())[2:] == ["main", "Debian"]]
    # first the suite itself, else another of Debian's: mirrors have all; updates and security live elsewhere
    rows.sort(key=lambda row: (row[1] != SUITE, "-" in row[1]))
    if rows:
        return rows[0][0]
    raise ClusterError(
        "apt knows no Debian archive with a component main, of which the images are made; run apt-get update"
    )


def _base(work: Work) -> None:
    include = ",".join(_BASE_PACKAGES)
    private = ["unshare", "--mount", "--propagation", "private"]
    command = ["debootstrap", "--variant=minbase", f"--include={include}", SUITE, str(work.upper), mirror()]
    work.shown("debootstrap", [*private, *command])
    for name, line in (("passwd", _USER), ("group", "server:x:1000:\n")):
        with (work.upper / "etc" / name).open("a") as file:
            file.write(line)
    for name in ("models", "home/server"):
        (work.upper / name).mkdir()
    drop_caches(work.upper)
    (work.upper / "etc/resolv.conf").unlink(missing_ok=True)
    subprocess.run(["chroot", work.upper, "sh", "-c", f"{COMPILE} /usr/lib/python3.11 /usr/lib/python3"], check=True)


BASE = Layer("debian", (), (SUITE, *_BASE_PACKAGES, _USER, COMPILE, "1"), _base)
"""Debian's smallest system with Python, the lowest layer of every image but pause."""


def install(work: Work, *packages: str) -> None:
    """Install Debian packages into a layer."""
    sources = f"deb {mirror()} {SUITE} main"
    names = " ".join(map(shlex.quote, packages))
    # its own list folder, so that nothing of apt's state becomes part of the layer
    work.run(
        "apt-get install",
        f"echo {shlex.quote(sources)} >/etc/apt/sources.list\n"
        "mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial /var/log/apt\n"
        "apt-get update -q; apt-get install -q -y --no-install-recommends " + names,
    )


def pip_install(work: Work, target: str, *requirements: str, dependencies: bool = True) -> None:
    """Install wheels into a folder of the layer with the machine's pip, whichever Python that runs on."""
    pip = [sys.executable, "-m", "pip"]
    options = ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:", "--no-compile", "--quiet"]
    options += [] if dependencies else ["--no-deps"]
    work.shown("pip install", [*pip, "install", *options, f"--target={work.upper / target}", *requirements])


def drop_caches(root: Path) -> None:
    """Remove compiled Python (it holds file times, which layers do not keep) from a folder."""
    subprocess.run(["find", root, "-name", "__pycache__", "-prune", "-exec", "rm", "-rf", "{}", "+"], check=True)
