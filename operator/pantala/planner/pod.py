"""The pod of a version: fetcher, model server, and what storage, distribution and accelerator add to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pantala import naming
from pantala.accelerators import registry as accelerators
from pantala.accelerators.base import Claim
from pantala.api.model import InferenceModel
from pantala.api.pod import TemplatePodSpec
from pantala.api.quantity import parse
from pantala.api.resolve import ResolvedVersion
from pantala.distribution import registry as distribution
from pantala.manifest import layout
from pantala.manifest.canonical import digest
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute, Invalid, Manifest, PodParts, ServerParts
from pantala.planner import affinity, cards, claim_template
from pantala.planner import volumes as caches
from pantala.planner.volumes import WEIGHTS, Weights
from pantala.storage import registry as storage
from pantala.storage.base import Source, StorageAccess
from pantala.traffic import service

CONFIG = {"name": "config", "mountPath": layout.CONFIG, "readOnly": True}
SCRATCH = {"name": "tmp", "mountPath": layout.SCRATCH}
FETCHER_METRICS_PORT = 9465

_FETCHER_MEMORY = "256Mi"
_SECURITY: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def template(
    model: InferenceModel,
    version: ResolvedVersion,
    server: ServerParts,
    fetcher_image: str,
    claim: Claim | None,
    settings: Settings,
) -> Manifest | Invalid:
    """The pod template of a version, or why there can be none.

    Args:
        model: The resource.
        version: The version.
        server: What its runtime contributes.
        fetcher_image: Image of the init container.
        claim: What it asks of the provider of its cards; None if it asks for none.
        settings: The installation's.
    """
    access = storage_access(version)
    if isinstance(access, Invalid):
        return access
    weights = caches.weights(model, version, server, fetcher_image, settings)
    if isinstance(weights, Invalid):
        return weights
    spec = version.template.spec if version.template and version.template.spec else TemplatePodSpec()
    user = spec.as_dict()
    grace = spec.termination_grace_period_seconds or layout.GRACE_SECONDS
    volumes: list[Mapping[str, Any]] = [*weights.volumes, {"name": "tmp", "emptyDir": {}}]
    if server.files:
        volumes.append({"name": "config", "configMap": {"name": naming.child_name(model.metadata.name, version.name)}})
    route = distribution.route(version, settings)
    volumes += [*access.volumes, *route.parts.volumes, *server.parts.volumes, *user.pop("volumes", [])]
    fetch = _fetch(version, server, (access, route, weights), fetcher_image, settings)
    mounts: list[Mapping[str, Any]] = [weights.server_mount, SCRATCH, *([CONFIG] if server.files else [])]
    mounts += [*server.parts.mounts, *user.pop("volumeMounts", [])]
    card = claim_template.parts(model, version, claim) if claim is not None else accelerators.NO_CARDS
    container = _server(version, server, claim, mounts, _drain(grace, settings), settings)
    init = [*weights.init, fetch]
    if claim is not None and not claim.parts.resource_claims:
        init = [_without_cards(item) for item in init]
    # What the user sets replaces the operator's value, field by field.
    security = {**_SECURITY, **user.pop("securityContext", {})}
    return {
        "metadata": _metadata(model, version, server, card),
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # Said even where nobody asks: if it were dropped, its deprecated twin `serviceAccount` would bring it back.
            "serviceAccountName": "default",
            "securityContext": security,
            "initContainers": init,
            "containers": [container],
            "volumes": _unique(volumes, "name"),
            **_on_cards(_spread(model, version, user), card),
            "terminationGracePeriodSeconds": grace,
        },
    }


def _on_cards(user: Manifest, card: PodParts) -> Manifest:
    """The user's scheduling fields with what the provider of the cards needs beside them."""
    if card.scheduler_name is not None:
        user = {**user, "schedulerName": card.scheduler_name}
    if card.resource_claims:
        user = {**user, "resourceClaims": list(card.resource_claims)}
    return affinity.require(user, card.node_requirements)


def storage_access(version: ResolvedVersion) -> StorageAccess | Invalid:
    """How the fetcher reaches the version's weights."""
    block = version.storage
    source = Source(
        uri=version.uri,
        endpoint=block.endpoint if block else None,
        region=block.region if block else None,
        digest=version.digest,
        secret_name=block.secret_ref.name if block and block.secret_ref else None,
    )
    store = storage.for_uri(version.uri)
    return store if isinstance(store, Invalid) else store.access(source)


