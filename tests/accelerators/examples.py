"""What vendors' own pages ask for, and the same in our fields.

`theirs` is the vendor's YAML, reduced to what concerns cards: `limits` of the container, `annotations`, `schedulerName`,
`nodeSelector` and `tolerations` of the pod, `env`. Requests are left out, since an API server copies them from the limits of
extended resources. The documentation shows this table, and a test holds both against what is rendered.
"""

import json
from dataclasses import dataclass, field

from pantala.manifest.settings import AcceleratorSettings


@dataclass(frozen=True)
class Example:
    """One example of a vendor."""

    vendor: str
    """Heading in the documentation."""
    title: str
    link: str
    theirs: str
    """YAML."""
    ours: str
    """The block `accelerator`, as YAML."""
    less: str = "{}"
    """YAML, in the shape of `theirs`: what of it is not in our pods."""
    more: str = "{}"
    """YAML, in the shape of `theirs` and `requires`, what labels a node must have: what our pods have beside it."""
    why: str = ""
    """Why they differ, where they do: a sentence for people."""
    settings: AcceleratorSettings = field(default_factory=AcceleratorSettings)


_DEVICE_PLUGIN = "https://github.com/NVIDIA/k8s-device-plugin"
_OPERATOR = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest"
_WHOLE = "requires: [nvidia.com/gpu.sharing-strategy NotIn mps time-slicing, nvidia.com/gpu.slices.gi DoesNotExist]"

NVIDIA = (
    Example(
        "NVIDIA's device plugin",
        "One card",
        f"{_DEVICE_PLUGIN}#running-gpu-jobs",
        """\
limits: {nvidia.com/gpu: 1}
tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
""",
        "{provider: nvidia}",
        less="tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]",
        more=_WHOLE,
        why="The labels keep a share or a slice from counting as a card. Tolerations are in template.spec.tolerations.",
    ),
    Example(
        "NVIDIA's device plugin",
        "A time slice, renamed",
        f"{_DEVICE_PLUGIN}#with-cuda-time-slicing",
        "limits: {nvidia.com/gpu.shared: 1}",
        "{provider: nvidia, sharing: TimeSlicing}",
        more="requires: [nvidia.com/gpu.sharing-strategy In time-slicing, nvidia.com/gpu.slices.gi DoesNotExist]",
        why="The labels tell time slices from shares of MPS, which have the same name.",
    ),
    Example(
        "NVIDIA's device plugin",
        "A time slice, not renamed",
        f"{_OPERATOR}/gpu-sharing.html",
        """\
limits: {nvidia.com/gpu: 1}
nodeSelector: {nvidia.com/gpu.product: Tesla-T4-SHARED}
""",
        "{provider: nvidia, sharing: TimeSlicing}",
        less="nodeSelector: {nvidia.com/gpu.product: Tesla-T4-SHARED}",
        more="requires: [nvidia.com/gpu.sharing-strategy In time-slicing, nvidia.com/gpu.slices.gi DoesNotExist]",
        why="The label finds shared cards of any kind. The installation says that the plugin does not rename them.",
        settings=AcceleratorSettings(shared_resource="nvidia.com/gpu"),
    ),
    Example(
        "NVIDIA's device plugin",
        "A share of MPS",
        f"{_DEVICE_PLUGIN}#with-cuda-mps",
        "limits: {nvidia.com/gpu: 1}",
        "{provider: nvidia, sharing: MPS}",
        more="requires: [nvidia.com/gpu.sharing-strategy In mps, nvidia.com/gpu.slices.gi DoesNotExist]",
        why="The label finds cards that MPS divides. The installation says that the plugin does not rename them.",
        settings=AcceleratorSettings(shared_resource="nvidia.com/gpu"),
    ),
)

MIG = (
    Example(
        "MIG",
        "A slice, strategy mixed",
        "https://docs.nvidia.com/datacenter/cloud-native/kubernetes/latest/index.html",
        "limits: {nvidia.com/mig-1g.5gb: 1}",
        "{provider: mig, profile: 1g.5gb}",
        more="requires: [nvidia.com/mig-1g.5gb.sharing-strategy NotIn mps time-slicing]",
        why="The label keeps away from slices that are shared in turn.",
    ),
    Example(
        "MIG",
        "A slice, strategy single",
        f"{_OPERATOR}/gpu-operator-mig.html",
        """\
limits: {nvidia.com/gpu: 1}
nodeSelector: {nvidia.com/gpu.product: A100-SXM4-40GB-MIG-1g.5gb}
""",
        "{provider: mig, profile: 1g.5gb, strategy: Single}",
        less="nodeSelector: {nvidia.com/gpu.product: A100-SXM4-40GB-MIG-1g.5gb}",
        more="""\
requires:
- nvidia.com/gpu.sharing-strategy NotIn mps time-slicing
- nvidia.com/mig.strategy In single
- nvidia.com/gpu.slices.gi In 1
- nvidia.com/gpu.memory Gt 4352
- nvidia.com/gpu.memory Lt 5376
""",
        why="The figures of the profile find such slices of any kind of card.",
    ),
)

