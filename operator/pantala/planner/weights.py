"""What the replicas of a version that are alive say of their weights: whether they agree, and whether peers were used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pantala.manifest.types import Manifest
from pantala.planner import account, phases


@dataclass(frozen=True)
class Weights:
    """The accounts of the pods that have weights, by the pods' names, oldest first."""

    accounts: Mapping[str, Mapping[str, Any]]

    def difference(self, version: str) -> str | None:
        """What to say if two pods have different weights."""
        prints = {pod: told["fingerprint"] for pod, told in self.accounts.items() if "fingerprint" in told}
        if len(set(prints.values())) < 2:  # noqa: PLR2004 -- two of a kind
            return None
        old = next(iter(prints))
        new = next(pod for pod in reversed(prints) if prints[pod] != prints[old])
        return (
            f"Replicas of version {version} have different weights: pod {old} has {_short(prints[old])}, pod {new} has "
            f"{_short(prints[new])}. The objects were replaced in the store after {old} had fetched them. Upload new weights to a "
            "new URI, as a new version. Or, if those that are in the store now are right: "
            f"`kubectl delete pod {old}`, and its successor fetches them."
        )

    def detour(self, version: str) -> str | None:
        """What to say if pods read the store though peers were to be asked."""
        words = {pod: told["fallback"] for pod, told in self.accounts.items() if "fallback" in told}
        if not words:
            return None
        pod = next(reversed(words))
        said = words[pod].rstrip(" .") + "."
        return (
            f"The weights of version {version} arrived, but {len(words)} of {len(self.accounts)} replicas read the store where peers "
            f"did not deliver. Pod {pod}: {said} `pantala doctor` finds what is wrong with Dragonfly."
        )


def weights(pods: Iterable[Manifest]) -> Weights:
    """The weights of the pods of a version; those that are on their way out, or have ended, left aside."""
    alive = [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and (pod.get("status") or {}).get("phase") not in {"Failed", "Succeeded"}
    ]
    told = {pod["metadata"]["name"]: account.of(pod) for pod in sorted(alive, key=phases.age)}
    return Weights({pod: found.figures for pod, found in told.items() if found is not None})


def _short(fingerprint: str) -> str:
    return fingerprint[:23]