def _metadata(model: InferenceModel, version: ResolvedVersion, server: ServerParts, card: PodParts) -> Manifest:
    user = version.template.metadata if version.template else None
    annotations = dict((user.annotations if user else None) or {})
    annotations = service.prometheus_annotations(server) | annotations | dict(card.annotations)
    if server.files:
        # A server reads its files when it starts: new content needs new pods.
        annotations[f"{naming.GROUP}/config"] = digest(dict(server.files))
    labels = dict((user.labels if user else None) or {}) | naming.labels(model.metadata.name, version.name)
    return {"labels": labels, "annotations": annotations}


def _fetch(
    version: ResolvedVersion,
    server: ServerParts,
    ways: tuple[StorageAccess, FetchRoute, Weights],
    image: str,
    settings: Settings,
) -> Manifest:
    access, route, weights = ways
    args = ["fetch", *access.args, "--to", WEIGHTS["mountPath"], "--layout", server.layout]
    args += ["--model-name", version.model_name, "--metrics-port", str(FETCHER_METRICS_PORT)]
    # Not longer: the kubelet starts the fetcher again, which goes on where it was, and the model says what is wrong.
    args += ["--retry-seconds", "20", "--termination-log", "/dev/termination-log"]
    args += weights.fetch_args
    if server.files:
        args += ["--overlay", str(CONFIG["mountPath"])]
    mounts: list[Mapping[str, Any]] = [
        *weights.fetch_mounts,
        SCRATCH,
        *([CONFIG] if server.files else []),
        *access.mounts,
        *route.parts.mounts,
    ]
    container: Manifest = {
        "name": "fetch",
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": [*args, *route.args],
        "ports": [{"name": "fetch-metrics", "containerPort": FETCHER_METRICS_PORT}],
        "volumeMounts": _unique(mounts, "mountPath"),
        "securityContext": weights.fetch_security,
    }
    env = [*access.env, *route.parts.env]
    if env:
        container["env"] = env
    resources = _resources(version)
    if resources:
        # A pod asks for the larger of its init and its server containers, so the same amount costs nothing.
        limit = resources.get("limits", {}).get("memory")
        if limit is not None and _less(limit, _FETCHER_MEMORY):
            resources["limits"] = {**resources["limits"], "memory": _FETCHER_MEMORY}
        container["resources"] = resources
    return container


def _server(
    version: ResolvedVersion,
    server: ServerParts,
    claim: Claim | None,
    mounts: list[Mapping[str, Any]],
    drain: int,
    settings: Settings,
) -> Manifest:
    card = claim.parts if claim is not None else accelerators.NO_CARDS
    container = {"imagePullPolicy": settings.image_pull_policy, **server.container}
    limits = dict(server.parts.limits)
    env = [*server.parts.env]
    resources = _resources(version)
    limits |= card.limits
    env += card.env
    told = cards.variables(version, claim)
    if card.resource_claims:
        resources["claims"] = [{"name": item["name"]} for item in card.resource_claims]
    if limits:
        resources["limits"] = {**resources.get("limits", {}), **limits}
    if resources:
        container["resources"] = resources
    if told or env:
        # First, so that variables and arguments of the user may refer to it.
        container["env"] = _unique([*told, *container.get("env", []), *env], "name")
    container["volumeMounts"] = _unique(mounts, "mountPath")
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": drain}}}
    return container


def _without_cards(container: Manifest) -> Manifest:
    """A container of a pod with cards that is to see none of them, whatever its image says."""
    return {**container, "env": _unique([*container.get("env", []), *accelerators.NO_CARDS.env], "name")}


def _resources(version: ResolvedVersion) -> Manifest:
    return version.resources.as_dict() if version.resources else {}


def _drain(grace: int, settings: Settings) -> int:
    """Seconds between leaving the endpoints and SIGTERM; never more than half of what the user grants."""
    return max(1, min(settings.drain_seconds, grace // 2))


def _less(left: str, right: str) -> bool:
    first, second = parse(left), parse(right)
    return first is not None and second is not None and first < second


def _spread(model: InferenceModel, version: ResolvedVersion, user: Manifest) -> Manifest:
    """The user's scheduling fields; a spread constraint without a selector counts the pods of this version."""
    constraints = user.get("topologySpreadConstraints")
    if constraints:
        own = {"matchLabels": naming.selector(version.name, model.metadata.name)}
        user["topologySpreadConstraints"] = [{"labelSelector": own} | constraint for constraint in constraints]
    return user


def _unique(items: Iterable[Mapping[str, Any]], key: str) -> list[Manifest]:
    """The items, the first of each key: several features may ask for the same volume or mount."""
    found: dict[str, Manifest] = {}
    for item in items:
        found.setdefault(str(item[key]), dict(item))
    return list(found.values())
