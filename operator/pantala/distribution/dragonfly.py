"""Weights through the node's Dragonfly dfdaemon: by its unix socket, or by its HTTP proxy.

Either is mounted into, or told to, the fetch container alone: who reaches the socket or the proxy can read every model
that the daemon holds.
"""

from pantala.api import durations
from pantala.api.resolve import ResolvedVersion
from pantala.api.storage import Proxy
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute, PodParts

SOCKET = "dfdaemon.sock"
"""Name of the socket in its folder (dragonfly-client-config 1.5.10, `default_download_unix_socket_path`)."""
VOLUME = "dragonfly"
"""Name of the socket's volume."""


class Dragonfly:
    """Asks the daemon of the node."""

    def route(self, version: ResolvedVersion, settings: Settings) -> FetchRoute:
        """Give the fetch container a way to the node's dfdaemon.

        The folder of the socket is mounted, not the socket: a mounted socket is that of a dfdaemon which may be gone. There is
        no check that the folder exists, since that would keep the pod from starting on a node without dfdaemon; the fetcher
        finds no socket there, and does as `fallback` says.
        """
        if version.uri.startswith("pvc://"):
            return FetchRoute()  # a volume is read by its pod alone
        block = version.distribution
        args: list[str] = []
        if block.fallback is not None:
            args += ["--fallback", block.fallback.lower()]
        if block.fallback_after is not None:
            args += ["--fallback-after", f"{durations.parse(block.fallback_after).total_seconds():g}"]
        if block.proxy is not None:
            return _by_proxy(block.proxy, args)
        folder = settings.dragonfly_socket_folder
        volume = {"name": VOLUME, "hostPath": {"path": folder}}
        mount = {"name": VOLUME, "mountPath": folder, "readOnly": True}
        return FetchRoute(("--peers", f"{folder}/{SOCKET}", *args), PodParts(volumes=(volume,), mounts=(mount,)))


def _by_proxy(proxy: Proxy, args: list[str]) -> FetchRoute:
    address = {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    args = ["--proxy", f"http://$(HOST_IP):{proxy.port}", *args]
    for name, value in sorted((proxy.headers or {}).items()):
        args += ["--proxy-header", f"{name}={_literal(value)}"]
    for name in proxy.filters or ():
        args += ["--proxy-filter", name]
    return FetchRoute(tuple(args), PodParts(env=(address,)))


def _literal(text: str) -> str:
    """Keep the kubelet from reading `$(NAME)` in an argument."""
    return text.replace("$(", "$$(")
