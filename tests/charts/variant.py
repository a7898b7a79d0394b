"""Another build of the operator: the same image with a thin layer in which its code differs, under another tag."""

import subprocess
import sys
from pathlib import Path

from tests.cluster.images import IMAGES, pantala
from tests.cluster.images.debian import COMPILE
from tests.cluster.images.layers import Layer, Work, blob_of
from tests.cluster.images.oci import write_archive

ROOT = Path(__file__).parents[2]
REPOSITORY = "docker.io/pantala/pantala"
TAG = "0.1.1-variant"
IMAGE = f"{REPOSITORY}:{TAG}"
MARK = "pantala.dev/variant"
"""Annotation that the variant's pod template carries besides."""
TRITON = "nvcr.io/nvidia/tritonserver:variant"
"""The variant's default image of Triton."""

_SITE = "opt/pantala/lib/python3.11/site-packages"
_EDITS = {
    "pantala/planner/pod.py": (
        'return {"labels": labels, "annotations": annotations}',
        f'return {{"labels": labels, "annotations": annotations | {{"{MARK}": "yes"}}}}',
    ),
    "pantala/manifest/settings.py": ("drain_seconds: int = 10", "drain_seconds: int = 7"),
    "pantala/runtimes/images.py": ("TRITON: Final = ", f'TRITON: Final = "{TRITON}"\n_WAS: Final = '),
}
"""By file: a piece of the code, and what the variant has in its place: template, default and default image differ."""


def _edited() -> dict[str, str]:
    found = {}
    for name, (old, new) in _EDITS.items():
        text = (ROOT / "operator" / name).read_text()
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times: adapt the variant to the code"
        found[name] = text.replace(old, new)
    return found


def build(folder: Path) -> Path:
    """Write the archive of the variant into a folder; return its path."""
    edited = _edited()

    def make(work: Work) -> None:
        for name, text in edited.items():
            path = work.upper / _SITE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        # Compiled files are not checked against their source: those of the layer below have to be replaced too.
        command = COMPILE.replace("python3", sys.executable, 1).split()
        subprocess.run([*command, "-s", str(work.upper), "-p", "/", work.upper / _SITE], check=True)

    assert sys.version_info[:2] == (3, 11), "the image's Python is 3.11"
    changed = Layer("pantala-variant", (), tuple(f"{name}\n{text}" for name, text in edited.items()), make)
    blobs = [blob_of(layer) for layer in (*IMAGES["pantala"].layers(), changed)]
    path = folder / "variant.tar"
    write_archive(path, IMAGE, blobs, pantala.CONFIG)
    return path
