"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

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


def installation(command: F) -> F:
    """Add the options that make an installation's `Settings`, which the command takes as `settings`."""

    @wraps(command)
    def with_settings(
        *args: Any,
        fetcher_image: str,
        triton_image: str | None,
        torchserve_image: str | None,
        dragonfly_socket_folder: str,
        cache_host_paths: tuple[str, ...],
        **others: Any,
    ) -> Any:
        images = {"triton": triton_image, "torchserve": torchserve_image}
        settings = Settings(
            fetcher_image=fetcher_image,
            runtime_images={name: image for name, image in images.items() if image},
            dragonfly_socket_folder=dragonfly_socket_folder,
            cache_host_paths=tuple(path.rstrip("/") for path in cache_host_paths if path),
        )
        return command(*args, settings=settings, **others)

    made: Any = with_settings
    for option in reversed(_INSTALLATION):
        made = option(made)
    return cast("F", made)


_INSTALLATION = (
    click.option(
        "--fetcher-image",
        envvar="PANTALA_FETCHER_IMAGE",
        metavar="IMAGE",
        default=FETCHER_IMAGE,
        show_default=True,
        help="Image of the init container that fetches the weights.",
    ),
    *(
        click.option(
            f"--{name}-image",
            envvar=f"PANTALA_{name.upper()}_IMAGE",
            metavar="IMAGE",
            help=f"Default image of {title}, in place of the built-in one.",
        )
        for name, title in (("triton", "Triton"), ("torchserve", "TorchServe"))
    ),
    click.option(
        "--dragonfly-socket-folder",
        envvar="PANTALA_DRAGONFLY_SOCKET_FOLDER",
        default=Settings.dragonfly_socket_folder,
        show_default=True,
        metavar="FOLDER",
        help="Folder of every node in which Dragonfly's dfdaemon has its socket.",
    ),
    click.option(
        "--cache-host-path",
        "cache_host_paths",
        multiple=True,
        envvar="PANTALA_CACHE_HOST_PATHS",
        type=click.Path(path_type=str),
        default=Settings.cache_host_paths,
        show_default=True,
        help="Folder of the nodes at or below which storage.cache.hostPath may be; may be given several times.",
    ),
)
