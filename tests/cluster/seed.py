"""Unpacked images, kept: a node starts with them instead of importing gigabytes for half a minute.

A private containerd unpacks the images once into a cache entry. A node's containerd folder is then a tree of hard links
to it: layers are content that nobody changes in place (a container writes into its own layer), only databases are copied.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.cluster import cache
from tests.cluster.errors import ClusterError
from tests.cluster.process import die_with_parent, wait_for
from tests.cluster.progress import say


def ensure(archives: Iterable[Path]) -> Path:
    """Unpack OCI archives once; return a folder that `copy` takes.

    Raises:
        ClusterError: containerd refused one.
    """
    archives = sorted(archives)
    # an archive lies in a cache entry whose name holds the hash of its content
    key = hashlib.sha256(repr([str(it) for it in archives]).encode()).hexdigest()[:12]

    def make(folder: Path) -> None:
        say(f"unpacking {len(archives)} images, once")
        _unpack(folder, archives)

    return cache.entry(f"containerd-{key}", make)


def copy(seed: Path, target: Path) -> None:
    """Make a containerd folder out of a seed, in a second: hard links, but for the databases."""
    command = ["cp", "--archive", "--link", f"{seed}/.", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"copying {seed}: {done.stderr.strip()}")
    for database in target.rglob("*.db"):
        relative = database.relative_to(target)
        if relative.parts[0].endswith("overlayfs") and "snapshots" in relative.parts:
            continue  # a file of an image
        database.unlink()
        shutil.copy2(seed / relative, database)


def _unpack(folder: Path, archives: Iterable[Path]) -> None:
    with tempfile.TemporaryDirectory(prefix="pantala-seed-") as short:  # a socket's path is limited to 107 bytes
        socket, log = Path(short) / "containerd.sock", Path(short) / "log"
        config = Path(short) / "config.toml"
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        own_mounts = ["unshare", "--mount", "--propagation", "private"]
        places = ["--root", str(folder), "--state", f"{short}/state", "--address", str(socket)]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*own_mounts, "containerd", "--config", str(config), *places],
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no other thread holds a lock here
            )
        try:

            def alive() -> None:
                if server.poll() is not None:
                    raise ClusterError(f"containerd ended with {server.returncode}: {log.read_text()[-500:]}")

            wait_for(socket.exists, "containerd", 30, alive)
            for archive in archives:
                command = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import", str(archive)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise ClusterError(f"{archive}: {done.stderr.strip()}")
        finally:
            server.terminate()
            server.wait()
