"""The measures of a version as autoscalers read them: which series, from which API, in which unit. Pure.

The series of pods and of Services are made by the recording rules of the chart (charts/pantala/files/rules), the same for
every exporter and model server; so an HPA, KEDA, `pantala top` and the dashboards read the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

PREFIX = "pantala_"
"""How all names of recorded series begin."""
GPU_UTILIZATION = "pantala_gpu_utilization"
"""By namespace and pod: percent, 0 to 100, in which the pod's cards or slices worked, in the mean of them and of the averaging
window. HAMi's and Volcano's are percent of the whole card; Tencent's of one card, summed over the pod's cards."""
GPU_MEMORY = "pantala_gpu_memory"
"""By namespace and pod: percent of the memory of the pod's cards, slices or shares that is in use."""
REQUESTS = "pantala_requests_per_second"
"""By namespace and pod: requests per second that the model server answered, well or not."""
QUEUE_LENGTH = "pantala_queue_length"
"""By namespace and pod: requests that wait in the model server."""
QUEUE_TIME = "pantala_queue_milliseconds"
"""By namespace and pod: how long requests wait in the model server, in the mean."""
SERVICE_REQUESTS = "pantala_service_requests_per_second"
"""By namespace and service: requests per second that the mesh counted for the Service of a version."""

POD_SERIES = (GPU_UTILIZATION, GPU_MEMORY, REQUESTS, QUEUE_LENGTH, QUEUE_TIME)
"""The recorded series of pods."""
SERVICE_SERIES = (SERVICE_REQUESTS,)
"""The recorded series of Services."""


class Source(StrEnum):
    """Where an autoscaler reads a measure."""

    RESOURCE = "resource"
    """metrics.k8s.io, of the container `server`; `series` is cpu or memory, and the target percent of the request."""
    PODS = "pods"
    """custom.metrics.k8s.io, one value for each pod; the mean is compared."""
    SERVICE = "service"
    """custom.metrics.k8s.io, one value for the version's Service; it is divided by the number of replicas."""
    QUERY = "query"
    """PromQL of the user's; only KEDA reads it."""


@dataclass(frozen=True)
class Signal:
    """One measure of one version."""

    name: str
    """As the user knows it: the type of a metric, or the name of a query."""
    source: Source
    series: str
    """Name of the recorded series or of the resource; for a query the PromQL."""
    target: Decimal
    """In the unit of the series."""
    scale: Decimal = Decimal(1)
    """Factor from the unit of the series to the user's: percent of what is granted in place of percent of the card."""
    per_replica: bool = True
    """Whether the number is a mean over replicas as it is; else it is a total, to be divided by their number."""
