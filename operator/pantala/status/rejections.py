"""Why the API server does not let a Deployment's pods be made, by what it says to the ReplicaSet."""

from __future__ import annotations

import re

from pantala.status.problem import Problem
from pantala.status.reasons import Reason


def problem(name: str, text: str) -> Problem:
    """The problem of a Deployment whose pods are refused.

    Args:
        name: Of the Deployment.
        text: What its condition ReplicaFailure says.
    """
    cases = (
        (
            r"failed quota: .* must specify",
            Reason.QUOTA_EXCEEDED,
            "Set in `resources` what the ResourceQuota counts.",
        ),
        (
            r"exceeded quota|failed quota",
            Reason.QUOTA_EXCEEDED,
            "Raise the ResourceQuota, or ask for less in `resources`.",
        ),
        (r"violates PodSecurity", Reason.POD_SECURITY, _pod_security_step(text)),
        (
            r"(minimum|maximum) (cpu|memory|ephemeral-storage) usage|LimitRange|limit to request ratio",
            Reason.LIMIT_RANGE,
            "Set `resources` to what the LimitRange allows.",
        ),
        (
            r"serviceaccount .* not found|service account .* not found",
            Reason.PODS_REJECTED,
            "Create the ServiceAccount.",
        ),
        (
            r"no PriorityClass with name",
            Reason.PODS_REJECTED,
            "Create the PriorityClass, or change `template.spec.priorityClassName`.",
        ),
        (r"admission webhook", Reason.PODS_REJECTED, "Change what the webhook names, or ask whoever runs it."),
    )
    for pattern, reason, step in cases:
        if re.search(pattern, text, re.IGNORECASE):
            return Problem(reason, f"The pods of Deployment {name} are refused: {text}. {step}")
    return Problem(Reason.PODS_REJECTED, f"The pods of Deployment {name} are refused: {text}")


def _pod_security_step(text: str) -> str:
    """What to do about pods that the namespace's Pod Security level forbids (k8s.io/pod-security-admission 1.36, policy)."""
    level = "or the namespace's Pod Security level."
    if "hostPath" not in text:
        return f"Change `template.spec` {level}"
    remedies = {
        "dragonfly": "The volume dragonfly is dfdaemon's socket: set `distribution.proxy` or `distribution.mode: Direct`",
        "models": "The volume models is `storage.cache.hostPath`: set `storage.cache.emptyDir` or `storage.cache.pvc`",
    }
    found = [words for name, words in remedies.items() if f'"{name}"' in text]
    return " ".join(f"{words}, or change the namespace's Pod Security level." for words in found) or (
        f"Change `template.spec` {level}"
    )
