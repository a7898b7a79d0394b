"""In place of dcgm-exporter and of cards: its text, with the lines of a card for each replica of a model that shares a load.

The lines are those of tests/autoscaling/exporters/dcgm.prom, made after dcgm-exporter's own template. What they say of cards is
what the test sets; nothing is measured.
"""

import re
from pathlib import Path
from typing import Any

from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config

from tests.cluster.addons.exporter import Exporter

_TEXT = Path(__file__).parents[1] / "autoscaling/exporters/dcgm.prom"
_POD = 'namespace="vision",pod="resnet-v1-6c9f5d7b8-abcde"'
"""The pod of the text that has one card."""
_CARD = "GPU-604ac76c"
_UTILIZATION = "DCGM_FI_DEV_GPU_UTIL"


class StandinCards(Exporter):
    """An exporter for the pods of a model, of which each has a card and an equal part of the load; a context manager."""

    def __init__(self, kubeconfig: Path, namespace: str, model: str, load: Path) -> None:
        """Start it.

        Args:
            kubeconfig: of the cluster.
            namespace: of the model.
            model: its name.
            load: a file with the load, in percent of one card, which does at most 100; while it is missing there is none.
        """
        self._api: Any = CoreV1Api(new_client_from_config(str(kubeconfig)))
        self._of, self._load = (namespace, f"pantala.dev/model={model}"), load
        self._lines = [line for line in _TEXT.read_text().splitlines() if _POD in line]
        super().__init__()

    @property
    def text(self) -> str:
        """What it serves: the lines of the pods that are ready now."""
        namespace, selector = self._of
        pods = self._api.list_namespaced_pod(namespace, label_selector=selector).items
        ready = [pod.metadata.name for pod in pods if not pod.metadata.deletion_timestamp and _is_ready(pod)]
        load = float(self._load.read_text()) if self._load.exists() else 0.0
        busy = min(100.0, load / max(1, len(ready)))
        return "".join(self._card(namespace, pod, number, busy) for number, pod in enumerate(ready))

    @text.setter
    def text(self, _: str) -> None:
        """Nothing: the text is made anew for every scrape."""

    def _card(self, namespace: str, pod: str, number: int, busy: float) -> str:
        card, found = f"GPU-{number:08x}", []
        for line in self._lines:
            own = line.replace(_POD, f'namespace="{namespace}",pod="{pod}"').replace(_CARD, card)
            found.append(re.sub(r"\S+$", str(round(busy)), own) if line.startswith(_UTILIZATION) else own)
        return "".join(f"{line}\n" for line in found)


def _is_ready(pod: Any) -> bool:
    return any(it.type == "Ready" and it.status == "True" for it in pod.status.conditions or ())