_HAMI = "https://github.com/Project-HAMi/HAMi/blob/master/examples/nvidia"
_WHOLE_CARD = "limits: {nvidia.com/gpucores: 100}"
_WHOLE_WHY = "Newer versions of HAMi's webhook add the compute of a whole card; written out, older ones do the same."

HAMI = (
    Example(
        "HAMi",
        "A share of two cards",
        f"{_HAMI}/default_use.yaml",
        "limits: {nvidia.com/gpu: 2, nvidia.com/gpumem: 3000, nvidia.com/gpucores: 30}",
        "{provider: hami, count: 2, memoryPerCard: 3000Mi, corePercent: 30}",
    ),
    Example(
        "HAMi",
        "Two cards for one pod alone",
        f"{_HAMI}/use_exclusive_card.yaml",
        "limits: {nvidia.com/gpu: 2, nvidia.com/gpumem-percentage: 100, nvidia.com/gpucores: 100}",
        "{provider: hami, count: 2, memoryPercent: 100, corePercent: 100}",
    ),
    Example(
        "HAMi",
        "Memory in percent",
        f"{_HAMI}/use_memory_fraction.yaml",
        "limits: {nvidia.com/gpu: 2, nvidia.com/gpumem-percentage: 50, nvidia.com/gpucores: 30}",
        "{provider: hami, count: 2, memoryPercent: 50, corePercent: 30}",
    ),
    Example(
        "HAMi",
        "vLLM on shares of two cards",
        f"{_HAMI}/vllm_cross_vgpu.yaml",
        """\
limits: {nvidia.com/gpu: 2, nvidia.com/gpumem-percentage: 30, nvidia.com/gpucores: 30}
tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
schedulerName: default-scheduler
""",
        "{provider: hami, count: 2, memoryPercent: 30, corePercent: 30}",
        less="""\
tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
schedulerName: default-scheduler
""",
        why="Tolerations and schedulerName are in template.spec; HAMi's webhook replaces the default scheduler.",
    ),
    Example(
        "HAMi",
        "Kinds of cards",
        f"{_HAMI}/specify_card_type_to_use.yaml",
        """\
annotations: {nvidia.com/use-gputype: "A100,V100"}
limits: {nvidia.com/gpu: 2}
""",
        "{provider: hami, count: 2, cardType: {allow: [A100, V100]}}",
        more=_WHOLE_CARD,
        why=_WHOLE_WHY,
    ),
    Example(
        "HAMi",
        "Any cards but these",
        f"{_HAMI}/specify_card_type_not_use.yaml",
        """\
annotations: {nvidia.com/nouse-gputype: "1080,2080"}
limits: {nvidia.com/gpu: 2}
""",
        '{provider: hami, count: 2, cardType: {deny: ["1080", "2080"]}}',
        more=_WHOLE_CARD,
        why=_WHOLE_WHY,
    ),
    Example(
        "HAMi",
        "Policies of the scheduler",
        f"{_HAMI}/specify_scheduling_policy.yaml",
        """\
annotations: {hami.io/node-scheduler-policy: spread, hami.io/gpu-scheduler-policy: binpack}
limits: {nvidia.com/gpu: 1}
""",
        "{provider: hami, nodePolicy: Spread, cardPolicy: Binpack}",
        more=_WHOLE_CARD,
        why=_WHOLE_WHY,
    ),
    Example(
        "HAMi",
        "Slices that are cut as needed",
        f"{_HAMI}/dynamic_mig_example.yaml",
        """\
annotations: {nvidia.com/vgpu-mode: mig, hami.io/gpu-scheduler-policy: binpack}
limits: {nvidia.com/gpu: 2, nvidia.com/gpumem: 8000}
""",
        "{provider: hami, count: 2, memoryPerCard: 8000Mi, mode: MIG, cardPolicy: Binpack}",
    ),
)

