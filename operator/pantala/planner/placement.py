"""Why a pod that waits for cards gets none: from the nodes, and from the scheduler's own words. Pure.

The nodes say what no scheduler does: which of them have the cards, how many, and what keeps the pod from them. What is free
there only the schedulers know, since the pods of others are not watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pantala.accelerators import dra
from pantala.api import resolve
from pantala.api.accelerator import Accelerator
from pantala.api.model import InferenceModel
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest
from pantala.planner import nodes as judge
from pantala.planner import offered
from pantala.planner.cards import Cards
from pantala.status import scheduler
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.status.scheduler import Lack, Words

_NO_CLAIM = "ResourceClaim not created yet"
"""How newer schedulers say in the condition, too, that they wait for a claim (k8s.io/enhancements, KEP-5501; the words are of
k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources, PreEnqueue)."""

UNSEEN_SECONDS = 15.0
"""How long a scheduler may leave a pod alone before it counts as missing; a busy one looks at a pod within a few seconds."""

DEFAULT_SCHEDULER = "default-scheduler"
_HAMI = "hami"
_LACKS = {Lack.KIND: Reason.CARDS_NOT_SELECTED, Lack.PLUGIN: Reason.CARDS_MISSING, Lack.QUOTA: Reason.QUOTA_EXCEEDED}
_CAUSES = {
    dra.Cause.CLASS: Reason.CARDS_MISSING,
    dra.Cause.SELECTOR: Reason.INVALID_SPEC,
    dra.Cause.COUNT: Reason.ASKED_TOO_MUCH,
    dra.Cause.DEVICES: Reason.NO_GPU,
}
_LOOK = "`pantala gpus` shows what there is and who has it."


@dataclass(frozen=True)
class Asked:
    """What the pods of one version ask for, and where they may go."""

    cards: Cards
    accelerator: Accelerator
    """The spec out of which `cards` was made."""
    spec: Manifest
    """The spec of the pod template."""
    settings: AcceleratorSettings


def asked_by(
    model: InferenceModel, version: str, cards: Cards | None, live: Manifest | None, settings: AcceleratorSettings
) -> Asked | None:
    """What the pods of a version's live Deployment ask for; None if that is no cards."""
    block = resolve.resolve(model, version).accelerator if cards is not None else None
    if cards is None or block is None or live is None:
        return None
    return Asked(cards, block, live["spec"]["template"]["spec"], settings)


def unseen(pod: Manifest, now: datetime) -> float | None:
    """Seconds after which a pod that no scheduler has looked at counts as left alone, 0 if it does; None if one has."""
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    looked_at = any(it["type"] == "PodScheduled" for it in status.get("conditions") or ())
    if status.get("phase") != "Pending" or spec.get("nodeName") or looked_at:
        return None
    try:
        created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    except (KeyError, ValueError):
        return None
    return max(0.0, UNSEEN_SECONDS - (now - created).total_seconds())


def next_look(pods: Iterable[Manifest], now: datetime) -> float | None:
    """Seconds after which the first of the pods counts as left alone, though nothing happens to it."""
    waits = [wait for pod in pods if (wait := unseen(pod, now))]
    return min(waits, default=None)


def explain(pod: Manifest, asked: Asked | None, nodes: Sequence[Manifest] | None, now: datetime) -> Problem | None:
    """Why a pod has no node, if that has to do with cards or with the lack of a scheduler.

    Args:
        pod: A pod without a node.
        asked: What its version asks for; None if it asks for no cards.
        nodes: All nodes; None if they may not be seen.
        now: The time.
    """
    name, used = pod["metadata"]["name"], (pod.get("spec") or {}).get("schedulerName") or DEFAULT_SCHEDULER
    left_alone = unseen(pod, now) == 0
    text = next(
        (
            it.get("message", "")
            for it in (pod.get("status") or {}).get("conditions") or ()
            if it["type"] == "PodScheduled" and it["status"] == "False"
        ),
        "",
    )
    claims = asked is not None and asked.cards.claim.template is not None
    if claims and (left_alone or _NO_CLAIM in text) and (why := dra.unclaimed(pod)) is not None:
        return Problem(Reason.CLAIM_MISSING, f"Pod {name} waits for cards: {why}")
    if left_alone:
        return _left_alone(name, used, asked)
    if asked is None or not text:
        return None
    words = scheduler.parse(text)
    found = (
        _without_webhook(asked, used, words, nodes)
        or (offered.lacking(asked.cards, asked.spec, asked.settings, nodes) if nodes is not None else None)
        or _of_claims(asked, text)
        or _of_vendor(asked, words)
        or _taken(asked, words, nodes)
    )
    if found is None:
        return None
    reason, why = found
    return Problem(reason, f"Pod {name} waits for cards: {why} {used} says: {scheduler.brief(text)}")


