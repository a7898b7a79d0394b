"""What is around Dragonfly: doctor's own rights, Pantala itself, Pod Security, clocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pantala import naming
from pantala.api import crd
from pantala.cli.doctor.finding import Finding, Severity, error, ok, some, warning
from pantala.cli.doctor.seen import Seen, Use, names, uses
from pantala.manifest.types import Manifest

ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace with its Pod Security Standard."""
_FORBID = ("baseline", "restricted")
_AHEAD = timedelta(seconds=30)
_BROKEN = timedelta(minutes=10)
"""S3 refuses what was signed more than 15 minutes beside its own clock."""
_LEASE = timedelta(seconds=40)
"""A kubelet renews its Lease every 10 s; after 40 s the node counts as lost."""


def rights(seen: Seen) -> Iterator[Finding]:
    """What doctor may not read, each with the right that is missing."""
    for refusal in seen.refused:
        yield Finding(
            Severity.ERROR if refusal.vital else Severity.WARNING,
            "rights",
            f"you may not {refusal.verb} {refusal.resource}, so what depends on it was not looked at",
            f"Namespace {refusal.namespace}" if refusal.namespace else "the cluster",
            f"{refusal.verb} {refusal.resource}",
            "Ask for the rights of manifests/doctor-rights.yaml.",
        )


def resource(seen: Seen) -> Iterator[Finding]:
    """Pantala's own resource: whether it is there, and of this release."""
    name = f"CustomResourceDefinition {naming.PLURAL}.{naming.GROUP}"
    install = "kubectl apply --server-side -f crds/, or crds.enabled=true in Pantala's chart."
    if seen.has_resource is False:
        yield error("resource", f"the cluster does not know {naming.KIND}", install, name, naming.API_VERSION)
        return
    if seen.crd is None:
        if seen.has_resource:
            yield ok("resource", "is served; whether it is of this release could not be read", name, naming.API_VERSION)
        return
    ours, theirs = (_paths(definition) for definition in (crd.generate(), seen.crd))
    if missing := sorted(ours - theirs):
        yield error(
            "resource",
            f"is of an older release: {some(missing, 3)} of this one are dropped without a word",
            install,
            name,
            naming.API_VERSION,
        )
    elif more := sorted(theirs - ours):
        yield warning(
            "resource",
            f"is of a newer release than this command, and has {some(more, 3)}",
            "Use the pantala of the operator.",
            name,
        )
    else:
        yield ok("resource", "is the one of this release", name, naming.API_VERSION)


def _paths(definition: Manifest) -> set[str]:
    """Every field of the version that is ours; empty if it is not served."""
    for version in definition["spec"]["versions"]:
        if version["name"] == naming.VERSION and version.get("served"):
            schema = version["schema"]["openAPIV3Schema"]
            return {path for path, _ in crd.fields(schema["properties"]["spec"], "spec")}
    return set()


def operator(seen: Seen) -> Iterator[Finding]:
    """The operator's Deployment, by the labels of Pantala's chart."""
    if seen.operators is None:
        return
    if not seen.operators:
        yield warning(
            "operator",
            "no Deployment has the labels of Pantala's chart; the folder of the socket is taken to be the default",
            "helm install pantala charts/pantala: docs/installation.md. If it runs in another way, nothing is wrong.",
            "",
            seen.socket_folder,
        )
    for deployment in seen.operators:
        meta, status = deployment["metadata"], deployment.get("status") or {}
        where = f"Deployment {meta['namespace']}/{meta['name']}"
        if status.get("readyReplicas"):
            yield ok("operator", "is ready", where)
        else:
            yield error(
                "operator",
                "no replica is ready: models that are changed wait",
                f"kubectl -n {meta['namespace']} logs deployment/{meta['name']} --tail=50",
                where,
                "readyReplicas: 0",
            )


def pod_security(seen: Seen) -> Iterator[Finding]:
    """Whether the namespaces of Dragonfly and of models admit the volumes that they need."""
    if (level := _level(seen, seen.dragonfly)) in _FORBID:
        yield error(
            "pod-security",
            "forbids hostPath and the network of the node, and so dfdaemon itself",
            f"kubectl label namespace {seen.dragonfly} {ENFORCE}=privileged --overwrite",
            f"Namespace {seen.dragonfly}",
            f"{ENFORCE}={level}",
        )
    needing: dict[str, list[Use]] = {}
    for use in uses(seen.models):
        if use.by_socket or use.host_path:
            needing.setdefault(use.namespace, []).append(use)
    fine = []
    for name, found in sorted(needing.items()):
        if (level := _level(seen, name)) in _FORBID:
            what = "the socket of dfdaemon" if any(use.by_socket for use in found) else "storage.cache.hostPath"
            yield error(
                "pod-security",
                f"forbids hostPath, and so {what}: the pods of {some(names(found))} are refused",
                "Set distribution.proxy (no hostPath is needed), or mode: Direct, and another storage.cache; or move the models to"
                " a namespace that enforces privileged.",
                f"Namespace {name}",
                f"{ENFORCE}={level}",
            )
        elif name in seen.namespaces:
            fine.append(name)
    if fine:
        yield ok("pod-security", f"hostPath is not forbidden by a label in {some(fine)}")
    elif seen.models is not None and not needing:
        yield ok("pod-security", "no model needs a hostPath")


def _level(seen: Seen, namespace: str) -> str:
    """The standard that a namespace enforces by its label; empty if by none, or if it could not be read."""
    labels = (seen.namespaces.get(namespace) or {}).get("metadata", {}).get("labels") or {}
    return str(labels.get(ENFORCE, ""))


def clocks(seen: Seen) -> Iterator[Finding]:
    """The nodes' clocks against the API server's: signatures of stores hold for minutes."""
    if not seen.leases or seen.now is None:
        return
    ready = {node["metadata"]["name"] for node in seen.nodes or () if _ready(node)}
    wrong = 0
    for lease in sorted(seen.leases, key=lambda item: str(item["metadata"]["name"])):
        name = lease["metadata"]["name"]
        renewed = lease["spec"].get("renewTime")
        if not renewed or (seen.nodes is not None and name not in ready):
            continue
        ahead = datetime.fromisoformat(renewed) - seen.now
        # A Lease is up to 10 s old when it is read; beyond 40 s the node would not be Ready if its clock were right.
        off = ahead if ahead > _AHEAD else ahead if -ahead > _LEASE + _AHEAD and seen.nodes is not None else None
        if off is None:
            continue
        wrong += 1
        make = error if abs(off) > _BROKEN else warning
        yield make(
            "clocks",
            f"its clock is {'ahead of' if off > timedelta() else 'behind'} the API server's: stores refuse signatures that are some"
            " minutes off (S3: RequestTimeTooSkewed)",
            f"timedatectl status on {name}; run chrony or systemd-timesyncd there.",
            f"Node {name}",
            f"{abs(off).total_seconds():.0f} s",
        )
    if not wrong:
        yield ok("clocks", f"those of {len(seen.leases)} nodes are within a minute of the API server's")


def _ready(node: Manifest) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
