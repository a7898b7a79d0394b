"""The pod template of a version, rendered once and kept until its spec changes.

An operator upgrade must restart nothing, though it brings other default images and other templates. So what a version
was first rendered with is recorded on its Deployment (`pantala.dev/rendered-with`): the digest of its inputs, the images,
and the template with the configuration files as they were. As long as the inputs are the same the record is used as it
is; when they change the template is rendered anew with the recorded images; `pantala refresh` drops the images too.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import orjson

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.canonical import canonical, digest
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, ServerParts
from pantala.planner import pod
from pantala.runtimes import registry as runtimes
from pantala.storage.base import Invalid


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
    record: str
    """Value of the annotation `pantala.dev/rendered-with`."""


def render(
    model: InferenceModel, version: ResolvedVersion, settings: Settings, live: Manifest | None
) -> Rendering | Invalid:
    """The recorded rendering if the inputs are unchanged, else a new one."""
    refresh = model.metadata.annotations.get(naming.ANNOTATION_REFRESH, "")
    inputs = _inputs(model, version)
    record = _read(live)
    if record is not None and record.inputs == inputs and record.refresh == refresh:
        return Rendering(_effective(version, record.defaults), record.template, record.files, record.text)
    runtime = version.runtime.name
    if record is not None and record.refresh == refresh:
        defaults = record.defaults
        if record.runtime != runtime:
            defaults = replace(defaults, server=_default_image(runtime, settings))
    else:
        defaults = Images(settings.fetcher_image, _default_image(runtime, settings))
    images = _effective(version, defaults)
    server = server_parts(version, images.server)
    template = pod.template(model, version, server, images.fetcher, settings)
    if isinstance(template, Invalid):
        return template
    text = _text(inputs, refresh, runtime, defaults, template, server.files)
    return Rendering(images, template, server.files, text)


def server_parts(version: ResolvedVersion, image: str = "") -> ServerParts:
    """What the version's runtime contributes; ports and layout do not depend on the image."""
    return runtimes.get(version.runtime.name).server(version, image)


@dataclass(frozen=True)
class _Record:
    inputs: str
    refresh: str
    runtime: str
    defaults: Images
    template: Manifest
    files: Mapping[str, str]
    text: str


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


def _text(
    inputs: str, refresh: str, runtime: str, defaults: Images, template: Manifest, files: Mapping[str, str]
) -> str:
    body = zlib.compress(canonical({"template": template, "files": dict(files)}), 9)
    return canonical(
        {
            "inputs": inputs,
            "refresh": refresh,
            "runtime": runtime,
            "images": asdict(defaults),
            "body": base64.b64encode(body).decode(),
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
            text,
        )
    except (ValueError, KeyError, TypeError, zlib.error, binascii.Error):
        return None
