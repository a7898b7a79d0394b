"""The one place that writes children.

A child that is not in the cache is applied with `metadata.resourceVersion: "1"`, which the API server takes as an atomic
create (201 where the name is free, 409 where anything has it), so a stranger's object is never adopted. A write is left
out only if the digest of the desired object is the one that was last applied *and* the live object still contains it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from pantala import naming
from pantala.cluster import metrics
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.resources import BY_KIND, CLAIM_TEMPLATE, OPTIONAL, VIRTUAL_SERVICE, Resource, wave
from pantala.errors import ApiError
from pantala.manifest.canonical import digest
from pantala.manifest.contains import missing
from pantala.manifest.types import Manifest, Ref
from pantala.planner import barrier
from pantala.planner.observed import Observed
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

log = logging.getLogger(__name__)

_CONFLICT, _INVALID, _FORBIDDEN, _SERVER_ERROR = 409, 422, 403, 500
_NOT_FOUND = 404
_STEPS = {CLAIM_TEMPLATE: "Correct the expression in `accelerator.selectors`; pods of before go on meanwhile."}
"""What to do about an object of a kind that is refused, where its fields are not those of the resource."""


class Action(Enum):
    """What a child needs."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"


def stamped(desired: Manifest) -> Manifest:
    """The manifest with the annotation that holds its digest."""
    meta = desired["metadata"]
    annotations = {**meta.get("annotations", {}), naming.ANNOTATION_APPLIED: digest(desired)}
    return {**desired, "metadata": {**meta, "annotations": annotations}}


def needed(desired: Manifest, live: Manifest | None) -> Action:
    """What it takes to make `live` the stamped manifest `desired`. Pure."""
    if live is None:
        return Action.CREATE
    applied = live["metadata"].get("annotations", {}).get(naming.ANNOTATION_APPLIED)
    if applied != desired["metadata"]["annotations"][naming.ANNOTATION_APPLIED]:
        return Action.UPDATE
    return Action.NOTHING if missing(desired, live) is None else Action.UPDATE