_VOLCANO = "https://github.com/volcano-sh/volcano/blob/master/docs/user-guide/how_to_use_volcano_vgpu.md"
_VGPU = "https://github.com/Project-HAMi/volcano-vgpu-device-plugin"

VOLCANO = (
    Example(
        "Volcano",
        "A share, kept by HAMi's library",
        f"{_VOLCANO}#hami-core-usage",
        """\
annotations: {volcano.sh/vgpu-mode: hami-core}
schedulerName: volcano
limits: {volcano.sh/vgpu-number: 1, volcano.sh/vgpu-cores: 50, volcano.sh/vgpu-memory: 3000}
""",
        "{provider: volcano, memoryPerCard: 3000Mi, corePercent: 50, mode: HAMiCore}",
    ),
    Example(
        "Volcano",
        "A slice that is cut as needed",
        f"{_VOLCANO}#dynamic-mig-usage",
        """\
annotations: {volcano.sh/vgpu-mode: mig}
schedulerName: volcano
limits: {volcano.sh/vgpu-number: 1, volcano.sh/vgpu-memory: 3000}
""",
        "{provider: volcano, memoryPerCard: 3000Mi, mode: MIG}",
    ),
    Example(
        "Volcano",
        "Shares of two cards",
        f"{_VGPU}#running-vgpu-jobs",
        """\
annotations: {volcano.sh/vgpu-mode: hami-core}
schedulerName: volcano
limits: {volcano.sh/vgpu-number: 2, volcano.sh/vgpu-memory: 3000, volcano.sh/vgpu-cores: 50}
""",
        "{provider: volcano, count: 2, memoryPerCard: 3000Mi, corePercent: 50, mode: HAMiCore}",
    ),
    Example(
        "Volcano",
        "Memory alone",
        f"{_VGPU}/blob/main/examples/vgpu-case02.yml",
        """\
schedulerName: volcano
limits: {volcano.sh/vgpu-number: 1, volcano.sh/vgpu-memory: 10240}
""",
        "{provider: volcano, memoryPerCard: 10Gi}",
    ),
)

_MANAGER = "https://github.com/tkestack/gpu-manager#pod-template-example"

TENCENT = (
    Example(
        "Tencent's gpu-manager",
        "A share of 0.3 cards with 7680 MiB, and 0.5 while the card is idle",
        _MANAGER,
        """\
annotations: {tencent.com/vcuda-core-limit: 50}
limits: {tencent.com/vcuda-core: 50, tencent.com/vcuda-memory: 30}
""",
        "{provider: tencent, corePercent: 30, coreLimit: 50, memoryPerCard: 7680Mi}",
        less="limits: {tencent.com/vcuda-core: 50}",
        more="limits: {tencent.com/vcuda-core: 30}",
        why="The example's text asks for 0.3 of a card and its YAML for 0.5, of which a limit of 0.5 is no more.",
    ),
    Example(
        "Tencent's gpu-manager",
        "Two cards",
        _MANAGER,
        "limits: {tencent.com/vcuda-core: 200, tencent.com/vcuda-memory: 60}",
        "{provider: tencent, count: 2}",
        less="limits: {tencent.com/vcuda-memory: 60}",
        why="Whole cards come with all of their memory, whatever the resource says.",
    ),
)

_GPUSHARE = "https://github.com/AliyunContainerService/gpushare"

ALIYUN = (
    Example(
        "Aliyun's gpushare",
        "Memory of a card, in GiB",
        f"{_GPUSHARE}-scheduler-extender/blob/master/docs/userguide.md",
        "limits: {aliyun.com/gpu-mem: 3}",
        "{provider: aliyun, memoryPerCard: 3Gi}",
    ),
    Example(
        "Aliyun's gpushare",
        "Memory of a card, in MiB",
        f"{_GPUSHARE}-scheduler-extender/blob/master/samples/1.yaml",
        "limits: {aliyun.com/gpu-mem: 8138}",
        "{provider: aliyun, memoryPerCard: 8138Mi}",
        settings=AcceleratorSettings(aliyun_unit="MiB"),
    ),
    Example(
        "Aliyun's gpushare",
        "The device plugin's demo, in MiB",
        f"{_GPUSHARE}-device-plugin/blob/master/demo/binpack-1/binpack-1.yaml",
        "limits: {aliyun.com/gpu-mem: 8076}",
        "{provider: aliyun, memoryPerCard: 8076Mi}",
        settings=AcceleratorSettings(aliyun_unit="MiB"),
    ),
)

