"""All models at a glance, and the operator's own health."""

from typing import Any

from panels import GREEN, RED, YELLOW, Panel, Query, Row, dashboard, lines, stacked, stat, table, variable
from queries import PHASES, by_pod, by_service, use_of_cards

MINE = 'namespace=~"$namespace"'
NAME = "{{namespace}}/{{model}}"
MOST = 15
"""How many models a panel shows, so that a thousand can be looked at."""
BAD = ((None, GREEN), (1, RED))
TO_MODEL = {
    "title": "Look at this model",
    "url": "/d/pantala-model?var-namespace=${__data.fields.Namespace}&var-model=${__data.fields.Model}&${datasource:queryparam}",
}


def _models(condition: str, status: str) -> str:
    """How many models have a condition in a status."""
    series = f'pantala_model_condition{{{MINE},type="{condition}",status="{status}"}}'
    return f"count(max by (namespace, model) ({series}) == 1) or vector(0)"


def _top(query: str, how: str = "sum") -> list[Query]:
    return [Query(f"topk({MOST}, {how} by (namespace, model) ({query}))", NAME)]


def _replicas(kind: str) -> str:
    return f'sum(max by (namespace, model, version) (pantala_version_replicas{{{MINE},kind="{kind}"}}))'


def _state() -> Row:
    trouble = (
        f"max by (namespace, model, type, reason) (pantala_model_condition_reason{{{MINE}}})"
        " and on (namespace, model, type)"
        f' pantala_model_condition{{{MINE},type!~"Reconciling|Stalled",status="False"}} == 1'
    )
    at_most = (
        f'max by (namespace, model, version) (pantala_version_replicas{{{MINE},kind="wanted"}})'
        f' >= max by (namespace, model, version) (pantala_version_replicas{{{MINE},kind="max"}})'
    )
    return Row(
        "Models",
        [
            stat(
                "Models",
                "InferenceModels that the operator knows.",
                [Query(f"count(max by (namespace, model) (pantala_model_info{{{MINE}}})) or vector(0)")],
            ),
            stat("Ready", "Models of which a version answers.", [Query(_models("Ready", "True"))]),
            stat("Not ready", "Models of which no version answers.", [Query(_models("Ready", "False"))], steps=BAD),
            stat("Stalled", "Models that need a change to go on.", [Query(_models("Stalled", "True"))], steps=BAD),
            stat(
                "Metrics missing",
                "Models whose autoscaler has no value of a measure (MetricsAvailable is False).",
                [Query(_models("MetricsAvailable", "False"))],
                steps=BAD,
            ),
            stat(
                "At most replicas",
                "Versions of which the autoscaler wants as many replicas as maxReplicas allows.",
                [Query(f"count({at_most}) or vector(0)")],
                steps=((None, GREEN), (1, YELLOW)),
            ),
            table(
                "Models that need a look",
                "Conditions that are False, with their reasons; docs/conditions.md has each. Empty is good.",
                [Query(trouble, instant=True)],
                {"namespace": "Namespace", "model": "Model", "type": "Condition", "reason": "Reason"},
                width=12,
                no_value="nothing is wrong",
                overrides=[
                    {
                        "matcher": {"id": "byName", "options": "Model"},
                        "properties": [{"id": "links", "value": [TO_MODEL]}],
                    }
                ],
            ),
            lines(
                "Replicas",
                "Replicas that there shall be, that answer, and that autoscalers want, of all versions together.",
                [Query(_replicas(kind), kind) for kind in ("desired", "ready", "wanted")],
                width=12,
            ),
        ],
    )


def _load() -> Row:
    served = (
        f"sum by (namespace, model) ({by_pod('pantala_requests_per_second', MINE)})"
        f" or sum by (namespace, model) ({by_service('pantala_service_requests_per_second', MINE)})"
    )
    most = f"The {MOST} models with the highest values."
    return Row(
        "Load",
        [
            lines(
                "Use of cards",
                "Mean over a model's replicas of the time in which their cards worked, in percent of what they are granted of a"
                f" card. {most}",
                _top(use_of_cards(MINE), "avg"),
                unit="percent",
            ),
            lines(
                "Memory of cards",
                f"Mean over a model's replicas of the memory of their cards that is in use. {most}",
                _top(by_pod("pantala_gpu_memory", MINE), "avg"),
                unit="percent",
                limits=(0, 100),
                steps=((None, GREEN), (95, RED)),
            ),
            lines(
                "Requests",
                f"Requests that the servers answered in a second; those that the mesh counted where the servers count none. {most}",
                [Query(f"topk({MOST}, {served})", NAME)],
                unit="reqps",
            ),
            lines(
                "Requests that wait",
                f"Requests in the queues of a model's servers, in all. {most}",
                _top(by_pod("pantala_queue_length", MINE)),
            ),
            lines(
                "Time in the queue",
                f"How long requests wait in the servers, in the mean over replicas. {most}",
                _top(by_pod("pantala_queue_milliseconds", MINE), "avg"),
                unit="ms",
            ),
            lines(
                "Errors",
                f"Requests that failed, in percent, as the mesh counts them; of a model's versions the worst. {most}",
                _top(by_service("pantala_service_error_percent", MINE), "max"),
                unit="percent",
                steps=((None, GREEN), (5, RED)),
            ),
        ],
    )


