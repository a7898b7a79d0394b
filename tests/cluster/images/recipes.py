"""The images by short name, and the way from a name to an archive."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pantala.runtimes.images import TORCHSERVE, TRITON
from tests.cluster.cache import cache_root, entry
from tests.cluster.images import debian, dfdaemon, envoy, pantala, torchserve, triton
from tests.cluster.images.layers import Layer, Work, blob_of, short_hash
from tests.cluster.images.oci import Config, write_archive
from tests.cluster.progress import say

_PAUSE_SOURCE = Path(__file__).with_name("pause.c")


@dataclass(frozen=True)
class Image:
    """An image: what pods call it, how it starts and, lowest first, its layers (a function: some read sources)."""

    reference: str
    config: Config
    layers: Callable[[], tuple[Layer, ...]]

    @property
    def key_parts(self) -> list[str]:
        """All that makes another archive."""
        return [self.reference, repr(self.config), *(layer.key for layer in self.layers())]


def _pause(work: Work) -> None:
    program = work.upper / "pause"
    subprocess.run(["gcc", "-static", "-Os", "-s", "-o", program, _PAUSE_SOURCE], check=True)


def _pause_layers() -> tuple[Layer, ...]:
    return (Layer("pause", (), (_PAUSE_SOURCE.read_text(), "1"), _pause),)


IMAGES = {
    "pause": Image("registry.local/pause:1", Config(entrypoint=["/pause"], user="1000:1000"), _pause_layers),
    "pantala": Image(pantala.reference(), pantala.CONFIG, pantala.layers),
    "triton": Image(TRITON, triton.CONFIG, lambda: (debian.BASE, triton.LAYER)),
    "dfdaemon": Image(dfdaemon.reference(), dfdaemon.CONFIG, dfdaemon.layers),
    "envoy": Image(envoy.REFERENCE, envoy.CONFIG, envoy.layers),
    "torchserve": Image(TORCHSERVE, torchserve.CONFIG, lambda: (debian.BASE, torchserve.LAYER)),
}
"""The images of the local cluster by the name that `ensure` takes."""


def archive_of(name: str) -> Path:
    """Return where the archive of an image is or will be."""
    return cache_root() / "images" / f"{name}-{short_hash(IMAGES[name].key_parts)}" / "image.tar"


def ensure(name: str) -> Path:
    """Return an image as OCI archive, built first where the cache has none; shows its progress on standard error.

    Raises:
        KeyError: there is no such image.
        ClusterError: it cannot be built; the message says why.
    """
    image, archive = IMAGES[name], archive_of(name)
    if not archive.is_file():
        start = time.monotonic()
        blobs = [blob_of(layer) for layer in image.layers()]
        entry(
            archive.parent.name,
            lambda folder: write_archive(folder / archive.name, image.reference, blobs, image.config),
            archive.parent.parent,
        )
        _forget_old(name, archive.parent)
        say(f"image {name}: {archive.stat().st_size / 1e6:.0f} MB after {time.monotonic() - start:.0f} s")
    return archive


def _forget_old(name: str, present: Path) -> None:
    """Delete older archives of an image: every changed source line makes one of 100 MB.

    Those of the last hour stay: another checkout or a node may be reading them.
    """
    for folder in present.parent.iterdir():
        same = re.fullmatch(rf"{name}-[0-9a-f]{{12}}", folder.name) and folder != present
        if same and folder.stat().st_mtime < time.time() - 3600:
            shutil.rmtree(folder, ignore_errors=True)
