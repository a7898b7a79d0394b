"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pantala.manifest.settings import FETCHER_IMAGE, Settings

F = TypeVar("F", bound=Callable[..., Any])


def cluster(command: F) -> F:
    """Add `--kubeconfig` and `--context`."""
    command = click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: its current one.")(
        command
    )
    return click.option(
        "--kubeconfig",
        envvar="KUBECONFIG",
        metavar="FILE",
        help="Kubeconfig. Default: KUBECONFIG, then ~/.kube/config, then the pod's service account.",
    )(command)


def images(command: F) -> F:
    """Add the default images of an installation; `settings` takes them."""
    for name, title in (("torchserve", "TorchServe"), ("triton", "Triton")):
        command = click.option(
            f"--{name}-image",
            envvar=f"PANTALA_{name.upper()}_IMAGE",
            metavar="IMAGE",
            help=f"Default image of {title}, where the operator was given another than the built-in one.",
        )(command)
    return click.option(
        "--fetcher-image",
        envvar="PANTALA_FETCHER_IMAGE",
        metavar="IMAGE",
        default=FETCHER_IMAGE,
        show_default=True,
        help="Image of the init container.",
    )(command)


def settings(fetcher_image: str, triton_image: str | None, torchserve_image: str | None) -> Settings:
    """The settings of an operator that was started with the same options."""
    given = {"triton": triton_image, "torchserve": torchserve_image}
    return Settings(fetcher_image=fetcher_image, runtime_images={name: image for name, image in given.items() if image})
