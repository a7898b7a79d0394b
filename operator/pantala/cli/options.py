"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

import click

from pantala.cli import accelerators, autoscaling, parameters
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
        mesh: str,
        gateway: tuple[str, str] | None,
        domain: str | None,
        allowed_domains: tuple[tuple[str, str], ...],
        cluster_domain: str | None,
        **others: Any,
    ) -> Any:
        images = {"triton": triton_image, "torchserve": torchserve_image}
        settings = Settings(
            fetcher_image=fetcher_image,
            runtime_images={name: image for name, image in images.items() if image},
            dragonfly_socket_folder=dragonfly_socket_folder,
            cache_host_paths=tuple(path.rstrip("/") for path in cache_host_paths if path),
            mesh=mesh,
            gateway=gateway,
            domain=domain,
            allowed_domains=_by_namespace(allowed_domains),
            cluster_domain=cluster_domain or Settings.cluster_domain,
            accelerators=accelerators.settings(others),
            autoscaling=autoscaling.settings(others),
            service_monitor=autoscaling.monitor(others),
        )
        return command(*args, settings=settings, **others)

    made: Any = with_settings
    for option in reversed(_INSTALLATION):
        made = option(made)
    return cast("F", made)


def prometheus(command: F) -> F:
    """Add who is asked about the traffic of models to the `settings` of a command that measures."""

    @wraps(command)
    def with_prometheus(
        *args: Any, settings: Settings, prometheus_url: str | None, prometheus_token_file: str | None, **others: Any
    ) -> Any:
        found = replace(
            settings, prometheus_url=prometheus_url or None, prometheus_token_file=prometheus_token_file or None
        )
        return command(*args, settings=found, **others)

    made: Any = with_prometheus
    for option in reversed(_PROMETHEUS):
        made = option(made)
    return cast("F", made)


def _by_namespace(pairs: tuple[tuple[str, str], ...]) -> dict[str, tuple[str, ...]]:
    """The domains of each namespace, in the order in which they were given, each once; an empty one is none."""
    return {
        name: tuple(dict.fromkeys(domain for owner, domain in pairs if owner == name and domain)) for name, _ in pairs
    }


_ROUTES = (
    click.option(
        "--mesh",
        envvar="PANTALA_MESH",
        type=click.Choice(["auto", "istio", "gateway-api", "none"]),
        default=Settings.mesh,
        show_default=True,
        help="What carries out routes. auto: Istio where the cluster has it, else the Gateway API where it has that.",
    ),
    click.option(
        "--gateway",
        envvar="PANTALA_GATEWAY",
        type=parameters.ObjectPath(),
        metavar="NAMESPACE/NAME",
        help="Gateway of models whose expose.gatewayRef names none. Default: there is none.",
    ),
    click.option(
        "--domain",
        envvar="PANTALA_DOMAIN",
        type=parameters.Domain(),
        metavar="DOMAIN",
        help="Gives each exposed model without hosts of its own the host NAME.NAMESPACE.DOMAIN. Default: there are no such hosts.",
    ),
    click.option(
        "--allowed-domain",
        "allowed_domains",
        multiple=True,
        envvar="PANTALA_ALLOWED_DOMAINS",
        type=parameters.AllowedDomain(),
        metavar="NAMESPACE=DOMAIN",
        help="Domain below which the hosts of a namespace's models may be; may be given several times. * stands for the "
        "namespaces that are not named, and an empty DOMAIN allows no host. Default: any host is allowed.",
    ),
    click.option(
        "--cluster-domain",
        envvar="PANTALA_CLUSTER_DOMAIN",
        type=parameters.Domain(),
        metavar="DOMAIN",
        default=Settings.cluster_domain,
        show_default=True,
        help="Domain of the cluster's own names, as its DNS serves it.",
    ),
)
"""Who routes, and which hosts models may have."""

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
    *_ROUTES,
    *accelerators.OPTIONS,
    *autoscaling.OPTIONS,
)

_PROMETHEUS = (
    click.option(
        "--prometheus-url",
        envvar="PANTALA_PROMETHEUS_URL",
        metavar="URL",
        type=parameters.HttpUrl(),
        help="Where Prometheus answers: it is asked how many requests each version got. Default: nothing is measured.",
    ),
    click.option(
        "--prometheus-token-file",
        envvar="PANTALA_PROMETHEUS_TOKEN_FILE",
        metavar="FILE",
        help="File with a bearer token for Prometheus, read for each request. Default: none is sent.",
    ),
)
