"""Whether every part of Dragonfly is there: dfdaemon on every node, seed peers, scheduler, manager. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pantala.cli.doctor import daemon
from pantala.cli.doctor.finding import Finding, error, ok, some, warning
from pantala.cli.doctor.seen import Seen, names, uses
from pantala.manifest.types import Manifest

_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_LIFE = "node.kubernetes.io/"
"""Taints that the node's own state puts there."""


def dfdaemons(seen: Seen) -> Iterator[Finding]:
    """A ready dfdaemon on every node where model pods can land."""
    if seen.pods is None:
        return
    pods = daemon.of(seen.pods, daemon.CLIENT)
    if not pods:
        yield _nothing(seen)
        return
    if seen.nodes is None:
        found = [pod["metadata"]["name"] for pod in pods if daemon.ready(pod)]
        yield ok("dfdaemon", f"{len(found)} of {len(pods)} pods are ready; on which nodes it lacks cannot be told")
        return
    at: dict[str, list[Manifest]] = {}
    for pod in pods:
        at.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
    nodes = [node for node in seen.nodes if _takes_pods(node)]
    lacking = [node for node in nodes if not any(map(daemon.ready, at.get(node["metadata"]["name"], [])))]
    yield ok("dfdaemon", f"is ready on {len(nodes) - len(lacking)} of {len(nodes)} nodes that take pods")
    for node in lacking:
        yield _lacking(seen, node, at.get(node["metadata"]["name"], []))


def _nothing(seen: Seen) -> Finding:
    old = daemon.of(seen.pods, daemon.OLD)
    if old:
        return error(
            "dfdaemon",
            "only the dfdaemon written in Go runs here (Dragonfly before 2.2, proxy port 65001): it has no gRPC socket of"
            " the kind that the fetcher speaks to",
            "Upgrade to a chart with client and seedClient (docs/dragonfly.md); until then set distribution.proxy.port"
            " to 65001, or distribution.mode to Direct.",
            f"Namespace {seen.dragonfly}",
            daemon.image(old[0]),
        )
    wanting = names([use for use in uses(seen.models) if use.dragonfly])
    text = "no pod has the label component=client: Dragonfly is not installed here"
    next_step = "Name its namespace with --dragonfly-namespace, or install it: docs/dragonfly.md."
    where = f"Namespace {seen.dragonfly}"
    if seen.models is not None and not wanting:
        return warning("dfdaemon", f"{text}; no model asks for it", next_step, where)
    return error("dfdaemon", f"{text}, and {some(wanting) or 'some model may'} ask for it", next_step, where)


def _takes_pods(node: Manifest) -> bool:
    """Whether pods of models can land there; one that is cordoned for a while counts as if it were not."""
    taints = node["spec"].get("taints") or ()
    return not any(taint["key"] in _CONTROL_PLANE and taint["effect"] != "PreferNoSchedule" for taint in taints)


def _lacking(seen: Seen, node: Manifest, pods: Sequence[Manifest]) -> Finding:
    name = node["metadata"]["name"]
    where = f"Node {name}"
    conditions = node.get("status", {}).get("conditions") or ()
    if not any(item["type"] == "Ready" and item["status"] == "True" for item in conditions):
        return warning(
            "dfdaemon", "the node is not Ready, and so is nothing on it", f"kubectl describe node {name}", where
        )
    if pods:
        pod = pods[0]["metadata"]["name"]
        return error(
            "dfdaemon",
            f"its pod {pod} is not ready; models there fall back to the origin, or wait with fallback: Fail",
            f"kubectl -n {seen.dragonfly} logs {pod} --all-containers --tail=50 (dfdaemon ends when no scheduler answers)",
            where,
            daemon.trouble(pods[0]),
        )
    taint = _not_tolerated(seen, node)
    if taint:
        return warning(
            "dfdaemon",
            "no dfdaemon: the node has a taint that the DaemonSet does not tolerate; models that do fall back there",
            "Add the toleration to client.tolerations of the Dragonfly chart, if models run on this node.",
            where,
            taint,
        )
    if node["spec"].get("unschedulable"):
        return warning(
            "dfdaemon", "no dfdaemon; the node is cordoned", f"Before kubectl uncordon {name}: find out why.", where
        )
    return error(
        "dfdaemon",
        "no dfdaemon: models there fall back to the origin, or wait with fallback: Fail",
        f"kubectl -n {seen.dragonfly} get daemonset -l component=client -o wide; compare client.nodeSelector and"
        " client.affinity of the Dragonfly chart with the node's labels.",
        where,
    )


