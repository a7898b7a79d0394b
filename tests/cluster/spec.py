"""What a cluster is asked to be, and where its state lies."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster import cache
from tests.cluster.errors import ClusterError

MAX_NODES = 8
"""Real nodes of one cluster: each has its own /24 of pod addresses."""


@dataclass(frozen=True)
class ClusterSpec:
    """One local cluster.

    `nodes` are real nodes (root), `kwok` are simulated ones. `scale` drops what would be measured instead of the
    subject when hundreds of objects are made: few workers, disk writes of etcd, eviction for late heartbeats.
    """

    name: str = "pantala"
    nodes: int = 0
    kwok: int = 0
    gpus: int = 8
    """nvidia.com/gpu of every KWOK node."""
    images: tuple[str, ...] = ()
    """Local images that every real node holds from the start: pantala, triton, torchserve."""
    controllers: bool = True
    """Run kube-controller-manager and kube-scheduler; without them only the API server answers."""
    scale: bool = False
    audit: str = ""
    """Level of the audit log (Metadata, Request, RequestResponse); empty for none."""
    version: str = ""
    """Another API server than the newest: `1.31`."""
    apiserver_args: tuple[str, ...] = ()
    """Further flags of the API server."""
    controller_manager_args: tuple[str, ...] = ()
    """Further flags of kube-controller-manager; they win over those of `control_plane`, as the short periods of the HPA."""
    schedulers: tuple[str, ...] = ()
    """Further names under which kube-scheduler places pods, beside default-scheduler: in place of vendors' schedulers."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", self.name):
            raise ClusterError(f"cluster name {self.name!r}: lower case letters, digits and dashes, at most 40")
        if not 0 <= self.nodes <= MAX_NODES:
            raise ClusterError(f"{self.nodes} real nodes: 0 to {MAX_NODES} are possible")

    def write(self, path: Path) -> None:
        """Store it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> "ClusterSpec":
        """Load what `write` stored."""
        return cls.parse(path.read_text())

    @classmethod
    def parse(cls, text: str) -> "ClusterSpec":
        """Load it from JSON."""
        data = json.loads(text)
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})


@dataclass(frozen=True)
class Paths:
    """The state folder of one cluster and the files in it."""

    root: Path

    @classmethod
    def of(cls, name: str) -> "Paths":
        """The folder of the cluster of that name."""
        return cls(clusters_root() / name)

    @property
    def spec(self) -> Path:
        """The ClusterSpec, as JSON."""
        return self.root / "spec.json"

    @property
    def facts(self) -> Path:
        """What was decided at start (addresses, instance), as JSON; written when the cluster is ready."""
        return self.root / "facts.json"

    @property
    def problem(self) -> Path:
        """Why the start failed, or which component died later."""
        return self.root / "problem.txt"

    @property
    def pids(self) -> Path:
        """One line `pid start-time name` per process, for whoever must clean up after a crash."""
        return self.root / "pids"

    @property
    def remains(self) -> Path:
        """One line per thing outside the folder that must be removed: `link NAME`, `cgroup NAME`, `folder PATH`."""
        return self.root / "remains"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def log(self) -> Path:
        """One file per component."""
        return self.root / "log"

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def audit(self) -> Path:
        """The audit log, if it was asked for."""
        return self.root / "audit.log"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives; beside the folder, because the folder goes."""
        return clusters_root() / ".locks" / self.root.name

    def node(self, index: int) -> Path:
        """Folder of a real node."""
        return self.root / "nodes" / str(index)


def clusters_root() -> Path:
    """Folder of all clusters of this user. On a real disk: containerd needs an upper layer that overlayfs accepts."""
    return cache.cache_root() / "clusters"
