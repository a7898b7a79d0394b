"""Options that say how the cards of an installation are handed out."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast, get_args

import click

from pantala.accelerators import aliyun, hami, tencent, volcano
from pantala.api.accelerator import Provider
from pantala.cli import parameters
from pantala.manifest.settings import AcceleratorSettings

_PROVIDERS = get_args(Provider)
F = TypeVar("F", bound=Callable[..., Any])

RENAMED = (
    *(hami.COUNT, hami.MEMORY, hami.PERCENTAGE, hami.CORES),
    *(volcano.COUNT, volcano.MEMORY, volcano.CORES),
    *(tencent.CORES, tencent.MEMORY),
    aliyun.MEMORY,
)
"""Resources whose names an installation may change; NVIDIA's own plugin has no such setting."""


def _once(
    _: click.Context, parameter: click.Parameter, pairs: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Refuse two names of one resource, and one name of two: what a pod asks for would get lost."""
    for words in ([resource for resource, _ in pairs], [name for _, name in pairs]):
        for word in words:
            if words.count(word) > 1:
                raise click.BadParameter(
                    f"{word} is named twice: give each resource one name of its own", param=parameter
                )
    return pairs


_CHOICE = (
    click.option(
        "--accelerator-default",
        envvar="PANTALA_ACCELERATOR_DEFAULT",
        type=click.Choice(_PROVIDERS),
        default=AcceleratorSettings.provider,
        show_default=True,
        help="Who hands out the cards of models whose accelerator.provider is not set.",
    ),
    click.option(
        "--accelerator-pool",
        "accelerator_pools",
        multiple=True,
        envvar="PANTALA_ACCELERATOR_POOLS",
        type=parameters.Pool(_PROVIDERS),
        metavar="LABEL=VALUE[,LABEL=VALUE]:PROVIDER",
        help="Default provider of models whose template.spec.nodeSelector has these labels; may be given several times, the "
        "first that matches counts. Default: --accelerator-default for all nodes.",
    ),
)
"""Who is meant where nobody is named."""

_NAMES = (
    click.option(
        "--accelerator-shared-resource",
        envvar="PANTALA_ACCELERATOR_SHARED_RESOURCE",
        type=parameters.ExtendedResource(),
        metavar="RESOURCE",
        default=AcceleratorSettings.shared_resource,
        show_default=True,
        help="Resource of time slices and MPS shares: nvidia.com/gpu where NVIDIA's device plugin does not rename it.",
    ),
    click.option(
        "--accelerator-aliyun-unit",
        envvar="PANTALA_ACCELERATOR_ALIYUN_UNIT",
        type=click.Choice(["GiB", "MiB"]),
        default=AcceleratorSettings.aliyun_unit,
        show_default=True,
        help="Unit of aliyun.com/gpu-mem, as the device plugin's --memory-unit says.",
    ),
    click.option(
        "--accelerator-resource-name",
        "accelerator_resource_names",
        multiple=True,
        envvar="PANTALA_ACCELERATOR_RESOURCE_NAMES",
        type=parameters.ResourceName(RENAMED),
        callback=_once,
        metavar="RESOURCE=NAME",
        help="What a vendor's RESOURCE is called here, where it was given another NAME at its installation; may be given several "
        "times. Default: the vendor's own names.",
    ),
)
"""Names and units that no node tells."""

OPTIONS = (*_CHOICE, *_NAMES)
"""As `settings` takes them."""


def names(command: F) -> F:
    """Add the names and units of the installation, which the command takes as `names`."""

    @wraps(command)
    def with_names(*args: Any, **others: Any) -> Any:
        given = {name: others.pop(name) for name in tuple(others) if name.startswith("accelerator_")}
        chosen = {"accelerator_default": AcceleratorSettings.provider, "accelerator_pools": ()}
        return command(*args, names=settings(given | chosen), **others)

    made: Any = with_names
    for option in reversed(_NAMES):
        made = option(made)
    return cast("F", made)


def settings(given: dict[str, Any]) -> AcceleratorSettings:
    """The settings that the options make; they are taken out of `given`."""
    return AcceleratorSettings(
        provider=given.pop("accelerator_default"),
        pools=tuple(given.pop("accelerator_pools")),
        shared_resource=given.pop("accelerator_shared_resource") or AcceleratorSettings.shared_resource,
        aliyun_unit=given.pop("accelerator_aliyun_unit"),
        resource_names=dict(given.pop("accelerator_resource_names")),
    )
