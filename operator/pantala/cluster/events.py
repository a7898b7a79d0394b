"""Events on the model: what changed, for people who read `kubectl describe`."""

from __future__ import annotations

import logging
from datetime import datetime

from pantala import naming
from pantala.cluster.client import Client
from pantala.cluster.resources import EVENT
from pantala.errors import ApiError, Unavailable
from pantala.manifest.types import Manifest
from pantala.status.transitions import Notice

log = logging.getLogger(__name__)

CONTROLLER = f"{naming.GROUP}/operator"
_NOTE_LIMIT = 1024  # events.k8s.io/v1 takes no longer note


class Recorder:
    """Writes Events; one that cannot be written is logged, never retried."""

    def __init__(self, client: Client, instance: str) -> None:
        self._client = client
        self._instance = instance

    async def record(self, model: Manifest, notice: Notice, now: datetime) -> None:
        """Tell one thing about a model."""
        meta = model["metadata"]
        event = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"generateName": f"{meta['name']}-", "namespace": meta["namespace"]},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": notice.reason,
            "note": notice.message[:_NOTE_LIMIT],
            "type": notice.type,
            "regarding": {
                "apiVersion": naming.API_VERSION,
                "kind": naming.KIND,
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
        }
        try:
            await self._client.create(EVENT, event)
        except (ApiError, Unavailable) as error:
            log.warning("event %s on %s/%s was not written: %s", notice.reason, meta["namespace"], meta["name"], error)
