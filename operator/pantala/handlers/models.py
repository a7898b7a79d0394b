"""What kopf watches: the resource itself. The handlers deliver what they see and do nothing else."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import kopf

from pantala import naming
from pantala.cluster.cache import Cache
from pantala.cluster.resources import MODEL


def registry(cache: Cache) -> kopf.OperatorRegistry:
    """The registry of all handlers, bound to a cache."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.event(naming.GROUP, naming.VERSION, naming.PLURAL, registry=handlers)
    async def deliver(event: kopf.RawEvent, **_: Any) -> None:
        obj = dict(event["object"])
        if event["type"] == "DELETED":
            cache.remove(MODEL, obj)
        else:
            cache.upsert(MODEL, obj)

    kopf.on.login(registry=handlers)(_login)
    return handlers


async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Without kopf's own detour over the synchronous client, whose import alone costs half of the memory."""
    found = kopf.login_with_service_account(**kwargs)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if found is not None and host and port:
        # By its address, as every other client: kopf takes a name, and its watch would stop whenever the DNS does.
        return dataclasses.replace(found, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")
    return found or kopf.login_with_kubeconfig(**kwargs)


def settings() -> kopf.OperatorSettings:
    """Settings of kopf: it watches, and writes nothing at all."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True  # in Role-only mode it could not; the operator itself waits for its CRD
    found.watching.server_timeout = 300
    found.watching.client_timeout = 330
    found.watching.connect_timeout = 30
    found.networking.request_timeout = 30
    found.queueing.idle_timeout = 1.0  # a worker per object: with the default a thousand linger for seconds
    return found
