"""Whether the sidecars are there that enforce what the user wants to be protected. Pure."""

from __future__ import annotations

from pantala import naming
from pantala.api.traffic import Traffic
from pantala.manifest.types import Manifest
from pantala.planner.observed import Mesh, Observed
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic.route import protected

SIDECAR = "istio-proxy"
"""Name of the container that Istio puts beside the server."""

_ENDED = frozenset({"Failed", "Succeeded"})
"""Phases of pods that answer nothing any more; an evicted one stays until the garbage collection of pods."""


def problems(traffic: Traffic | None, seen: Observed, *, exposing: bool, exposed: bool) -> list[Problem]:
    """What keeps the model from being shown at a gateway, since nobody would protect it there.

    Args:
        traffic: What the user wants.
        seen: What the cluster holds; its pods tell of sidecars.
        exposing: Whether the model is to have hosts at a gateway.
        exposed: Whether it has some now.
    """
    fields = ", ".join(protected(traffic))
    if not fields:
        return []
    pods = _alive(seen)
    if bare := [pod["metadata"]["name"] for pod in pods if _bare(pod)]:
        words = (
            f"{fields}: not enforced, because {len(bare)} of {len(pods)} replicas have no sidecar (pod {bare[0]}). "
            "No gateway leads to the model meanwhile, and no new node port or load balancer. Label the namespace istio-injection=enabled and run "
            f"`kubectl rollout restart deployment -l {naming.LABEL_MODEL}={seen.name}`."
        )
        return [Problem(Reason.NOT_ENFORCED, words)]
    if not exposing or exposed or seen.assume_ready or any(SIDECAR in _containers(pod) for pod in pods):
        return []
    # A host that was given now would stay if the operator ended before the replicas start, with sidecars or without.
    words = f"No gateway leads to the model until a replica is seen to have a sidecar, which enforces {fields}."
    return [Problem(Reason.VERSION_NOT_READY, words)]


def enforced(traffic: Traffic | None, seen: Observed) -> bool:
    """Whether what the user wants to be protected is, by every replica that is known, and by one at least."""
    if not protected(traffic) or seen.assume_ready:
        return True
    known = [pod for pod in _alive(seen) if _containers(pod)]
    return seen.mesh is Mesh.ISTIO and bool(known) and not any(_bare(pod) for pod in known)


def _alive(seen: Observed) -> list[Manifest]:
    """The pods that may answer something."""
    return [pod for pod in seen.pods if (pod.get("status") or {}).get("phase") not in _ENDED]


def _bare(pod: Manifest) -> bool:
    """Whether a pod is known to have no sidecar: as a container, or as an init container that goes on."""
    names = _containers(pod)
    return bool(names) and SIDECAR not in names


def _containers(pod: Manifest) -> set[str]:
    """Names of the containers that the kubelet knows of; none before it has looked at the pod."""
    status = pod.get("status") or {}
    return {item["name"] for key in ("containerStatuses", "initContainerStatuses") for item in status.get(key) or ()}
