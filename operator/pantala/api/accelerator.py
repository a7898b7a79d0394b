"""Cards for one replica, or shares of cards, in the same fields whatever the vendor."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import QUANTITY_PATTERN, Block, ObjectName, atomic

Provider = Literal["nvidia", "mig", "hami", "volcano", "tencent", "aliyun", "dra", "visible-devices"]
"""Who hands out the cards: one module of `pantala.accelerators` each."""

CardName = Annotated[str, Field(min_length=1, max_length=63)]
Percent = Annotated[int, Field(ge=1, le=100)]
# Text alone: API servers up to 1.31 take a field that may be an integer for megabytes of text, and refuse rules on it as
# too costly in a list (k8s.io/apiserver/pkg/cel/common/schemas.go). A bare number would mean bytes anyway.
CardMemory = Annotated[str, Field(max_length=32, pattern=QUANTITY_PATTERN)]


class CardType(Block):
    """Which kinds of cards are meant: by parts of their names, whatever the case, such as A100. A10 is a part of A100."""

    allow: Annotated[tuple[CardName, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None, examples=[["A100", "H100"]]
    )
    """Parts of names of which a card must have one. Default: any card."""
    deny: Annotated[tuple[CardName, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None, examples=[["T4"]]
    )
    """Parts of names of which a card may have none. Default: none."""


class Accelerator(Block):
    """Cards for one replica, or shares of cards."""

    provider: Provider | None = Field(default=None, examples=["hami"])
    """Who hands out the cards. nvidia: whole cards, or time slices and MPS shares of NVIDIA's device plugin; mig: slices of a card; hami, volcano, tencent, aliyun: shares with memory and compute; dra: DynamicResourceAllocation; visible-devices: cards by their numbers, which nobody reserves. Default: that of the installation, by node pool."""
    count: Annotated[int, Field(ge=1, le=64)] = Field(default=1, examples=[1])
    """Cards per replica, or slices with mig; where a share is asked for, a share of each of that many cards."""
    memory_per_card: CardMemory | None = Field(default=None, examples=["8Gi"])
    """Memory of each card that a replica gets, rounded up to the provider's unit; for hami, volcano, tencent (with corePercent) and aliyun. Default: all of it."""
    memory_percent: Percent | None = Field(default=None, examples=[50])
    """Memory of each card that a replica gets, in percent, in place of memoryPerCard; for hami. Default: all of it."""
    core_percent: Percent | None = Field(default=None, examples=[50])
    """Compute of each card that a replica gets, in percent; for hami, volcano and tencent. Default: all of it with a whole card, else no limit."""
    core_limit: Percent | None = Field(default=None, examples=[80])
    """Compute that a replica may take beyond corePercent while a card is idle, in percent; for tencent. Default: corePercent."""
    oversubscribe: bool | None = Field(default=None, examples=[True])
    """Whether memory beyond what the card has free is swapped to the host's, for models that are idle most of the time; for hami, whose nodes must allow it (deviceMemoryScaling). Default: false."""
    sharing: Literal["TimeSlicing", "MPS"] | None = Field(default=None, examples=["MPS"])
    """Take one of the equal shares into which NVIDIA's device plugin divides a card: TimeSlicing shares the time and nothing keeps the memory apart, MPS divides memory and threads; for nvidia. Default: whole cards."""
    profile: Annotated[str, Field(max_length=32)] | None = Field(default=None, examples=["1g.10gb"])
    """The MIG profile of the slices, as nvidia-smi names it: 1g.10gb, 1g.10gb+me; for mig, which needs it, and dra. Default: none."""
    strategy: Literal["Mixed", "Single"] | None = Field(default=None, examples=["Single"])
    """MIG strategy of the device plugin: Mixed has a resource for each profile, Single calls every slice nvidia.com/gpu; for mig. Default: Mixed."""
    mode: Literal["HAMiCore", "MIG"] | None = Field(default=None, examples=["HAMiCore"])
    """How the share is kept: HAMiCore by a library in the container, MIG by a slice that is cut as needed; for hami and volcano. Default: whatever the node does."""
    node_policy: Literal["Binpack", "Spread"] | None = Field(default=None, examples=["Binpack"])
    """Whether nodes are filled one by one or evenly; for hami. Default: as HAMi's scheduler is set up."""
    card_policy: Literal["Binpack", "Spread", "TopologyAware"] | None = Field(default=None, examples=["Spread"])
    """Whether the cards of a node are filled one by one or evenly, or chosen by how they are connected; for hami. Default: as HAMi's scheduler is set up."""
    card_type: CardType | None = Field(default=None, examples=[{"allow": ["A100"]}])
    """Kinds of cards; for hami, volcano and dra. With others choose nodes by template.spec.nodeSelector. Default: any."""
    devices: (
        Annotated[
            tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(min_length=1, max_length=64), atomic()
        ]
        | None
    ) = Field(default=None, examples=[["0", "1"]])
    """Cards by number or UUID for visible-devices, which needs them; by UUID for hami, which takes `count` of them. Default: any."""
    device_class: ObjectName | None = Field(default=None, examples=["gpu.nvidia.com"])
    """The DeviceClass of the request; for dra. Default: gpu.nvidia.com, or mig.nvidia.com with a profile."""
    selectors: (
        Annotated[
            tuple[Annotated[str, Field(min_length=1, max_length=2048)], ...],
            Field(min_length=1, max_length=16),
            atomic(),
        ]
        | None
    ) = Field(default=None, examples=[["device.attributes['gpu.nvidia.com'].architecture == 'Hopper'"]])
    """CEL expressions of DynamicResourceAllocation that a device must meet, all of them; for dra. Default: none."""
