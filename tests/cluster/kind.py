# ruff: noqa: D102 - what they do is said in Access
"""The other provider: kind, for machines with Docker and images. The same tests run on both.

Not run where this was written (no Docker there): every command is kind's or kubectl's documented one.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.access import Access
from tests.cluster.cache import cache_root
from tests.cluster.errors import ClusterError, ToolMissingError
from tests.cluster.pki import request

CONFIG = Path(__file__).parents[2] / "manifests" / "kind.yaml"
"""Three nodes, the NodePort range mapped."""

_SIGNER = "kubernetes.io/kube-apiserver-client"


class KindCluster(Access):
    """A kind cluster: `KindCluster.start(name)` makes one or takes the one of that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def start(cls, name: str) -> "KindCluster":
        """Create the cluster if there is none of that name, and wait until its nodes are Ready.

        Raises:
            ToolMissingError: kind or docker is not installed.
            ClusterError: kind failed; the message is what it said.
        """
        made = cls(name)
        made.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        config = f"--kubeconfig={made.kubeconfig}"
        if name in _run("kind", "get", "clusters").split():
            _run("kind", "export", "kubeconfig", "--name", name, config)
        else:
            _run("kind", "create", "cluster", "--name", name, "--config", str(CONFIG), config, "--wait", "180s")
        return made

    @property
    def name(self) -> str:
        return self._name

    @property
    def kubeconfig(self) -> Path:
        return cache_root() / "kind" / f"{self._name}.kubeconfig"

    @property
    def api_url(self) -> str:
        url: str = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        return url

    @cached_property
    def _nodes(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        # pods do not run on a control plane node: the workers come first
        return sorted(nodes, key=lambda it: "node-role.kubernetes.io/control-plane" in it["metadata"]["labels"])

    @property
    def host_ip(self) -> str:
        """Gateway of Docker's network `kind`: this machine, on Linux."""
        text = _run("docker", "network", "inspect", "kind", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}")
        return next(it for it in text.split() if ":" not in it)

    @property
    def node_ips(self) -> list[str]:
        addresses = [it for node in self._nodes for it in node["status"]["addresses"]]
        return [it["address"] for it in addresses if it["type"] == "InternalIP"]

    @property
    def node_names(self) -> list[str]:
        return [node["metadata"]["name"] for node in self._nodes]

    @property
    def audit(self) -> Path | None:
        return None

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        file = name.replace(":", "_").replace("/", "_")
        path = cache_root() / "kind" / f"{self._name}-{file}.kubeconfig"
        key, signing_request = request(path.parent, f"{self._name}-{file}", name, groups)
        title = f"test-{file.lower().replace('_', '-')}"
        wanted = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": title},
            "spec": {
                "request": base64.b64encode(signing_request.read_bytes()).decode(),
                "signerName": _SIGNER,
                "usages": ["client auth"],
            },
        }
        self.kubectl("delete", "csr", title, "--ignore-not-found")
        self.kubectl("create", "-f", "-", stdin=json.dumps(wanted))
        self.kubectl("certificate", "approve", title)
        self.kubectl("wait", f"csr/{title}", "--for=jsonpath={.status.certificate}", "--timeout=30s")
        certificate = self.kubectl("get", "csr", title, "-o", "jsonpath={.status.certificate}")
        config = yaml.safe_load(self.kubeconfig.read_text())
        login = {"client-certificate-data": certificate, "client-key-data": base64.b64encode(key.read_bytes()).decode()}
        config["users"][0]["user"] = login
        path.touch(0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def load(self, image: Path) -> None:
        _run("kind", "load", "image-archive", str(image), "--name", self._name)

    def in_node(self, *command: str, index: int = 0) -> str:
        return _run("docker", "exec", self.node_names[index], *command)

    def stop(self) -> None:
        _run("kind", "delete", "cluster", "--name", self._name)
        for path in self.kubeconfig.parent.glob(f"{self._name}[.-]*"):
            path.unlink()


def missing() -> str:
    """Why this machine cannot run kind; empty if it can."""
    absent = [program for program in ("kind", "docker") if not shutil.which(program)]
    if not absent:
        return ""
    return f"provider kind needs {' and '.join(absent)} (kind: v0.33.0 or newer); the embedded provider needs neither"


def _run(*command: str) -> str:
    if reason := missing():
        raise ToolMissingError(reason)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout
