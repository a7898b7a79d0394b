"""The smallest image: a static program that sleeps, for the container that holds a pod's namespaces."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.cluster import cache
from tests.cluster.errors import ClusterError

NAME = "registry.local/pause:1"
"""Name under which nodes know it; nobody serves it, so nobody can pull it."""

_SOURCE = """
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void down(int s) { exit(0); }
static void reap(int s) { while (waitpid(-1, NULL, WNOHANG) > 0); }
int main(void) {
  struct sigaction end = {0}, child = {0};
  end.sa_handler = down; sigaction(SIGINT, &end, 0); sigaction(SIGTERM, &end, 0);
  child.sa_handler = reap; child.sa_flags = SA_NOCLDSTOP; sigaction(SIGCHLD, &child, 0);
  for (;;) pause();
}
"""


def ensure() -> Path:
    """Build the image once; return its OCI archive.

    Raises:
        ClusterError: the C compiler failed or is missing.
    """
    key = f"pause-{hashlib.sha256(_SOURCE.encode()).hexdigest()[:12]}"
    return cache.entry(key, _make) / "pause.tar"


def _make(folder: Path) -> None:
    (folder / "pause.c").write_text(_SOURCE)
    command = ["gcc", "-static", "-Os", "-s", "-o", str(folder / "pause"), str(folder / "pause.c")]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ClusterError(
            "no C compiler: apt-get install gcc libc6-dev, or run tests/cluster/setup.sh as root"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"gcc: {error.stderr.strip()}") from error
    _archive(folder / "pause.tar", (folder / "pause").read_bytes())


def _archive(path: Path, program: bytes) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, "pause", program, 0o755)
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    layer_ref = blob(layer.getvalue(), "layer.v1.tar")
    root = {"type": "layers", "diff_ids": [layer_ref["digest"]]}
    config = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/pause"]}, "rootfs": root}
    config_ref = blob(json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    manifest_ref = blob(
        json.dumps({**manifest, "config": config_ref, "layers": [layer_ref]}).encode(), "manifest.v1+json"
    )
    labels = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": NAME.rpartition(":")[2]}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps({**index, "manifests": [{**manifest_ref, "annotations": labels}]}).encode())
        for digest, content in blobs.items():
            _add(tar, f"blobs/sha256/{digest}", content)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