class Writer:
    """Carries out what was planned for one model at a time."""

    def __init__(self, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    async def apply(self, seen: Observed, manifests: Sequence[Manifest]) -> tuple[Problem, ...]:
        """Write what differs; what a pod needs goes before its Deployment, and a route last: it may only name what exists.

        Where what a route or a Deployment rests on could not be written, it is not written as planned (`barrier`).

        Returns:
            What keeps children from being written, for the status.

        Raises:
            ApiError: A write failed in a way that passes.
            Unavailable: The API server did not answer.
        """
        problems: dict[Ref, Problem] = {}
        for number in sorted({wave(manifest["kind"]) for manifest in manifests}):
            batch = [it for it in manifests if wave(it["kind"]) == number and barrier.founded(it, problems)]
            if number == wave(VIRTUAL_SERVICE.kind):
                routes = (barrier.safe(it, seen.children.get(Ref.of(it)), problems) for it in batch)
                batch = [route for route in routes if route is not None]
            results = await asyncio.gather(*(self._one(seen, manifest) for manifest in batch), return_exceptions=True)
            failures = [result for result in results if isinstance(result, BaseException)]
            if failures:
                raise failures[0]
            pairs = zip(batch, results, strict=True)
            problems |= {
                Ref.of(manifest): replace(result, about=manifest["kind"])
                for manifest, result in pairs
                if isinstance(result, Problem)
            }
        return tuple(problems.values())

    async def prune(self, leftovers: Sequence[Manifest]) -> None:
        """Delete children that nothing asks for any more; each by uid, so that never another object goes.

        Routes go first: a route must not outlive what it leads to.
        """
        for obj in sorted(leftovers, key=lambda obj: -wave(obj["kind"])):
            ref, resource = Ref.of(obj), BY_KIND[obj["kind"]]
            log.info("deleting %s", ref)
            left = await self._client.delete(resource, ref.namespace, ref.name, obj["metadata"]["uid"])
            self._cache.deleted(resource, obj, left)
            metrics.WRITES.labels("delete", ref.kind).inc()

    async def _one(self, seen: Observed, manifest: Manifest) -> Problem | None:
        desired = stamped(manifest)
        ref, resource = Ref.of(desired), BY_KIND[desired["kind"]]
        live = seen.children.get(ref)
        if live is not None and not seen.owns(live):
            if _is_predecessors(seen, live):
                # The model was deleted and made again: garbage collection is about to make room.
                raise ApiError(_CONFLICT, "AlreadyExists", f"{ref} still belongs to the deleted model of this name")
            return _conflict(ref, live)
        action = needed(desired, live)
        if action is Action.NOTHING:
            return None
        if live is not None:
            log.info("updating %s: %s differs", ref, missing(desired, live) or "what was applied")
        try:
            if live is None:
                created = {**desired, "metadata": {**desired["metadata"], "resourceVersion": "1"}}
                answer = await self._client.apply(resource, created)
            else:
                answer = await self._client.apply(resource, _exactly(desired, live))
        except ApiError as error:
            if error.status == _CONFLICT and action is Action.CREATE:
                return await self._taken(seen, desired, ref)
            return _refused(ref, error, resource)
        self._cache.written(resource, answer)
        metrics.WRITES.labels(action.value, ref.kind).inc()
        return None

    async def _taken(self, seen: Observed, desired: Manifest, ref: Ref) -> Problem | None:
        """The name is taken by an object outside the cache: a stranger's, or ours without its labels."""
        resource = BY_KIND[ref.kind]
        live = await self._client.get(resource, ref.namespace, ref.name)
        if not seen.owns(live):
            if _is_predecessors(seen, live):
                raise ApiError(_CONFLICT, "AlreadyExists", f"{ref} still belongs to the deleted model of this name")
            return _conflict(ref, live)
        try:
            self._cache.written(resource, await self._client.apply(resource, _exactly(desired, live)))
        except ApiError as error:
            return _refused(ref, error, resource)
        metrics.WRITES.labels(Action.UPDATE.value, ref.kind).inc()
        return None


def _exactly(desired: Manifest, live: Manifest) -> Manifest:
    """The manifest for this very object: where another one took the name meanwhile, the apply is answered with 409."""
    return {**desired, "metadata": {**desired["metadata"], "uid": live["metadata"]["uid"]}}


def _is_predecessors(seen: Observed, live: Manifest) -> bool:
    """Whether an object belongs to a deleted model that had the name of this one."""
    return any(
        owner.get("controller") and owner["kind"] == naming.KIND and owner["name"] == seen.name
        for owner in live["metadata"].get("ownerReferences", ())
    )


def _conflict(ref: Ref, live: Manifest) -> Problem:
    owner = next((item for item in live["metadata"].get("ownerReferences", ()) if item.get("controller")), None)
    whose = f"it belongs to {owner['kind']} {owner['name']}" if owner else "it was made by somebody else"
    step = "Delete or rename it, or give the model or the version another name."
    return Problem(Reason.NAME_CONFLICT, f"{ref} exists already and {whose}; it is left as it is. {step}")


def _is_not_served(error: ApiError) -> bool:
    """Whether a kind is not there, or is on its way out.

    For a path that nobody serves the API server answers with the words `404 page not found` and no Status; its Status
    with the reason NotFound is about a namespace that is gone. While a CRD is being deleted an apply of a new object
    gets 403, `create not allowed while custom resource definition is terminating`.
    """
    if error.status == _FORBIDDEN:
        return "custom resource definition is terminating" in error.message
    return error.status == _NOT_FOUND and error.reason != "NotFound"


def _refused(ref: Ref, error: ApiError, resource: Resource) -> Problem:
    """The words for a refusal that stays; what passes by itself is raised again."""
    if resource in OPTIONAL and _is_not_served(error):
        return Problem(
            Reason.REJECTED,
            f"{ref} cannot be written: the cluster has no {resource.api_version} {ref.kind}. Install its CRD.",
        )
    if error.status == _FORBIDDEN and "exceeded quota" in error.message:
        step = "Raise the ResourceQuota, or remove objects."
        return Problem(Reason.QUOTA_EXCEEDED, f"{ref} cannot be written: {error.message}. {step}")
    if error.status == _FORBIDDEN and not error.namespace_ends:
        return Problem(
            Reason.FORBIDDEN, f"{ref} cannot be written: {error.message}. Check the operator's Role (charts/pantala)."
        )
    if error.status == _SERVER_ERROR and "webhook" in error.message:
        step = "Mend or remove the webhook; it is tried again every 5 seconds."
        return Problem(Reason.WEBHOOK_FAILED, f"{ref} cannot be written: {error.message}. {step}")
    if error.status in {400, _INVALID}:
        step = _STEPS.get(resource, "Change the field that it names.")
        return Problem(Reason.REJECTED, f"{ref} is refused: {' '.join(error.message.split())}. {step}")
    raise error