def _starts() -> Row:
    span = "[1h]"
    fetched = "sum(increase(pantala_fetched_bytes_total"
    return Row(
        "Cold starts, of all namespaces",
        [
            lines(
                "From creation to ready",
                "Time until replicas that got ready in the last hour answered.",
                [
                    Query(
                        f"histogram_quantile({share}, sum by (le) (increase(pantala_replica_start_seconds_bucket{span})))",
                        name,
                    )
                    for share, name in ((0.5, "half of them"), (0.95, "95 of 100"))
                ],
                unit="s",
            ),
            stacked(
                "Phases",
                "Mean time of each phase, of replicas that got ready in the last hour.",
                [
                    Query(
                        f'sum(increase(pantala_replica_phase_seconds_sum{{phase="{phase}"}}{span}))'
                        f' / (sum(increase(pantala_replica_phase_seconds_count{{phase="{phase}"}}{span})) > 0)',
                        phase,
                    )
                    for phase in PHASES
                ],
                unit="s",
            ),
            stacked(
                "Bytes by source",
                "Where the weights of replicas that got ready came from, in the last hour: the store (origin), peers, the node's"
                " dfdaemon (local), a volume that had them (cache), dfdaemon's proxy, which does not say.",
                [Query(f"sum by (source) (increase(pantala_fetched_bytes_total{span}))", "{{source}}")],
                unit="bytes",
            ),
            stat(
                "Not from the store",
                "Share of all bytes of the last day that the store did not have to send.",
                [Query(f'1 - {fetched}{{source="origin"}}[1d])) / ({fetched}[1d])) > 0)')],
                unit="percentunit",
                height=8,
                no_value="nothing fetched",
            ),
            lines(
                "Replicas that read the store in place of peers",
                "In the last hour, by the fetcher's reason; docs/conditions.md#fellback has each.",
                [Query(f"sum by (reason) (increase(pantala_fallbacks_total{span}))", "{{reason}}")],
                width=20,
            ),
        ],
    )


def _operator() -> Row:
    rate = "[$__rate_interval]"
    return Row("Operator", [*_passes(rate), *_calls(rate)])


def _passes(rate: str) -> list[Panel]:
    return [
        stat(
            "At work",
            "Operators that lead: exactly one, for each release.",
            [Query("count(max by (instance) (pantala_leader) == 1) or vector(0)")],
            steps=((None, RED), (1, GREEN)),
            height=8,
        ),
        lines(
            "Models that wait for a pass",
            "Depth of the queue of the operator that leads.",
            [Query("max(pantala_queue_depth and pantala_leader == 1)", "waiting")],
            width=10,
            steps=((None, GREEN), (50, RED)),
        ),
        lines(
            "Duration of a pass",
            "Time that a pass over one model takes, writes included.",
            [
                Query(f"histogram_quantile({share}, sum by (le) (rate(pantala_reconcile_seconds_bucket{rate})))", name)
                for share, name in ((0.5, "half of them"), (0.99, "99 of 100"))
            ],
            unit="s",
            width=10,
        ),
        lines(
            "Passes",
            "Passes in a second by result; error is a defect of the operator.",
            [Query(f"sum by (result) (rate(pantala_reconciles_total{rate}))", "{{result}}")],
            unit="ops",
        ),
    ]


def _calls(rate: str) -> list[Panel]:
    return [
        lines(
            "Requests to the API server",
            "By method and answer; none: there was no answer.",
            [Query(f"sum by (method, code) (rate(pantala_api_calls_total{rate}))", "{{method}} {{code}}")],
            unit="reqps",
        ),
        lines(
            "Writes of children",
            "By kind; none in a quiet cluster.",
            [Query(f"sum by (action, kind) (rate(pantala_child_writes_total{rate}))", "{{action}} {{kind}}")],
            unit="wps",
        ),
        lines(
            "News of watches",
            "Events in a second, by resource.",
            [Query(f"sum by (resource) (rate(pantala_watch_events_total{rate}))", "{{resource}}")],
            unit="ops",
        ),
        lines(
            "Objects in the cache",
            "Of the operator that leads, by resource.",
            [
                Query(
                    "max by (resource) (pantala_cached_objects and on (job, instance) pantala_leader == 1) > 0",
                    "{{resource}}",
                )
            ],
        ),
        lines(
            "Memory",
            "Resident memory of each operator.",
            [
                Query(
                    "max by (instance) (process_resident_memory_bytes and on (job, instance) pantala_leader)",
                    "{{instance}}",
                )
            ],
            unit="bytes",
        ),
    ]


def build() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "pantala-fleet",
        "Pantala / Fleet",
        "All models of the cluster, and the operator that looks after them.",
        [_state(), _load(), _starts(), _operator()],
        [variable("namespace", "Namespace", "label_values(pantala_model_info, namespace)", many=True)],
        "6h",
    )
