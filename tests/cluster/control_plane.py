"""etcd, API server, controller manager and scheduler as plain processes of this machine; needs no root."""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import build
from tests.cluster.pki import Authority
from tests.cluster.process import Processes, free_port, wait_for
from tests.cluster.spec import ClusterSpec, Paths

_FEW_COLLECTIONS = {"GOGC": "300", "GOMEMLIMIT": "1200MiB"}
"""Go's garbage collection takes a quarter of the API server's time where CRDs come and go; memory is there for less of it."""

COMPONENTS = frozenset({"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"})
"""Processes that are started again when they end: a test may kill them."""

_FAST = ("--kube-api-qps=1000", "--kube-api-burst=2000")
"""With their default of 20 requests a second the controllers take 4 s longer to start, and would be what is measured."""

_AUTOSCALER = (
    "--horizontal-pod-autoscaler-sync-period=1s",
    "--horizontal-pod-autoscaler-downscale-stabilization=3s",
    "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
    "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
)
"""Short periods of the HPA controller, in place of 15 s, 5 min, 30 s and 5 min. A window in an HPA's own `behavior` counts as it is."""

READY_SECONDS = 120.0
"""Limit for the API server to become ready; it takes 2 to 5 s on an idle machine."""


@dataclass(frozen=True)
class Network:
    """Addresses of one cluster."""

    address: str = "127.0.0.1"
    """Where the API server listens and how nodes and pods reach this machine."""
    port: int = 0
    services: str = "10.96.0.0/16"
    service_ip: str = "10.96.0.1"
    """The first address of `services`: the API server as pods see it."""
    pods: str = "10.208.0.0/13"


def programs(spec: ClusterSpec) -> dict[str, Path]:
    """Build what the control plane of a cluster needs; return program paths by name."""
    names = build.CONTROL_PLANE if spec.controllers else ("etcd", "kube-apiserver", "kubectl")
    found = build.ensure(names)
    if spec.version:
        other = f"kube-apiserver-{spec.version}"
        found["kube-apiserver"] = build.ensure([other])[other]
    return found


