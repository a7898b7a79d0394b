"""Write and check OCI image archives (image-spec 1.1, a tar of `oci-layout`, `index.json` and blobs).

Only what containerd's import needs: one platform, layers as gzip or plain tar. Layers are content-addressed, so two
images that begin with the same base layer share it on a node: it is unpacked once.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Blob:
    """A layer on disk: the file as stored, its sha256, that of the tar inside, and its media type."""

    path: Path
    digest: str
    diff_id: str
    media_type: str

    def to_json(self) -> dict[str, str]:
        """Return all but the folder, to be kept beside the file."""
        return {"file": self.path.name, "digest": self.digest, "diff_id": self.diff_id, "media_type": self.media_type}

    @classmethod
    def from_json(cls, folder: Path, value: Mapping[str, str]) -> "Blob":
        """Read what `to_json` gave for a file in a folder."""
        return cls(folder / value["file"], value["digest"], value["diff_id"], value["media_type"])


@dataclass(frozen=True)
class Config:
    """How a container of the image starts, as far as a pod does not say otherwise."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    path: str = _PATH
    workdir: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self, layers: Sequence[Blob]) -> bytes:
        """Return the image configuration, without times, so that equal layers give an equal image."""
        env = [f"PATH={self.path}", *(f"{key}={value}" for key, value in sorted(self.env.items()))]
        config = {
            "Env": env,
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "WorkingDir": self.workdir,
        }
        if self.user:
            config["User"] = self.user
        if self.labels:
            config["Labels"] = dict(self.labels)
        rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        return _dump({"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs})


def write_archive(path: Path, name: str, layers: Sequence[Blob], config: Config) -> str:
    """Write the archive of an image called `name` (with its tag); return the digest of its manifest."""
    config_blob = config.document(layers)
    manifest = _dump(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config_blob),
            "layers": [
                {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.path.stat().st_size}
                for layer in layers
            ],
        }
    )
    entry = _descriptor(_MANIFEST, manifest) | {
        "platform": {"architecture": "amd64", "os": "linux"},
        # containerd names the image after the first, other tools after the second
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        },
    }
    index = _dump({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]})
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", index)
        _add(archive, _blob_path(_digest(config_blob)), config_blob)
        _add(archive, _blob_path(_digest(manifest)), manifest)
        for layer in {layer.digest: layer for layer in layers}.values():
            info = tarfile.TarInfo(_blob_path(layer.digest))
            info.size = layer.path.stat().st_size
            with layer.path.open("rb") as content:
                archive.addfile(info, content)
    return _digest(manifest)


def check_archive(path: Path) -> dict[str, Any]:
    """Verify every digest and size in an archive and that nothing is missing; return the image's configuration.

    Raises:
        ValueError: a blob is missing or is not what its descriptor says.
    """
    sizes, digests, small = {}, {}, {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            digests[member.name] = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
            sizes[member.name] = member.size
            if member.size < 1 << 20:
                content.seek(0)
                small[member.name] = content.read()

    def verified(descriptor: Mapping[str, Any]) -> str:
        name = _blob_path(descriptor["digest"])
        if digests.get(name) != descriptor["digest"] or sizes[name] != descriptor["size"]:
            raise ValueError(f"{path}: {name} is missing or differs from its descriptor")
        return name

    manifest = json.loads(small[verified(json.loads(small["index.json"])["manifests"][0])])
    config = json.loads(small[verified(manifest["config"])])
    for layer in manifest["layers"]:
        verified(layer)
    if len(config["rootfs"]["diff_ids"]) != len(manifest["layers"]):
        raise ValueError(f"{path}: as many layers as diff ids are needed")
    return config


def _dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(content))