def _left_alone(name: str, used: str, asked: Asked | None) -> Problem:
    if asked is not None and used == asked.cards.claim.parts.scheduler_name:
        step = (
            f"Install it, for only it hands out the cards of provider {asked.cards.provider}; if it runs, look at the pod's PodGroup and"
            " its queue."
        )
    elif used == DEFAULT_SCHEDULER:
        step = "Look at the cluster's kube-scheduler."
    else:
        step = "Install it, or correct `template.spec.schedulerName`."
    return Problem(
        Reason.SCHEDULER_MISSING,
        f"Pod {name}: the scheduler {used} has said nothing of it for {UNSEEN_SECONDS:.0f} s. {step}",
    )


def _without_webhook(
    asked: Asked, used: str, words: Words, nodes: Sequence[Manifest] | None
) -> tuple[Reason, str] | None:
    """HAMi's memory and compute are no resources of a node: only its own scheduler can find them.

    Source: Project-HAMi/HAMi, charts/hami/templates/scheduler/configmapnew.yaml (ignoredByScheduler), pkg/scheduler/webhook.go.
    """
    if asked.cards.provider != _HAMI or used != DEFAULT_SCHEDULER:
        return None
    # The first is the number of cards, which nodes advertise; where a node advertises the others too, they are scarce.
    unknown = [
        resource
        for resource in [*asked.cards.claim.parts.limits][1:]
        if resource in words.lacking() and not any(resource in it["status"]["allocatable"] for it in nodes or ())
    ]
    if not unknown:
        return None
    return Reason.SCHEDULER_MISSING, (
        f"it is with {used}, which does not know {unknown[0]}: HAMi's webhook would have given it to HAMi's own scheduler."
        " Look whether HAMi runs (`kubectl get mutatingwebhookconfigurations`) and whether the namespace or the pod has the label"
        " hami.io/webhook: ignore; then delete the pod, for it is looked at when it is made."
    )


def _of_claims(asked: Asked, text: str) -> tuple[Reason, str] | None:
    """What the scheduler says of the claims of DynamicResourceAllocation."""
    found = dra.unallocated(text, asked.accelerator) if asked.cards.provider == "dra" else None
    return None if found is None else (_CAUSES[found.cause], f"{found.message} {found.step}")


def _of_vendor(asked: Asked, words: Words) -> tuple[Reason, str] | None:
    said = scheduler.vendor(words)
    if said is None:
        return None
    reason = _LACKS.get(said.lack, Reason.NO_GPU)
    look = "" if said.lack in {Lack.QUOTA, Lack.KIND} else f" {_LOOK}"
    return reason, f"{said.words} (provider {asked.cards.provider}). {said.step}{look}"


def _taken(asked: Asked, words: Words, nodes: Sequence[Manifest] | None) -> tuple[Reason, str] | None:
    short, limits = words.lacking(), asked.cards.claim.parts.limits
    lacking = [resource for resource in limits if resource in short]
    if not lacking:
        return None
    # A scheduler counts nodes without any cards as well: if all that it counts are such, what the others lack is something else.
    other = [resource for resource in short if resource not in limits]
    if nodes is not None and other:
        have_not = {resource: judge.without(resource, int(limits[resource]), asked.spec, nodes) for resource in lacking}
        if all(short[resource] <= count for resource, count in have_not.items()):
            return Reason.UNSCHEDULABLE, (
                f"nodes have them free, but too little of {' and '.join(other)}. Ask for less in `resources`, or add a node."
            )
    have = "" if nodes is None else offered.have(lacking[0], asked.cards, asked.spec, asked.settings, nodes)
    return Reason.NO_GPU, (
        f"too little of {' and '.join(lacking)} is free.{have} Free some, ask for less in `accelerator`, or add a node. {_LOOK}"
    )
