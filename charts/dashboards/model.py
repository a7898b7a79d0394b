"""One model: what it answers, what its cards do, what its autoscaler sees and wants, and how its replicas started."""

from typing import Any

from panels import GREEN, RED, YELLOW, Panel, Query, Row, dashboard, lines, stacked, stat, table, timeline, variable
from queries import PHASES, by_pod, by_service, state, use_of_cards

MINE = 'namespace="$namespace",model="$model"'
CHOSEN = f'{MINE},version=~"$version"'
STATES = {"1": ("yes", GREEN), "0": ("no", RED), "-1": ("unknown", YELLOW)}
BOUNDS = {
    "matcher": {"id": "byRegexp", "options": "/ (min|max)$/"},
    "properties": [
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 6]}},
        {"id": "color", "value": {"mode": "fixed", "fixedColor": "gray"}},
    ],
}


def _replicas(kind: str) -> str:
    return f'max by (version) (pantala_version_replicas{{{CHOSEN},kind="{kind}"}})'


def _per_replica() -> dict[str, str]:
    """Measures that Prometheus knows, by their name in the spec: means over the replicas of each version."""
    means = {
        "GPUMemory": "pantala_gpu_memory",
        "RequestsPerSecond": "pantala_requests_per_second",
        "QueueLength": "pantala_queue_length",
        "QueueTime": "pantala_queue_milliseconds",
    }
    found = {measure: f"avg by (version) ({by_pod(series, CHOSEN)})" for measure, series in means.items()}
    found = {"GPUUtilization": f"avg by (version) ({use_of_cards(CHOSEN)})", **found}
    counted = f"sum by (version) ({by_service('pantala_service_requests_per_second', CHOSEN)})"
    found["RequestsPerSecond"] = f"({found['RequestsPerSecond']} or {counted} / ({_replicas('ready')} > 0))"
    return found


def _target(measure: str) -> str:
    return f'max by (version) (pantala_version_target{{{CHOSEN},measure="{measure}"}})'


def _condition(title: str, kind: str, description: str, no_value: str) -> Panel:
    return stat(title, description, [Query(state(kind, MINE))], mappings=STATES, no_value=no_value, filled=True)


def _state() -> Row:
    served = f"max by (version, runtime, engine, provider) (pantala_model_info{{{MINE}}})"
    conditions = (
        f"max by (type, status) (pantala_model_condition{{{MINE}}} == 1)"
        f" * on (type) group_left (reason) max by (type, reason) (pantala_model_condition_reason{{{MINE}}})"
    )
    return Row(
        "State",
        [
            _condition("Ready", "Ready", "Whether a version answers requests.", "unknown"),
            _condition(
                "Routed", "TrafficReady", "Whether every version gets the share that the spec asks for.", "no mesh"
            ),
            _condition(
                "Measures found",
                "MetricsAvailable",
                "Whether the autoscaler has a value of each measure: the condition MetricsAvailable.",
                "no autoscaler",
            ),
            stat(
                "Replicas",
                "Replicas that answer, and that there shall be, of all versions.",
                [
                    Query(f'sum(max by (version) (pantala_version_replicas{{{MINE},kind="{kind}"}}))', kind)
                    for kind in ("ready", "desired")
                ],
                width=5,
            ),
            stat(
                "Served by",
                "The version that answers, its model server, who decides about its replicas, and who hands out its cards.",
                [Query(served, "{{version}} {{runtime}} {{engine}} {{provider}}")],
                names=True,
                width=7,
            ),
            table(
                "Conditions",
                "What is true of the model; docs/conditions.md has every reason, and the resource the message.",
                [Query(conditions, instant=True)],
                {"type": "Condition", "status": "Status", "reason": "Reason"},
                height=8,
            ),
            table(
                "Versions",
                "What each version does, and the Service that leads to it.",
                [Query(f"max by (version, state, service) (pantala_version_info{{{MINE}}})", instant=True)],
                {"version": "Version", "state": "State", "service": "Service"},
            ),
            timeline(
                "Conditions over time",
                "Whether the main conditions held.",
                [
                    Query(state(kind, MINE), kind)
                    for kind in ("Accepted", "Distributed", "Ready", "TrafficReady", "MetricsAvailable")
                ],
                mappings=STATES,
            ),
        ],
    )


def _autoscaler() -> Row:
    missing = f"max by (version, measure) (pantala_version_metric_missing{{{CHOSEN}}})"
    return Row(
        "Autoscaler",
        [
            lines(
                "Replicas",
                "What the autoscaler wants, what there shall be, what answers; dashed: minReplicas and maxReplicas.",
                [
                    Query(_replicas(kind), f"{{{{version}}}} {kind}")
                    for kind in ("wanted", "desired", "ready", "min", "max")
                ],
                width=10,
                custom={"lineInterpolation": "stepAfter"},
                overrides=[BOUNDS],
            ),
            lines(
                "Measures, in percent of their targets",
                "At 100 a measure is at its target: the one that is highest decides. With a share of a card, its use is percent of what"
                " is granted. CPU and memory are not in Prometheus, and queries of your own not here.",
                [
                    Query(f"100 * {mean} / on (version) {_target(measure)}", f"{{{{version}}}} {measure}")
                    for measure, mean in _per_replica().items()
                ],
                unit="percent",
                width=10,
                steps=((None, GREEN), (100, RED)),
            ),
            table(
                "Without a value",
                "Measures that the autoscaler has no value of; the message of MetricsAvailable says why. Empty is good.",
                [Query(missing, instant=True)],
                {"version": "Version", "measure": "Measure"},
                width=4,
                no_value="none",
            ),
        ],
    )


