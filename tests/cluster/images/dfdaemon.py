"""Dragonfly's client image: dfdaemon and dfget as they were built from crates, on Debian, under the real image's name.

The release's image has them at the same place; RocksDB lies beside them, where the programs look for it.
"""

import shutil

from tests.cluster import build
from tests.cluster.images.debian import BASE
from tests.cluster.images.layers import Layer, Work
from tests.cluster.images.oci import Config

CONFIG = Config(entrypoint=["/usr/local/bin/dfdaemon"])
"""As in the release: root, and the daemon is what starts."""
_TOOL = build.TOOLS["dfdaemon"]
_PLACE = "usr/local/bin"


def reference() -> str:
    """Return the image's name, that of the release with the same version."""
    return f"docker.io/dragonflyoss/client:{_TOOL.version}"


def layers() -> tuple[Layer, ...]:
    """Return the layers; builds nothing yet."""
    return (BASE, Layer("dfdaemon", (BASE,), (_TOOL.key, "1"), _build))


def _build(work: Work) -> None:
    folder = build.ensure(["dfdaemon"])["dfdaemon"].parent
    (work.upper / _PLACE).mkdir(parents=True)
    for name in ("dfdaemon", "dfget", "librocksdb.so"):
        if (folder / name).exists():  # without Maven RocksDB is part of the daemon
            shutil.copy(folder / name, work.upper / _PLACE / name)