_DRIVER = "https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu/blob/main/site/content/docs/guides/gpu-allocation"
_TOLERATIONS = "tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]"
_LARGE = "device.capacity['gpu.nvidia.com'].memory.isGreaterThan(quantity(\"40Gi\"))"
_HOPPER = (
    "device.attributes['gpu.nvidia.com'].architecture == 'Hopper'"
    " && device.capacity['gpu.nvidia.com'].memory.isGreaterThan(quantity(\"80Gi\"))"
)


def _claim(name: str, device_class: str, *expressions: str) -> str:
    """The example's `claim`: the spec of a ResourceClaimTemplate with one request."""
    exactly: dict[str, object] = {"deviceClassName": device_class}
    if expressions:
        exactly["selectors"] = [{"cel": {"expression": expression}} for expression in expressions]
    request = {"name": name, "exactly": exactly}
    return json.dumps({"claim": {"spec": {"devices": {"requests": [request]}}}})


_A100 = _claim(
    "gpu", "gpu.nvidia.com", "device.attributes['gpu.nvidia.com'].productName.lowerAscii().matches('^.*a100.*$')"
)
_PROFILE = _claim("mig", "mig.nvidia.com", "device.attributes['gpu.nvidia.com'].profile == '1g.5gb'")

DRA = (
    Example(
        "NVIDIA's driver of DynamicResourceAllocation",
        "Any card",
        f"{_DRIVER}/allocating-gpus.md#request-any-gpu",
        f"{_claim('gpu', 'gpu.nvidia.com')[:-1]}, {_TOLERATIONS}}}",
        "{provider: dra}",
        less=_TOLERATIONS,
        why="Tolerations are in template.spec.tolerations.",
    ),
    Example(
        "NVIDIA's driver of DynamicResourceAllocation",
        "A card by its name",
        f"{_DRIVER}/allocating-gpus.md#select-a-gpu-by-product-name",
        _A100,
        "{provider: dra, cardType: {allow: [A100]}}",
        less=_A100,
        more=_claim(
            "gpu",
            "gpu.nvidia.com",
            "'productName' in device.attributes[device.driver] && cel.bind(name,"
            " device.attributes[device.driver].productName.lowerAscii(), name.contains('a100'))",
        ),
        why="The expression asks first whether there is a name: one that fails on a device ends the search.",
    ),
    Example(
        "NVIDIA's driver of DynamicResourceAllocation",
        "A card by its memory",
        f"{_DRIVER}/allocating-gpus.md#select-a-gpu-by-memory-size",
        _claim("gpu", "gpu.nvidia.com", _LARGE),
        json.dumps({"provider": "dra", "selectors": [_LARGE]}),
    ),
    Example(
        "NVIDIA's driver of DynamicResourceAllocation",
        "A card by what it is and has",
        f"{_DRIVER}/allocating-gpus.md#combine-attribute-and-capacity-selectors",
        _claim("gpu", "gpu.nvidia.com", _HOPPER),
        json.dumps({"provider": "dra", "selectors": [_HOPPER]}),
    ),
    Example(
        "NVIDIA's driver of DynamicResourceAllocation",
        "Any slice",
        f"{_DRIVER}/mig.md#request-any-mig-device",
        _claim("mig", "mig.nvidia.com"),
        "{provider: dra, deviceClass: mig.nvidia.com}",
    ),
    Example(
        "NVIDIA's driver of DynamicResourceAllocation",
        "A slice by its profile",
        f"{_DRIVER}/mig.md#select-a-mig-profile",
        _PROFILE,
        "{provider: dra, profile: 1g.5gb}",
        less=_PROFILE,
        more=_claim(
            "mig",
            "mig.nvidia.com",
            "device.driver == 'gpu.nvidia.com' && 'profile' in device.attributes['gpu.nvidia.com']"
            " && device.attributes['gpu.nvidia.com'].profile == '1g.5gb'",
        ),
        why="The expression asks first whether there is a profile: one that fails on a device ends the search.",
    ),
)
"""`theirs` has `claim`, the spec of the ResourceClaimTemplate."""

VISIBLE_DEVICES = (
    Example(
        "NVIDIA's container runtime",
        "Cards by their numbers",
        "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html#gpu-enumeration",
        'env: {NVIDIA_VISIBLE_DEVICES: "0,1,2"}',
        '{provider: visible-devices, devices: ["0", "1", "2"]}',
    ),
)

EXAMPLES = (*NVIDIA, *MIG, *HAMI, *VOLCANO, *TENCENT, *ALIYUN, *DRA, *VISIBLE_DEVICES)
"""All of them, in the order of the documentation."""
