"""Reading the audit log: who asked the API server for what, and what it answered."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
"""Verbs that change something (an apply is a patch)."""


@dataclass(frozen=True)
class Call:
    """One answered request."""

    user: str
    agent: str
    verb: str
    resource: str
    """Plural with its subresource, for example `deployments` or `inferencemodels/status`."""
    namespace: str
    name: str
    code: int
    received: datetime
    raw: dict[str, Any]

    @property
    def forbidden(self) -> bool:
        """Whether RBAC refused it."""
        return self.code == 403


class AuditLog:
    """The audit log of a cluster; `mark()` and `since` count what one step of a test caused."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """Where the log ends now."""
        return self.path.stat().st_size if self.path.exists() else 0

    def calls(self, since: int = 0, *, user: str = "", agent: str = "") -> Iterator[Call]:
        """Every answered request after a mark, of one user or of the user agents that begin with `agent`.

        A watch is in the log when it has been opened and again when it ends; only its start is given.
        """
        with self.path.open("rb") as log:
            log.seek(since)
            for line in log:
                if not line.endswith(b"\n"):
                    return  # is being written
                call = _call(json.loads(line))
                watch_end = call.verb == "watch" and call.raw["stage"] == "ResponseComplete" and call.code == 200
                if not watch_end and (not user or call.user == user) and call.agent.startswith(agent):
                    yield call

    def count(
        self, since: int = 0, *, user: str = "", agent: str = "", writes: bool = False
    ) -> Counter[tuple[str, str]]:
        """Number of calls by (verb, resource); with `writes` only of those that change something."""
        found = self.calls(since, user=user, agent=agent)
        return Counter((it.verb, it.resource) for it in found if not writes or it.verb in WRITES)


def _call(event: dict[str, Any]) -> Call:
    target = event.get("objectRef", {})
    resource, sub = target.get("resource", event["requestURI"]), target.get("subresource")
    return Call(
        user=event["user"].get("username", ""),
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        resource=f"{resource}/{sub}" if sub else resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        raw=event,
    )