class ControlPlane:
    """Starts the processes of one control plane."""

    def __init__(self, spec: ClusterSpec, paths: Paths, network: Network, processes: Processes) -> None:
        self._spec, self._paths, self._network, self._processes = spec, paths, network, processes
        self.authority = Authority(paths.pki)
        self.port = network.port or free_port()
        self.url = f"https://{network.address}:{self.port}"

    def start(self, found: Mapping[str, Path], etcd_data: Path) -> None:
        """Start everything and wait until the API server is ready."""
        self._certificates()
        etcd = self._start_etcd(found["etcd"], etcd_data)
        self._processes.start(
            "kube-apiserver", [str(found["kube-apiserver"]), *self._apiserver(etcd)], _FEW_COLLECTIONS
        )
        self.wait()
        if self._spec.controllers:
            self._processes.start(
                "kube-controller-manager", [str(found["kube-controller-manager"]), *self._controller_manager()]
            )
            self._processes.start("kube-scheduler", [str(found["kube-scheduler"]), *self._scheduler()])

    def wait(self) -> None:
        """Wait for /readyz, which everybody may read."""
        context = ssl.create_default_context(cafile=str(self._paths.pki / "ca.crt"))

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=context) as answer:
                    return bool(answer.status == 200)
            except (OSError, urllib.error.URLError):
                return False

        wait_for(ready, "API server ready", READY_SECONDS, self._processes.check)

    def wait_for_controllers(self, kubectl: Path) -> None:
        """Wait until pods can be made: the first namespace has what every pod needs."""
        command = [str(kubectl), f"--kubeconfig={self._paths.kubeconfig}", "get", "serviceaccount/default"]
        command += ["configmap/kube-root-ca.crt"]
        wait_for(
            lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
            "service account of the first namespace",
            READY_SECONDS,
            self._processes.check,
        )

    def _certificates(self) -> None:
        ca, network = self.authority, self._network
        ca.create()
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        names += ("kubernetes.default.svc.cluster.local",)
        addresses = {"127.0.0.1", network.address, network.service_ip}
        alternatives = [f"IP:{ip}" for ip in sorted(addresses)] + [f"DNS:{name}" for name in names]
        ca.issue("apiserver", "kube-apiserver", alternatives=alternatives)
        ca.issue("apiserver-kubelet", "apiserver-kubelet", ["system:masters"])
        ca.issue("aggregator", "front-proxy")
        ca.kubeconfig(self._paths.kubeconfig, self.url, "admin", ["system:masters"])
        if self._spec.controllers:
            for user in ("kube-controller-manager", "kube-scheduler"):
                ca.kubeconfig(self._paths.pki / f"{user}.conf", self.url, f"system:{user}")

    def _start_etcd(self, program: Path, data: Path) -> str:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        flags = ["--data-dir", str(data), "--listen-client-urls", client, "--advertise-client-urls", client]
        flags += [
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"default={peer}",
        ]
        flags += ["--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes", str(4 << 30)]
        self._processes.start("etcd", [str(program), *flags])
        return client

    def _apiserver(self, etcd: str) -> list[str]:
        pki, network, spec = self._paths.pki, self._network, self._spec
        flags = [
            f"--etcd-servers={etcd}",
            f"--bind-address={network.address}",
            f"--secure-port={self.port}",
            f"--advertise-address={network.address}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--cert-dir={pki}",
            f"--client-ca-file={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--service-cluster-ip-range={network.services}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            # aggregated APIs (metrics) may be served by programs outside the cluster
            "--enable-aggregator-routing=true",
            f"--requestheader-client-ca-file={pki}/ca.crt",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/aggregator.crt",
            f"--proxy-client-key-file={pki}/aggregator.key",
        ]
        if not spec.nodes:  # a loopback address cannot be an endpoint, and nobody would use it
            flags.append("--endpoint-reconciler-type=none")
        if spec.audit:
            policy = self._paths.root / "audit-policy.json"
            policy.write_text(json.dumps(_audit_policy(spec.audit)))
            flags += [
                f"--audit-policy-file={policy}",
                f"--audit-log-path={self._paths.audit}",
                "--audit-log-maxsize=4096",
            ]
        return [*flags, *spec.apiserver_args]

    def _controller_manager(self) -> list[str]:
        pki = self._paths.pki
        flags = [
            f"--kubeconfig={pki}/kube-controller-manager.conf",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki}/sa.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            "--leader-elect=false",
            *_FAST,
            *_AUTOSCALER,
        ]
        if self._spec.scale:
            workers = ("deployment", "replicaset", "endpoint", "service-endpoint")
            flags += [
                "--kube-api-qps=1000",
                "--kube-api-burst=2000",
                *(f"--concurrent-{it}-syncs=20" for it in workers),
            ]
            # starved heartbeats would make simulated nodes NotReady and evict their pods
            flags.append("--controllers=*,-node-lifecycle-controller,-taint-eviction-controller")
        return [*flags, *self._spec.controller_manager_args]

    def _scheduler(self) -> list[str]:
        kubeconfig = f"{self._paths.pki}/kube-scheduler.conf"
        if not self._spec.schedulers:
            return [f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false", *_FAST]
        # With a file the other flags count no more.
        config = self._paths.root / "kube-scheduler.json"
        config.write_text(json.dumps(_scheduler_config(kubeconfig, self._spec.schedulers)))
        return [f"--config={config}", "--secure-port=0"]


def _scheduler_config(kubeconfig: str, names: tuple[str, ...]) -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 1000, "burst": 2000},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name} for name in ("default-scheduler", *names)],
    }


def _audit_policy(level: str) -> dict[str, object]:
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
            # whatever the level, the content of Secrets and tokens stays out of the log
            {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "serviceaccounts/token"]}]},
            {"level": level},
        ],
    }