def _not_tolerated(seen: Seen, node: Manifest) -> str:
    """A taint of the node that keeps dfdaemon's pods away; empty if none does, or the DaemonSet cannot be read."""
    sets = [one for one in seen.daemon_sets or () if _component(one) == daemon.CLIENT]
    if not sets:
        return ""
    tolerations = sets[0]["spec"]["template"]["spec"].get("tolerations") or ()
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] == "PreferNoSchedule" or taint["key"].startswith(_LIFE):
            continue
        if not any(_tolerates(toleration, taint) for toleration in tolerations):
            return f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"
    return ""


def _component(workload: Manifest) -> str:
    labels = workload["spec"]["template"]["metadata"].get("labels") or {}
    return str(labels.get("component", ""))


def _tolerates(toleration: Manifest, taint: Manifest) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def seeds(seen: Seen) -> Iterator[Finding]:
    """Seed peers: they alone read the origin for models with `fallback: Fail`, and keep simultaneous starts from it."""
    if seen.pods is None or not daemon.of(seen.pods, daemon.CLIENT):
        return
    pods = [*daemon.of(seen.pods, daemon.SEED), *_seeding(seen)]
    alive = [pod for pod in pods if daemon.ready(pod)]
    needing = names([use for use in uses(seen.models) if use.by_socket and use.fallback == "Fail"])
    if alive:
        yield ok("seeds", f"{len(alive)} of {len(pods)} seed peers are ready")
    elif needing:
        yield error(
            "seeds",
            f"no seed peer is ready, and nobody else may read the store for {some(needing)} (fallback: Fail)",
            f"kubectl -n {seen.dragonfly} get pods -l component=seed-client; set seedClient.enable=true in the Dragonfly chart.",
            f"Namespace {seen.dragonfly}",
        )
    else:
        yield warning(
            "seeds",
            "no seed peer is ready: which node reads the store first is left to chance",
            "Set seedClient.enable=true in the Dragonfly chart, with replicas on nodes with disk and bandwidth.",
            f"Namespace {seen.dragonfly}",
        )


def _seeding(seen: Seen) -> list[Manifest]:
    """Pods of the DaemonSet that are told to be seed peers."""
    return [pod for config in daemon.configs(seen) if config.get("seedPeer.enable") for pod in config.pods]


def scheduler(seen: Seen) -> Iterator[Finding]:
    """The scheduler: without it dfdaemon reads the origin, and says nothing about it."""
    if seen.pods is None or not daemon.of(seen.pods, daemon.CLIENT):
        return
    pods = daemon.of(seen.pods, daemon.SCHEDULER)
    alive = [pod for pod in pods if daemon.ready(pod)]
    elsewhere = [address for config in daemon.configs(seen) for address in config.schedulers]
    where = f"Namespace {seen.dragonfly}"
    if alive:
        yield ok("scheduler", f"{len(alive)} of {len(pods)} are ready")
    elif pods:
        yield error(
            "scheduler",
            "none is ready: every dfdaemon reads the origin in silence, and one that starts now ends at once",
            f"kubectl -n {seen.dragonfly} logs -l component=scheduler --tail=50",
            where,
            daemon.trouble(pods[0]),
        )
    elif elsewhere:
        yield ok(
            "scheduler",
            "is outside of this namespace; every dfdaemon that is ready found it at its start",
            where,
            some(elsewhere),
        )
    else:
        yield error(
            "scheduler",
            "there is none: no pod has the label component=scheduler",
            "Set scheduler.enable=true in the Dragonfly chart.",
            where,
        )


def manager(seen: Seen) -> Iterator[Finding]:
    """The manager, or its lawful absence: without one, dfdaemon reads dynconfig.yaml."""
    if seen.pods is None or seen.config_maps is None:
        return
    for config in daemon.configs(seen):
        address = config.text("manager.addr") or str(next(iter(config.items("manager.addrs")), ""))
        host = address.partition("://")[2] or address
        where = f"ConfigMap {config.name}"
        if not address and config.dynamic is not None:
            yield ok(
                "manager", "there is none, and none is needed: dfdaemon has its schedulers from dynconfig.yaml", where
            )
        elif not address:
            yield error(
                "manager",
                "dfdaemon is told neither of a manager (manager.addr) nor of schedulers (dynconfig.yaml)",
                "Install with the chart's default, which makes dynconfig.yaml, or set manager.enable=true.",
                where,
            )
        elif f".{seen.dragonfly}.svc" in host or "." not in host.partition(":")[0]:
            pods = daemon.of(seen.pods, daemon.MANAGER)
            alive = [pod for pod in pods if daemon.ready(pod)]
            if alive:
                yield ok("manager", f"{len(alive)} of {len(pods)} are ready")
            else:
                yield error(
                    "manager",
                    "none is ready: dfdaemons that start now get no scheduler",
                    f"kubectl -n {seen.dragonfly} get pods -l component=manager",
                    where,
                    address,
                )
        else:
            yield ok("manager", "is outside of this namespace, and cannot be seen from here", where, address)
