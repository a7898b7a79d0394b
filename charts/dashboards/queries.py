"""Parts of queries that the dashboards share. Names of series: docs/monitoring.md."""

PHASES = ("scheduled", "prepare", "fetch", "image", "load", "ready")
"""Of a replica's start, in their order."""


def by_pod(series: str, where: str, *more: str) -> str:
    """A series of pods, with the model and version of each pod, and further labels of `pantala_pod_info`."""
    labels = ", ".join(("model", "version", *more))
    pods = f"max by (namespace, pod, {labels}) (pantala_pod_info{{{where}}})"
    return f"{series} * on (namespace, pod) group_left ({labels}) {pods}"


def use_of_cards(where: str, *more: str) -> str:
    """How busy the cards of each pod are, in percent of what the pod is granted of them, with its model and version."""
    scale = f"max by (namespace, model, version) (pantala_version_gpu_scale{{{where}}})"
    return f"{by_pod('pantala_gpu_utilization', where, *more)} * on (namespace, model, version) group_left () {scale}"


def by_service(series: str, where: str) -> str:
    """A series of Services, with the model and version of each; of one at most, for two would be an error of the query."""
    known = f'max by (namespace, service, model, version) (pantala_version_info{{{where},service!=""}})'
    services = f"topk by (namespace, service) (1, {known})"
    return f"{series} * on (namespace, service) group_left (model, version) {services}"


def state(kind: str, where: str) -> str:
    """1 for a condition that is True, 0 for False, -1 for Unknown."""
    known = f'pantala_model_condition{{{where},type="{kind}",status='
    return f'max by (namespace, model) ({known}"True"}}) - max by (namespace, model) ({known}"Unknown"}})'
