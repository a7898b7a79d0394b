"""Rules on what would undo a share of a card from outside of `accelerator`: variables, mounts, annotations, schedulers."""

from collections.abc import Iterator
from typing import Any

from pantala.api.rules import Node, Rule, search

LIMITERS = (
    "^(CUDA_DEVICE_(MEMORY|SM)_LIMIT(_[0-9]+)?|CUDA_DEVICE_MEMORY_SHARED_CACHE|CUDA_DISABLE_CONTROL|CUDA_OVERSUBSCRIBE"
    "|CUDA_REDIRECT|CUDA_TASK_PRIORITY|GPU_CORE_UTILIZATION_POLICY|ACTIVE_OOM_KILLER|CUDA_MPS_PIPE_DIRECTORY)$"
)
"""Variables that change or lift the limit of a share: a pod's own value wins over the device plugin's, which the kubelet
lists first (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go; Project-HAMi/HAMi-core, src/multiprocess)."""
LIMITER_PATHS = ("/etc/ld.so.preload", "/usr/local/vgpu", "/overrideEnv")
"""Files by which HAMi's library gets into a container (Project-HAMi/HAMi, device plugin, server.go)."""
PLACED = (
    "hami.io/bind-",
    "hami.io/vgpu-",
    "tencent.com/gpu-assigned",
    "tencent.com/predicate-",
    "volcano.sh/bind-",
    "volcano.sh/devices-to-allocate",
    "volcano.sh/vgpu-ids",
    "volcano.sh/vgpu-node",
    "volcano.sh/vgpu-time",
    "ALIYUN_COM_GPU_MEM_",
)
"""Beginnings of the annotations in which vendors' schedulers write which cards a pod got."""
ASKED = {
    "hami.io/gpu-scheduler-policy": "cardPolicy",
    "hami.io/node-scheduler-policy": "nodePolicy",
    "nvidia.com/nouse-gputype": "cardType.deny",
    "nvidia.com/use-gputype": "cardType.allow",
    "nvidia.com/use-gpuuuid": "devices",
    "nvidia.com/vgpu-mode": "mode",
    "tencent.com/vcuda-core-limit": "coreLimit",
    "volcano.sh/vgpu-mode": "mode",
}
"""Annotations by which vendors are asked, and the fields of `accelerator` that write them."""

SCHEDULERS = {"hami": ("hami-scheduler", "default-scheduler"), "volcano": ("volcano",)}
"""Values of schedulerName with which a provider's shares are handed out. HAMi's webhook replaces the default one, and leaves
pods with others alone (Project-HAMi/HAMi, pkg/scheduler/webhook.go)."""


def accelerators(spec: Node) -> Iterator[Node]:
    """The block of each version, own or shared, of those that have one."""
    shared = spec.get("accelerator")
    return (block for version in spec["versions"] if (block := version.get("accelerator", shared)) is not None)


def _scheduled(spec: Node, provider: str, names: tuple[str, ...]) -> bool:
    name = spec.get("template", {}).get("spec", {}).get("schedulerName")
    return name is None or name in names or not any(it.get("provider") == provider for it in accelerators(spec))


def _scheduler(provider: str, names: tuple[str, ...]) -> Rule:
    asks = "(has(@.accelerator.provider) && @.accelerator.provider == '" + provider + "')"
    version, shared = asks.replace("@", "v"), asks.replace("@", "self")
    return Rule(
        "Spec",
        "!has(self.template) || !has(self.template.spec) || !has(self.template.spec.schedulerName)"
        f" || self.template.spec.schedulerName in {list(names)}"
        f" || !self.versions.exists(v, has(v.accelerator) ? {version} : (has(self.accelerator) && {shared}))",
        lambda it: _scheduled(it, provider, names),
        f"template.spec.schedulerName names a scheduler that does not know the cards of provider {provider}: remove it,"
        f" or write {' or '.join(names)}",
        ".template.spec.schedulerName",
    )


def _own_library(spec: Node) -> bool:
    def fine(version: Node) -> bool:
        runtime = version.get("runtime", spec["runtime"])
        block = version.get("accelerator", spec.get("accelerator", {}))
        return block.get("provider") != "tencent" or all(
            env["name"] != "LD_LIBRARY_PATH" for env in runtime.get("env", ())
        )

    return all(fine(version) for version in spec["versions"])


def _unlimited(mounts: Any) -> bool:
    return not any(
        mount["mountPath"] == path or mount["mountPath"].startswith(path + "/")
        for mount in mounts
        for path in LIMITER_PATHS
    )


_ESCAPES = (
    Rule(
        "EnvVar",
        f"!self.name.matches('{LIMITERS}')",
        lambda it: not search(LIMITERS, it["name"]),
        "env holds a name that would change or lift the limit of a share of a card: remove it, and ask for more with accelerator",
        ".name",
    ),
    Rule(
        "Spec",
        "self.versions.all(v, !(has(v.accelerator) ? (has(v.accelerator.provider) && v.accelerator.provider == 'tencent')"
        " : (has(self.accelerator) && has(self.accelerator.provider) && self.accelerator.provider == 'tencent'))"
        " || (has(v.runtime) ? (!has(v.runtime.env) || !v.runtime.env.exists(e, e.name == 'LD_LIBRARY_PATH'))"
        " : (!has(self.runtime.env) || !self.runtime.env.exists(e, e.name == 'LD_LIBRARY_PATH'))))",
        _own_library,
        "env LD_LIBRARY_PATH would lift the limit of provider tencent, whose library is found by it: remove LD_LIBRARY_PATH",
        ".runtime.env",
    ),
    Rule(
        "TemplatePodSpec",
        "!has(self.volumeMounts) || !self.volumeMounts.exists(m, "
        + " || ".join(f"m.mountPath == '{path}' || m.mountPath.startsWith('{path}/')" for path in LIMITER_PATHS)
        + ")",
        lambda it: _unlimited(it.get("volumeMounts", ())),
        "volumeMounts hides the library that keeps the limit of a share of a card: mount elsewhere than at "
        + ", ".join(LIMITER_PATHS),
        ".volumeMounts",
    ),
    Rule(
        "TemplateMetadata",
        "!has(self.annotations) || !self.annotations.exists(k, "
        + " || ".join(f"k.startsWith('{prefix}')" for prefix in PLACED)
        + ")",
        lambda it: not any(key.startswith(PLACED) for key in it.get("annotations", {})),
        "annotations holds a key in which a scheduler of shared cards notes what it gave, so that it would take the pod for"
        " placed: remove the key (" + ", ".join(PLACED) + " begin such keys)",
        ".annotations",
    ),
    Rule(
        "TemplateMetadata",
        f"!has(self.annotations) || !self.annotations.exists(k, k in {list(ASKED)})",
        lambda it: not ASKED.keys() & it.get("annotations", {}).keys(),
        "annotations holds a key for which accelerator has a field: remove the key, and ask with the field ("
        + ", ".join(f"{key}: {field}" for key, field in ASKED.items())
        + ")",
        ".annotations",
    ),
)

RULES = tuple(_scheduler(*item) for item in SCHEDULERS.items()) + _ESCAPES
"""All rules on the way around a share."""