def _traffic() -> Row:
    def by_version(series: str) -> list[Query]:
        return [Query(f"sum by (version) ({by_service(series, CHOSEN)})", "{{version}}")]

    return Row(
        "Traffic",
        [
            stacked(
                "Requests, counted by the servers",
                "Requests in a second that model servers answered, well or not; copies of a mirror are among them.",
                [Query(f"sum by (version) ({by_pod('pantala_requests_per_second', CHOSEN)})", "{{version}}")],
                unit="reqps",
            ),
            stacked(
                "Requests, counted by the mesh",
                "Requests in a second that were sent to each version. Nothing without a mesh.",
                by_version("pantala_service_requests_per_second"),
                unit="reqps",
            ),
            lines(
                "Shares",
                "Percent of the requests that the spec asks for and that the live route gives.",
                [
                    Query(
                        f'max by (version, kind) (pantala_version_traffic_percent{{{CHOSEN},kind=~"asked|configured|mirror"}})',
                        "{{version}} {{kind}}",
                    )
                ],
                unit="percent",
                limits=(0, 100),
                custom={"lineInterpolation": "stepAfter"},
            ),
            lines(
                "Errors",
                "Requests that failed in the last five minutes, in percent, as the mesh counts them.",
                by_version("pantala_service_error_percent"),
                unit="percent",
                steps=((None, GREEN), (5, RED)),
                width=12,
            ),
            lines(
                "Latency",
                "Time within which half, and 99 of 100, of the requests of the last five minutes were answered.",
                [
                    Query(
                        f"sum by (version, quantile) ({by_service('pantala_service_milliseconds', CHOSEN)})",
                        "{{version}} p{{quantile}}",
                    )
                ],
                unit="ms",
                width=12,
            ),
        ],
    )


def _pods() -> Row:
    def each(title: str, description: str, series: str, unit: str, **more: Any) -> Panel:
        return drawn(title, description, by_pod(series, CHOSEN, "node"), unit, **more)

    def drawn(title: str, description: str, series: str, unit: str, **more: Any) -> Panel:
        query = Query(f"max by (pod, node) ({series})", "{{pod}} on {{node}}")
        return lines(title, description, [query], unit=unit, width=12, **more)

    return Row(
        "Replicas: cards and queues",
        [
            drawn(
                "Use of cards",
                "Percent of the time in which the cards of each pod worked, in the mean of them. With a share of a card percent of the"
                " share: a pod that takes more than it was granted is above 100.",
                use_of_cards(CHOSEN, "node"),
                "percent",
            ),
            each(
                "Memory of cards",
                "Percent of the memory of each pod's cards that is in use.",
                "pantala_gpu_memory",
                "percent",
                limits=(0, 100),
                steps=((None, GREEN), (95, RED)),
            ),
            each("Requests that wait", "In the server of each pod.", "pantala_queue_length", "short"),
            each(
                "Time in the queue", "How long requests wait in each pod's server.", "pantala_queue_milliseconds", "ms"
            ),
        ],
    )


def _starts() -> Row:
    fetched = f"pantala_version_fetched_bytes{{{CHOSEN}}}"
    return Row(
        "Cold starts",
        [
            stacked(
                "Phases of the last start",
                "How long each phase took of the start of the replica that got ready last, by version.",
                [
                    Query(
                        f'max by (version) (pantala_version_start_seconds{{{CHOSEN},phase="{phase}"}})',
                        f"{{{{version}}}} {phase}",
                    )
                    for phase in PHASES
                ],
                unit="s",
                width=12,
            ),
            stacked(
                "Bytes by source",
                "Bytes that all replicas of a version fetched until they got ready: the store (origin), peers, the node's dfdaemon"
                " (local), a volume that had them (cache), dfdaemon's proxy, which does not say.",
                [Query(f"max by (version, source) ({fetched})", "{{version}} {{source}}")],
                unit="bytes",
                width=12,
            ),
        ],
    )


def build() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "pantala-model",
        "Pantala / Model",
        "One model: its versions, traffic, cards, autoscaler and cold starts.",
        [_state(), _autoscaler(), _traffic(), _pods(), _starts()],
        [
            variable("namespace", "Namespace", "label_values(pantala_model_info, namespace)"),
            variable("model", "Model", 'label_values(pantala_model_info{namespace="$namespace"}, model)'),
            variable("version", "Version", f"label_values(pantala_version_info{{{MINE}}}, version)", many=True),
        ],
        "3h",
    )
