"""What dfdaemon holds, and which release it is: storage and versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pantala.cli.doctor import daemon
from pantala.cli.doctor.finding import Finding, error, ok, some, warning
from pantala.cli.doctor.seen import Seen, names, uses

TESTED = "1.5.10"
"""Release of the Rust dfdaemon that the tests run."""
_KEPT = ("hostPath", "persistentVolumeClaim", "ephemeral", "csi", "local")
_PARTS = ((daemon.CLIENT, "client", "dfdaemon"), (daemon.SEED, "seedClient", "seed peers"))


def storage(seen: Seen) -> Iterator[Finding]:
    """Whether pieces outlive the pod that holds them."""
    for component, key, words in _PARTS:
        for config in daemon.configs(seen, component):
            if config.problem:
                continue
            folder = config.text("storage.dir", daemon.STORAGE)
            kind, on_node = daemon.volume_of(config.pods[0], folder)
            where, value = f"ConfigMap {config.name}", f"{folder} on {kind or 'the container itself'}"
            if kind not in _KEPT or kind == "ephemeral":
                yield warning(
                    "storage",
                    f"the pieces of {words} go with the pod: after an upgrade of Dragonfly every model comes from its store again",
                    f"Put a hostPath in {key}.extraVolumes"
                    + (
                        ", as manifests/dragonfly-values.yaml does."
                        if key == "client"
                        else " or set seedClient.persistence."
                    ),
                    where,
                    value,
                )
            elif not config.get("storage.keep", False):
                yield warning(
                    "storage",
                    f"{words} forget their pieces when they restart",
                    f"Set {key}.config.storage.keep=true in the Dragonfly chart.",
                    where,
                    "storage.keep: false",
                )
            else:
                yield ok(
                    "storage", f"the pieces of {words} outlive the pod", where, f"{folder} on {kind} {on_node}".rstrip()
                )


def hard_links(seen: Seen) -> Iterator[Finding]:
    """Whether dfdaemon sees the folders that replicas share, and so can link weights into them in place of copying."""
    sharing = [use for use in uses(seen.models) if use.by_socket and use.host_path]
    for config in daemon.configs(seen):
        blind = []
        for use in sharing:
            kind, on_node = daemon.volume_of(config.pods[0], use.host_path)
            if kind != "hostPath" or not daemon.same_path(on_node, use.host_path):
                blind.append(use)
        if blind:
            yield warning(
                "hard-links",
                f"dfdaemon does not see the folders that replicas of {some(names(blind))} share, so weights are copied",
                "Let storage.cache.hostPath.path lie below dfdaemon's own hostPath, which has to be mounted at the same path"
                " (manifests/dragonfly-values.yaml).",
                f"ConfigMap {config.name}",
                some(sorted({use.host_path for use in blind})),
            )
        elif sharing:
            yield ok("hard-links", "dfdaemon sees the folders that replicas share", f"ConfigMap {config.name}")


def versions(seen: Seen) -> Iterator[Finding]:
    """Releases: too old, or several at once."""
    found: dict[str, list[str]] = {}
    for component in (daemon.CLIENT, daemon.SEED):
        for pod in daemon.of(seen.pods, component):
            name = pod["metadata"]["name"]
            found.setdefault(daemon.version(pod, seen.metrics.get(name)), []).append(name)
    unknown = found.pop("", [])
    where = f"Namespace {seen.dragonfly}"
    if unknown:
        yield warning(
            "version",
            f"of {len(unknown)} dfdaemons is unknown: neither their metrics nor the tags of their images tell",
            "Let doctor read pods/proxy (manifests/doctor-rights.yaml), or name images by a version.",
            where,
            some(unknown),
        )
    old = {version: pods for version, pods in found.items() if version.startswith("0.")}
    for version, pods in old.items():
        yield error(
            "version",
            f"is older than all that was tried (tested: {TESTED})",
            "Upgrade the Dragonfly chart.",
            f"Pod {seen.dragonfly}/{pods[0]}",
            version,
        )
    if (ancient := daemon.of(seen.pods, daemon.OLD)) and found:
        yield warning(
            "version",
            f"{len(ancient)} pods of the dfdaemon written in Go (before Dragonfly 2.2) run besides: they share nothing with the others",
            f"kubectl -n {seen.dragonfly} get pods -l component=dfdaemon; remove the old release.",
            where,
            daemon.image(ancient[0]),
        )
    if len(found) > 1:
        yield warning(
            "version",
            f"{len(found)} releases of dfdaemon run at once; peers of different releases may name one file differently, and then"
            " read it from the store twice",
            f"kubectl -n {seen.dragonfly} rollout status daemonset -l component=client",
            where,
            some(sorted(f"{version} ({len(pods)} pods)" for version, pods in found.items())),
        )
    elif found and not old:
        (version,) = found
        yield ok("version", f"{version} everywhere (tested: {TESTED})", where, version)


def metrics(seen: Seen) -> Iterator[Finding]:
    """Whether every ready dfdaemon answers at its metrics port."""
    silent = sorted(name for name, text in seen.metrics.items() if text is None)
    if silent:
        yield warning(
            "metrics",
            f"{len(silent)} of {len(seen.metrics)} ready dfdaemons do not answer there: their traffic is unknown to Prometheus too",
            f"kubectl get --raw /api/v1/namespaces/{seen.dragonfly}/pods/{silent[0]}:4002/proxy/metrics | head; a firewall between"
            " the API server and the nodes?",
            f"Namespace {seen.dragonfly}",
            some(silent),
        )
    elif seen.metrics:
        yield ok("metrics", f"all {len(seen.metrics)} ready dfdaemons answer at their metrics port")
