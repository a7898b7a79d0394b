"""The pod template of a version, rendered once and kept until its spec changes.

An operator upgrade must restart nothing, though it brings other default images and other templates. So what a version
was first rendered with is recorded on its Deployment (`pantala.dev/rendered-with`): the digest of its inputs, the images,
and the template with the configuration files as they were. As long as the inputs are the same the record is used as it
is; when they change the template is rendered anew with the recorded images; `pantala refresh` drops the images too. The
provider of cards that the installation chose is kept like an image: another default of today's moves no pod.

The nodes that hold the weights are recorded beside the template, and looked up anew only where that replaces no pod.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.canonical import canonical, digest
from pantala.manifest.settings import Settings
from pantala.manifest.types import Invalid, Manifest, ServerParts
from pantala.planner import affinity, cards, ledger, pod
from pantala.planner.cards import Cards
from pantala.runtimes import registry as runtimes


@dataclass(frozen=True)
class Images:
    """The images of a version's pods."""

    fetcher: str
    server: str


@dataclass(frozen=True)
class Rendering:
    """What a version's pods and files are made of."""

    images: Images
    template: Manifest
    files: Mapping[str, str]
    cards: Cards | None
    """What the pods ask of the provider of their cards; None if they ask for none."""
    record: str
    """Value of the annotation `pantala.dev/rendered-with`."""


def render(
    model: InferenceModel,
    version: ResolvedVersion,
    settings: Settings,
    live: Manifest | None,
    *,
    status: Mapping[str, Any],
    waking: bool,
) -> Rendering | Invalid:
    """The recorded rendering if the inputs are unchanged, else a new one.

    Args:
        model: The resource.
        version: The version.
        settings: The installation's defaults.
        live: The version's Deployment, if there is one.
        status: The model's status: its ledger tells which nodes hold the weights.
        waking: Whether the version has no pod and is to get one.
    """
    refresh = model.metadata.annotations.get(naming.ANNOTATION_REFRESH, "")
    inputs = _inputs(model, version)
    record = _read(live)
    if record is not None and record.inputs == inputs and record.refresh == refresh:
        record = _with_cards(record, version, settings)
        if waking and (nodes := _holders(version, status)) != record.nodes:
            record = replace(record, nodes=nodes, text=None)
        return _rendering(version, record)
    runtime = version.runtime.name
    kept = record if record is not None and record.refresh == refresh else None
    asked = cards.of(version, settings, kept.cards if kept else None)
    if isinstance(asked, Invalid):
        return asked
    if kept is not None:
        defaults = kept.defaults
        if kept.runtime != runtime:
            defaults = replace(defaults, server=_default_image(runtime, settings))
    else:
        defaults = Images(settings.fetcher_image, _default_image(runtime, settings))
    images = _effective(version, defaults)
    claim = asked.claim if asked else None
    server = server_parts(version, images.server, claim.cards if claim else 0)
    template = pod.template(model, version, server, images.fetcher, claim, settings)
    if isinstance(template, Invalid):
        return template
    nodes = _holders(version, status)
    return _rendering(version, _Record(inputs, refresh, runtime, defaults, template, server.files, asked, nodes))


def server_parts(version: ResolvedVersion, image: str = "", cards_seen: int = 0) -> ServerParts:
    """What the version's runtime contributes; ports and layout depend neither on the image nor on the cards."""
    return runtimes.get(version.runtime.name).server(version, image, cards_seen)


@dataclass(frozen=True)
class _Record:
    inputs: str
    refresh: str
    runtime: str
    defaults: Images
    template: Manifest
    """Without the preference for `nodes`."""
    files: Mapping[str, str]
    cards: Cards | None = None
    nodes: tuple[str, ...] = ()
    """Nodes that held the weights when they were last looked up."""
    text: str | None = None
    """As it is on the live Deployment: packed anew, another zlib would make it a change."""


def _rendering(version: ResolvedVersion, record: _Record) -> Rendering:
    template = affinity.prefer(record.template, record.nodes)
    return Rendering(
        _effective(version, record.defaults), template, record.files, record.cards, record.text or _text(record)
    )


def _with_cards(record: _Record, version: ResolvedVersion, settings: Settings) -> _Record:
    """The record with its cards. One of before there was a choice has none, and its spec names the provider."""
    if record.cards is not None or version.accelerator is None:
        return record
    found = cards.of(version, settings)
    if found is None or isinstance(found, Invalid):
        return record
    # Its template has no requirements on nodes, so they keep no pod away.
    parts = replace(found.claim.parts, node_requirements=())
    return replace(record, cards=replace(found, claim=replace(found.claim, parts=parts)))


def _holders(version: ResolvedVersion, status: Mapping[str, Any]) -> tuple[str, ...]:
    cache = version.storage.cache if version.storage else None
    return ledger.holders(status, version.name, host_path=cache is not None and cache.host_path is not None)


def _inputs(model: InferenceModel, version: ResolvedVersion) -> str:
    """Digest of every field that reaches the pods.

    Absent fields do not count, so that a new optional field of a later operator changes no digest; a field with a
    schema default must therefore never be added to these blocks (CONTRIBUTING).
    """
    blocks = {
        name: block.as_dict()
        for name in ("runtime", "resources", "accelerator", "template", "storage", "distribution")
        if (block := getattr(version, name)) is not None
    }
    return digest([model.metadata.name, version.model_name, version.name, version.uri, version.digest, blocks])


def _default_image(runtime: str, settings: Settings) -> str:
    return settings.runtime_images.get(runtime) or runtimes.get(runtime).default_image or ""


def _effective(version: ResolvedVersion, defaults: Images) -> Images:
    return replace(defaults, server=version.runtime.image or defaults.server)


def _text(record: _Record) -> str:
    content: dict[str, Any] = {"template": record.template, "files": dict(record.files)}
    if record.cards is not None:
        content["cards"] = cards.dump(record.cards)
    if record.nodes:
        content["nodes"] = record.nodes
    return canonical(
        {
            "inputs": record.inputs,
            "refresh": record.refresh,
            "runtime": record.runtime,
            "images": asdict(record.defaults),
            "body": base64.b64encode(zlib.compress(canonical(content), 9)).decode(),
        }
    ).decode()


def _read(live: Manifest | None) -> _Record | None:
    """The record on the live Deployment; None if there is none, or if somebody damaged it (then all is made anew)."""
    text = (live or {}).get("metadata", {}).get("annotations", {}).get(naming.ANNOTATION_RENDERED_WITH)
    if text is None:
        return None
    try:
        record = orjson.loads(text)
        body = orjson.loads(zlib.decompress(base64.b64decode(record["body"], validate=True)))
        return _Record(
            record["inputs"],
            record["refresh"],
            record["runtime"],
            Images(**record["images"]),
            body["template"],
            body["files"],
            cards.load(body["cards"]) if body.get("cards") else None,
            tuple(map(str, body.get("nodes", ()))),
            text,
        )
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, binascii.Error):
        return None
