"""Options that say how the measures of models are found and read."""

from __future__ import annotations

import re
from typing import Any

import click
from typing_extensions import override

from pantala.api import durations
from pantala.cli import parameters
from pantala.manifest.settings import AutoscalingSettings, MonitorSettings

_AUTHENTICATIONS = ("ClusterTriggerAuthentication", "TriggerAuthentication")


class KedaAuthentication(click.ParamType["tuple[str, str] | None"]):
    """The kind and the name of an authentication of KEDA's."""

    name = "kind/name"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str] | None:
        """Read it as a pair; a name alone is that of the first kind."""
        if not value:
            return None
        kind, _, name = str(value).rpartition("/")
        kind = kind or _AUTHENTICATIONS[0]
        if kind not in _AUTHENTICATIONS or not parameters.is_domain(name):
            self.fail(f"{value!r} is no {'/NAME or '.join(_AUTHENTICATIONS)}/NAME", param, ctx)
        return kind, name


class SeriesLabel(click.ParamType["str | None"]):
    """The name of a label of Prometheus' series."""

    name = "label"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """Read it."""
        text = str(value)
        if text and not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", text):
            self.fail(f"{value!r} is no name of a label: write for example exported_pod", param, ctx)
        return text or None


class Interval(click.ParamType["str | None"]):
    """A time above zero, as Prometheus writes it: its units come in their order."""

    name = "duration"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """Read it, in its shortest form."""
        if not value:
            return None
        try:
            time = durations.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not time:
            self.fail(f"{value!r} is no time: write for example 15s", param, ctx)
        return durations.format(time)


_KEDA = (
    click.option(
        "--keda-prometheus-url",
        envvar="PANTALA_KEDA_PROMETHEUS_URL",
        type=parameters.HttpUrl(public=True),
        metavar="URL",
        help="Where KEDA finds Prometheus. Default: where the operator does (--prometheus-url).",
    ),
    click.option(
        "--keda-authentication",
        envvar="PANTALA_KEDA_AUTHENTICATION",
        type=KedaAuthentication(),
        metavar="[KIND/]NAME",
        help="ClusterTriggerAuthentication, or TriggerAuthentication in each model's namespace, by which KEDA authenticates "
        "itself at Prometheus. Default: it does not.",
    ),
)
"""What KEDA is told."""

_DCGM = (
    *(
        click.option(
            f"--dcgm-{name}-label",
            envvar=f"PANTALA_DCGM_{name.upper()}_LABEL",
            type=SeriesLabel(),
            metavar="LABEL",
            help=f"Label in which dcgm-exporter's series name the {title} that has the card. Default: exported_{name} where a "
            f"series has it, else {name}.",
        )
        for name, title in (("pod", "pod"), ("namespace", "namespace of the pod"))
    ),
    click.option(
        "--dcgm-shared-per-process/--no-dcgm-shared-per-process",
        envvar="PANTALA_DCGM_SHARED_PER_PROCESS",
        default=AutoscalingSettings.shared_per_process,
        show_default=True,
        help="Whether dcgm-exporter's figures of shared cards are those of each pod, not of the whole card.",
    ),
)
"""How the series of dcgm-exporter are to be understood; the recording rules are made of the same values."""

_PROBE = (
    click.option(
        "--metrics-grace",
        envvar="PANTALA_METRICS_GRACE",
        type=Interval(),
        default="2m",
        show_default=True,
        help="How long a replica must have been ready before a measure that it should give counts as missing.",
    ),
    click.option(
        "--metrics-probe-interval",
        envvar="PANTALA_METRICS_PROBE_INTERVAL",
        type=Interval(),
        default="30s",
        show_default=True,
        help="Time between two looks for the cause while a measure is missing.",
    ),
)
"""How missing measures are looked for."""

_MONITOR = (
    click.option(
        "--service-monitor/--no-service-monitor",
        envvar="PANTALA_SERVICE_MONITOR",
        default=False,
        show_default=True,
        help="Make a ServiceMonitor for each model, where the cluster has that kind.",
    ),
    click.option(
        "--service-monitor-interval",
        envvar="PANTALA_SERVICE_MONITOR_INTERVAL",
        type=Interval(),
        default=MonitorSettings.interval,
        show_default=True,
        help="Time between two scrapes of a replica.",
    ),
    click.option(
        "--service-monitor-label",
        "service_monitor_labels",
        multiple=True,
        envvar="PANTALA_SERVICE_MONITOR_LABELS",
        type=parameters.Label(),
        metavar="LABEL=VALUE",
        help="Label of these ServiceMonitors, by which Prometheus selects them; may be given several times. Default: none.",
    ),
)
"""How Prometheus finds the metrics of models."""

OPTIONS = (*_KEDA, *_DCGM, *_PROBE, *_MONITOR)
"""As `settings` and `monitor` take them."""


def settings(given: dict[str, Any]) -> AutoscalingSettings:
    """Where autoscalers find measures, as the options say; they are taken out of `given`."""
    return AutoscalingSettings(
        keda_prometheus_url=given.pop("keda_prometheus_url"),
        keda_authentication=given.pop("keda_authentication"),
        pod_label=given.pop("dcgm_pod_label"),
        namespace_label=given.pop("dcgm_namespace_label"),
        shared_per_process=given.pop("dcgm_shared_per_process"),
        start_grace=_seconds(given.pop("metrics_grace"), AutoscalingSettings.start_grace),
        probe_interval=_seconds(given.pop("metrics_probe_interval"), AutoscalingSettings.probe_interval),
    )


def _seconds(text: str | None, default: float) -> float:
    return durations.parse(text).total_seconds() if text else default


def monitor(given: dict[str, Any]) -> MonitorSettings | None:
    """How ServiceMonitors are made, as the options say, None for not at all; they are taken out of `given`."""
    wanted = given.pop("service_monitor")
    made = MonitorSettings(
        interval=given.pop("service_monitor_interval") or MonitorSettings.interval,
        labels=dict(given.pop("service_monitor_labels")),
    )
    return made if wanted else None
