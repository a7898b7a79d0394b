"""Series of good days and of every trouble that the chart has an alert for."""

OPERATOR = 'job="pantala-metrics",instance="10.0.0.1:8080"'
STANDBY = 'job="pantala-metrics",instance="10.0.0.2:8080"'
MODEL = 'namespace="vision",model="resnet"'
VERSION = f'{MODEL},version="v1"'


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    """The series of one condition of the model."""
    statuses = {
        f'pantala_model_condition{{{MODEL},type="{kind}",status="{one}"}}': str(int(one == status))
        for one in ("True", "False", "Unknown")
    }
    return statuses | {f'pantala_model_condition_reason{{{MODEL},type="{kind}",reason="{reason}"}}': "1"}


HEALTHY: dict[str, str] = {
    f"pantala_leader{{{OPERATOR}}}": "1",
    f"pantala_queue_depth{{{OPERATOR}}}": "0",
    f'pantala_reconciles_total{{{OPERATOR},result="done"}}': "0+5",
    f'pantala_reconciles_total{{{OPERATOR},result="error"}}': "0",
    f'pantala_fallbacks_total{{{OPERATOR},reason="Stalled"}}': "0",
    # What stands by fills its queue, and works on nothing.
    f"pantala_leader{{{STANDBY}}}": "0",
    f"pantala_queue_depth{{{STANDBY}}}": "900",
    **condition("Ready", "True", "Serving"),
    **condition("MetricsAvailable", "True", "MetricsFound"),
    f'pantala_model_info{{{VERSION},runtime="triton",engine="HPA"}}': "1",
    f'pantala_version_info{{{VERSION},service="resnet-v1",state="Serving"}}': "1",
    f'pantala_pod_info{{{VERSION},pod="resnet-v1-a",node="n1"}}': "1",
    f'pantala_pod_info{{{VERSION},pod="resnet-v1-b",node="n2"}}': "1",
    f'pantala_version_replicas{{{VERSION},kind="ready"}}': "2",
    f'pantala_version_replicas{{{VERSION},kind="wanted"}}': "2",
    f'pantala_version_replicas{{{VERSION},kind="max"}}': "4",
    f"pantala_version_gpu_scale{{{VERSION}}}": "1",
    'pantala_gpu_utilization{namespace="vision",pod="resnet-v1-a"}': "60",
    'pantala_gpu_utilization{namespace="vision",pod="resnet-v1-b"}': "0",
    'pantala_queue_length{namespace="vision",pod="resnet-v1-a"}': "2",
    'pantala_queue_length{namespace="vision",pod="resnet-v1-b"}': "15",
    'pantala_service_requests_per_second{namespace="vision",service="resnet-v1"}': "10",
    'pantala_service_error_percent{namespace="vision",service="resnet-v1"}': "1",
    # Of a tenth of a card 4 percent of the card are much.
    'pantala_pod_info{namespace="vision",model="small",version="v1",pod="small-v1-a",node="n1"}': "1",
    'pantala_version_gpu_scale{namespace="vision",model="small",version="v1"}': "10",
    'pantala_gpu_utilization{namespace="vision",pod="small-v1-a"}': "4",
    # Pods and Services of others are nobody's business.
    'pantala_gpu_utilization{namespace="other",pod="notebook"}': "0",
    'pantala_service_requests_per_second{namespace="other",service="shop"}': "10",
    'pantala_service_error_percent{namespace="other",service="shop"}': "80",
}
"""Series in good days, by their values as promtool writes them: a number, or `begin+step`."""
GONE = "_"
"""Values of a series that is not there."""

OF_MODEL = {"namespace": "vision", "model": "resnet"}
OF_VERSION = {**OF_MODEL, "version": "v1"}
TROUBLES: dict[str, tuple[dict[str, str], int, dict[str, str]]] = {
    "PantalaModelNotReady": (condition("Ready", "False", "Starting"), 15, OF_MODEL | {"severity": "critical"}),
    "PantalaModelStalled": (condition("Stalled", "True", "DiskFull"), 5, OF_MODEL | {"severity": "warning"}),
    "PantalaMetricsMissing": (
        condition("MetricsAvailable", "False", "NoSeries"),
        10,
        OF_MODEL | {"severity": "warning"},
    ),
    "PantalaAtMaxReplicas": (
        {f'pantala_version_replicas{{{VERSION},kind="wanted"}}': "4"},
        60,
        OF_VERSION | {"severity": "warning"},
    ),
    "PantalaGpuIdle": (
        {'pantala_gpu_utilization{namespace="vision",pod="resnet-v1-a"}': "4"},
        180,
        OF_VERSION | {"severity": "info"},
    ),
    "PantalaQueueGrowing": (
        {'pantala_queue_length{namespace="vision",pod="resnet-v1-a"}': "6+1"},
        20,
        OF_VERSION | {"severity": "warning"},
    ),
    "PantalaErrorRate": (
        {'pantala_service_error_percent{namespace="vision",service="resnet-v1"}': "6"},
        5,
        OF_VERSION | {"service": "resnet-v1", "severity": "critical"},
    ),
    "PantalaOperatorDown": (
        {series: GONE for series in HEALTHY if OPERATOR in series},
        5,
        {"severity": "critical"},
    ),
    "PantalaWorkQueueStuck": (
        {
            f"pantala_queue_depth{{{OPERATOR}}}": "3",
            f'pantala_reconciles_total{{{OPERATOR},result="done"}}': "7",
        },
        10,
        {"job": "pantala-metrics", "instance": "10.0.0.1:8080", "severity": "warning"},
    ),
    "PantalaReconcileErrors": (
        {f'pantala_reconciles_total{{{OPERATOR},result="error"}}': "0+1"},
        12,
        {"job": "pantala-metrics", "instance": "10.0.0.1:8080", "severity": "warning"},
    ),
    "PantalaPeersFallBack": (
        {f'pantala_fallbacks_total{{{OPERATOR},reason="Stalled"}}': "0+1"},
        10,
        {"reason": "Stalled", "severity": "warning"},
    ),
}
"""By alert: the series that differ from those of good days, the minutes until it fires, and its labels."""
