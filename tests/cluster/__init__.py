"""A local Kubernetes for tests and for the demo: real API server, real nodes with real pods, no root where none is needed.

`python -m tests.cluster --help` is the way in for people, `tests.cluster.fixtures` the one for pytest.
"""

from tests.cluster.access import Access
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, ToolMissingError
from tests.cluster.spec import ClusterSpec

__all__ = ["Access", "Cluster", "ClusterError", "ClusterSpec", "ToolMissingError"]
