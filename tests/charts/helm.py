"""Helm and the chart, as tests call them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import build

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/pantala"
RELEASE = "pantala"


class HelmError(Exception):
    """Helm refused; the message is what it said."""


class Helm:
    """The real program; without a kubeconfig it renders and lints only."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        """Build Helm where the cache has none."""
        self._program = build.ensure(["helm"])["helm"]
        self._kubeconfig = kubeconfig

    def run(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        """Run Helm, with values as a file on its standard input, and return its output."""
        command = [str(self._program), *arguments]
        if self._kubeconfig is not None:
            command.append(f"--kubeconfig={self._kubeconfig}")
        if values is not None:
            command.append("--values=-")
        document = None if values is None else yaml.safe_dump(values)
        done = subprocess.run(command, input=document, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HelmError(done.stderr.strip())
        return done.stdout

    def template(self, values: dict[str, Any] | None = None, *arguments: str) -> str:
        """Render the chart for the newest supported Kubernetes."""
        options = ("--namespace=pantala-system", "--kube-version=1.36.0", *arguments)
        return self.run("template", RELEASE, str(CHART), *options, values=values or {})

    def install(self, namespace: str, values: dict[str, Any] | None = None, name: str = RELEASE) -> str:
        """Install or upgrade, and wait until the operator is ready; return the notes.

        The CRD may be there already: other tests install it without Helm.
        """
        options = ("--install", f"--namespace={namespace}", "--take-ownership", "--wait", "--timeout=120s")
        return self.run("upgrade", name, str(CHART), *options, values=values or {})

    def uninstall(self, namespace: str, name: str = RELEASE) -> str:
        """Remove the release, and wait until its pods are gone."""
        options = (f"--namespace={namespace}", "--wait", "--cascade=foreground", "--ignore-not-found", "--timeout=120s")
        return self.run("uninstall", name, *options)


def documents(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(objects: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of one kind."""
    return [obj for obj in objects if obj["kind"] == kind]
