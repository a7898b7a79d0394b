"""The TorchServe image: PyPI's TorchServe on Debian's Java and CPU build of PyTorch (PyPI's brings gigabytes of CUDA).

Like the real image it has `torchserve` and `python` on PATH and a user of number 1000; unlike it, it starts nothing
by itself: pods name the command, as they must for the real image to get a read-only root file system.
"""

import subprocess

from tests.cluster.images.debian import BASE, COMPILE, drop_caches, install, pip_install
from tests.cluster.images.layers import Layer, Work
from tests.cluster.images.oci import Config

_PACKAGES = ("openjdk-17-jre-headless", "python3-torch")
_WHEELS = (
    "torchserve==0.12.0", "packaging==25.0", "psutil==7.0.0", "pyyaml==6.0.3", "pillow==11.3.0", "nvidia-ml-py==12.575.51",
)  # fmt: skip
_TARGET = "usr/local/lib/python3.11/dist-packages"
_UNUSED = (
    "usr/lib/libtorch-test", "usr/lib/x86_64-linux-gnu/dri", "usr/lib/x86_64-linux-gnu/libLLVM*",
    "usr/lib/x86_64-linux-gnu/libz3.so*", "usr/lib/x86_64-linux-gnu/mfx", "usr/lib/x86_64-linux-gnu/libmfxhw64*",
    "usr/lib/python3/dist-packages/hypothesis", "usr/lib/python3/dist-packages/sympy/*/tests",
    "usr/lib/python3/dist-packages/sympy/*/*/tests", "usr/lib/python3/dist-packages/numpy/*/tests",
    "usr/share/proj", "usr/share/mime", "usr/share/X11", "usr/share/icons", "usr/share/fonts",
    f"{_TARGET}/bin", f"{_TARGET}/site-packages",
)  # fmt: skip
"""Torch's tests, and what its OpenCV would only load to draw on a screen or to decode video on a GPU."""
_START = "#!/usr/bin/python3\nfrom ts.model_server import start\n\nstart()\n"

CONFIG = Config(user="1000:1000", workdir="/home/server")
"""No entrypoint: pods name `torchserve`."""


def _build(work: Work) -> None:
    install(work, *_PACKAGES)
    pip_install(work, _TARGET, *_WHEELS, dependencies=False)
    for pattern in _UNUSED:
        for path in work.upper.glob(pattern):
            subprocess.run(["rm", "-rf", path], check=True)
    drop_caches(work.upper)
    programs = work.upper / "usr/local/bin"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "torchserve").write_text(_START)
    (programs / "torchserve").chmod(0o755)
    (programs / "python").symlink_to("/usr/bin/python3")
    work.run("compile", f"{COMPILE} /{_TARGET} /usr/lib/python3/dist-packages || true")  # some of Debian's are Python 2
    work.run("check", "python3 -c 'import torch, ts, numpy, yaml, psutil, PIL' && java -version")


LAYER = Layer("torchserve", (BASE,), (*_PACKAGES, *_WHEELS, *_UNUSED, _START, COMPILE, "1"), _build)
"""Java, PyTorch and TorchServe on top of Debian."""
