"""The PodDisruptionBudget of a version: how a node drain treats its replicas."""

from collections.abc import Mapping

from pantala.api.scaling import Scaling
from pantala.manifest.types import Manifest


def disruption_budget(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    selector: Mapping[str, str],
    scaling: Scaling,
) -> Manifest | None:
    """The budget: evictions take one replica after the other. None for a single replica, which it would not protect.

    Args:
        name: Name of the budget.
        namespace: Its namespace.
        labels: Its labels.
        owner: Its owner references.
        selector: Labels that select the pods of the version.
        scaling: Decides whether there can be several replicas.
    """
    if max(scaling.min_replicas, scaling.max_replicas or 0) <= 1:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels), "ownerReferences": list(owner)},
        "spec": {
            "maxUnavailable": 1,
            # A pod that is not ready serves nobody; without this it would block the drain of its node for ever.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": dict(selector)},
        },
    }
