"""Whether dfdaemon is configured for what the models ask of it. Pure.

The socket itself is seen from pods only: what is said about it comes from the configuration, the mounts and the readiness
of dfdaemon, whose probe in the Dragonfly chart asks through the socket.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from pantala.cli.doctor import daemon
from pantala.cli.doctor.finding import Finding, error, ok, some, warning
from pantala.cli.doctor.seen import Seen, Use, names, uses
from pantala.distribution.dragonfly import SOCKET

_BUSY = 1000
"""Requests in a second that a node asks of its proxy when several models of many shards start: ranges, each a request."""
_CHART = "of the Dragonfly chart"


def readable(seen: Seen) -> Iterator[Finding]:
    """Whether the configuration of dfdaemon could be found and understood."""
    if seen.pods is None or seen.config_maps is None or not daemon.of(seen.pods, daemon.CLIENT):
        return
    found = daemon.configs(seen)
    for config in found:
        if config.problem:
            yield error(
                "configuration",
                f"dfdaemon.yaml or dynconfig.yaml cannot be read: {config.problem}",
                f"kubectl -n {seen.dragonfly} get configmap {config.name.partition('/')[2]} -o yaml",
                f"ConfigMap {config.name}",
            )
    known = sum(len(config.pods) for config in found)
    if (lost := len(daemon.of(seen.pods, daemon.CLIENT)) - known) > 0:
        yield warning(
            "configuration",
            f"{lost} dfdaemon pods mount no ConfigMap with a dfdaemon.yaml at /etc/dragonfly: nothing is known of their settings",
            "Install Dragonfly by its chart, or compare their settings with docs/dragonfly.md by hand.",
            f"Namespace {seen.dragonfly}",
        )


def socket(seen: Seen) -> Iterator[Finding]:
    """The socket where the fetcher looks for it, on the node's own disk."""
    folder = seen.socket_folder
    expected = f"{folder}/{SOCKET}"
    for config in _usable(seen):
        path = config.text("download.server.socketPath", daemon.SOCKET)
        kind, on_node = daemon.volume_of(config.pods[0], posixpath.dirname(path))
        where = f"ConfigMap {config.name}"
        if kind != "hostPath":
            yield error(
                "socket",
                f"its folder is no hostPath of the dfdaemon pods ({kind or 'nothing is mounted there'}), so no other pod can reach it",
                f"Set client.config.download.server.socketPath {_CHART} to {expected}: the chart mounts that folder.",
                where,
                path,
            )
        elif not daemon.same_path(f"{on_node}/{posixpath.basename(path)}", expected):
            yield error(
                "socket",
                f"dfdaemon has it at {on_node}/{posixpath.basename(path)} of the node, the fetcher looks for {expected}",
                f"Set client.config.download.server.socketPath {_CHART} to {expected}, or settings.dragonflySocketFolder of"
                " Pantala's chart to the folder.",
                where,
                path,
            )
        else:
            answering = sum(map(daemon.ready, config.pods))
            yield ok(
                "socket",
                f"is where the fetcher looks, told from settings and mounts; {answering} of {len(config.pods)} dfdaemons are"
                " ready (the chart's probe asks through it)",
                where,
                path,
            )


def proxy(seen: Seen) -> Iterator[Finding]:
    """The port of the HTTP proxy, and whether pods can reach it at the address of the node."""
    going = [use for use in uses(seen.models) if use.by_proxy]
    for config in _usable(seen):
        port = config.number("proxy.server.port", 4001)
        where = f"ConfigMap {config.name}"
        astray = [use for use in going if use.proxy is not None and int(use.proxy.get("port", 4001)) != port]
        if astray:
            asked = some(sorted({str((use.proxy or {}).get("port", 4001)) for use in astray}))
            yield error(
                "proxy",
                f"it listens on {port}, and {some(names(astray))} asked for {asked} (65001 was Dragonfly's before 2.2)",
                f"Set distribution.proxy.port of these models to {port}.",
                where,
                str(port),
            )
        elif going or port != 4001:  # noqa: PLR2004 - Dragonfly's own
            yield ok("proxy", f"listens on {port}{', as models ask' if going else ''}", where, str(port))
        else:
            yield ok("proxy", f"listens on {port}; no model goes through it", where, str(port))
        yield from _reach(config, going)


def _reach(config: daemon.Config, going: Sequence[Use]) -> Iterator[Finding]:
    """What keeps pods from a proxy that they are to use."""
    where, users = f"ConfigMap {config.name}", some(names(going))
    if not going:
        return
    if not config.pods[0]["spec"].get("hostNetwork"):
        yield error(
            "proxy",
            f"dfdaemon is not in the network of its node, so {users} cannot reach it at the node's address",
            f"Set client.hostNetwork=true {_CHART}.",
            where,
            "hostNetwork: false",
        )
    if config.text("proxy.server.ip").startswith(("127.", "::1")):
        yield error(
            "proxy",
            f"it listens on a loopback address, which is another one in the pods of {users}",
            f"Remove client.config.proxy.server.ip {_CHART}.",
            where,
            config.text("proxy.server.ip"),
        )
    if config.get("proxy.server.basicAuth"):
        yield warning(
            "proxy",
            f"it asks for a password, and {users} have no safe place for one: headers are part of the pod",
            f"Remove client.config.proxy.server.basicAuth {_CHART}, or use the socket.",
            where,
        )


def rate_limit(seen: Seen) -> Iterator[Finding]:
    """How many requests in a second the proxy takes before it answers 429."""
    going = names([use for use in uses(seen.models) if use.by_proxy])
    for config in _usable(seen):
        limit = config.number("proxy.server.requestRateLimit", 4000)
        where, value = f"ConfigMap {config.name}", f"{limit}/s"
        if limit >= _BUSY:
            yield ok("rate-limit", f"{value} are enough for a storm of ranges", where, value)
        elif going:
            yield warning(
                "rate-limit",
                f"is low for {some(going)}: beyond it the proxy answers 429 (the chart's default is 50, dfdaemon's own 4000)",
                f"Set client.config.proxy.server.requestRateLimit {_CHART} to 4000.",
                where,
                value,
            )
        else:
            yield ok("rate-limit", f"{value} are few, but no model goes through the proxy", where, value)


def _usable(seen: Seen) -> list[daemon.Config]:
    return [config for config in daemon.configs(seen) if not config.problem]
