"""How every model pod is laid out: what the planner mounts where, and what the runtimes rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MODELS = "/models"
"""Where the weights lie."""

CONFIG = "/etc/pantala"
"""Where the version's ConfigMap is mounted, if there is one."""

SCRATCH = "/tmp"  # noqa: S108 -- a path in the container, on a volume of its own
"""The one writable folder: the root file system is read-only."""

GRACE_SECONDS = 60
"""A pod's grace period unless the template says otherwise."""

RESTRICTED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""Container security context that the `restricted` Pod Security level accepts."""
