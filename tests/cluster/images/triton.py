"""The Triton image: the real server and its python backend from a wheel of NVIDIA's, without GPU backends.

Laid out as the real image is (`/opt/tritonserver/{bin,backends}`, `tritonserver` on PATH), so that one command line
serves both. nvidia-pytriton 0.7.0 carries Triton 2.51.0, the version of the real image 24.10.
"""

import subprocess
import sys

from tests.cluster.images.debian import BASE, COMPILE, drop_caches, pip_install
from tests.cluster.images.layers import Layer, Work
from tests.cluster.images.oci import Config

_WHEEL = "nvidia-pytriton==0.7.0"
_NUMPY = "numpy==1.26.4"  # the python backend of this Triton was built for numpy 1
_HOME = "opt/tritonserver"
_NUMPY_TARGET = "usr/local/lib/python3.11/dist-packages"

CONFIG = Config(
    env={"LD_LIBRARY_PATH": f"/{_HOME}/lib"},  # the wheel's own search path is relative to its place in site-packages
    user="1000:1000",
    path=f"/{_HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    workdir=f"/{_HOME}",
)
"""No entrypoint: pods name `tritonserver`, as they must for the real image, whose entrypoint only prints a banner."""


def _build(work: Work) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "wheel"]
    work.shown("download", [*pip, "--python-version=3.11", "--only-binary=:all:", _WHEEL])
    (wheel,) = (work.folder / "wheel").glob("*.whl")
    unpacked = work.folder / "unpacked"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, unpacked], check=True)
    home = work.upper / _HOME
    home.parent.mkdir(parents=True)
    (unpacked / "pytriton/tritonserver").rename(home)
    (unpacked / "nvidia_pytriton.libs").rename(home / "lib")
    stub = home / "backends/python/triton_python_backend_stub"
    (home / "python_backend_stubs/3.11/triton_python_backend_stub").rename(stub)
    subprocess.run(["rm", "-rf", home / "python_backend_stubs"], check=True)
    subprocess.run(["chmod", "-R", "u+rwX,go=rX", home], check=True)  # the wheel's files are writable by everybody
    for program in (home / "bin/tritonserver", stub):
        program.chmod(0o755)  # zip files keep no modes
    pip_install(work, _NUMPY_TARGET, _NUMPY)
    for rubbish in work.upper.glob(f"{_NUMPY_TARGET}/numpy/**/tests"):
        subprocess.run(["rm", "-rf", rubbish], check=True)
    drop_caches(work.upper)
    work.run("compile", f"{COMPILE} /{_NUMPY_TARGET} /{_HOME}/backends")


LAYER = Layer("triton", (BASE,), (_WHEEL, _NUMPY, COMPILE, "1"), _build)
"""Triton and numpy on top of Debian."""
