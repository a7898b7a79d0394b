"""Programs of this machine as aggregated APIs of a cluster: the Prometheus Adapter, and KEDA's adapter.

An APIService names a Service without a selector, whose EndpointSlice holds an address of `lo` (`loopback`); the API server
finds it because of `--enable-aggregator-routing=true`. Each program has a certificate of an authority of its own, which the
APIService trusts, and acts under RBAC as the service account that its own manifests bind: nothing is skipped.
"""

import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Access
from tests.cluster.addons import gateway_api
from tests.cluster.addons.service import Service
from tests.cluster.errors import ClusterError
from tests.cluster.pki import Authority
from tests.cluster.process import wait_for

PORT = 6443
"""Where the programs listen, each at an address of its own."""

_AVAILABLE_SECONDS = 90.0
"""Limit for an APIService; one whose program answers is Available in a second, one that had failed before in up to 30."""


class SecureService(Service):
    """A process that serves HTTPS with a certificate of an authority that nobody else knows."""

    def __init__(self, command: Sequence[str], ready_url: str, authority: Path, env: Mapping[str, str]) -> None:
        """Start the process and wait until `ready_url` answers 200.

        Args:
            command: the program and its arguments.
            ready_url: `https://...`; whoever asks is anonymous.
            authority: certificate of the authority, as PEM.
            env: its whole environment.

        Raises:
            ClusterError: it ended or did not answer in time; the message holds the end of its output.
        """
        self._url, self._trust = ready_url, ssl.create_default_context(cafile=str(authority))
        super().__init__(command, ready_url, env, wait=False)
        self.ready()

    def ready(self) -> None:
        """Wait until it is; one that does not get there is stopped.

        Raises:
            ClusterError: it ended or did not answer in time; the message holds the end of its output.
        """
        try:
            wait_for(self._answers, f"{self._process.args} ready", 90, self._check, every=0.1)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self._url, timeout=2, context=self._trust) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a program: this one without proxies, which Go would ask for other addresses than 127.0.0.1."""
    return {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | more


def authority(folder: Path, service: str, namespace: str, also: Iterable[str] = ()) -> Authority:
    """Make an authority in a folder and the certificate of a Service, `tls.crt` and `tls.key`.

    Args:
        folder: where; the authority's certificate is `ca.crt`.
        service: name of the Service.
        namespace: of the Service.
        also: further names of the certificate, `IP:...` and `DNS:...`.
    """
    made = Authority(folder)
    made.create()
    names = (f"DNS:{service}.{namespace}.svc", f"DNS:{service}.{namespace}.svc.cluster.local")
    made.issue("tls", service, alternatives=(*names, *also))
    return made


def service_account(cluster: Access, namespace: str, name: str) -> Path:
    """Return a kubeconfig under which a program has the rights of a service account, and no others."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return cluster.user(f"system:serviceaccount:{namespace}:{name}", groups)


def serving_flags(kubeconfig: Path, certificates: Path, address: str, itself: str = "lister-kubeconfig") -> list[str]:
    """Return the flags that every aggregated API server has: where it listens, and as whom it asks the API server.

    Args:
        kubeconfig: of its service account.
        certificates: folder with `tls.crt` and `tls.key`.
        address: where it listens, at `PORT`.
        itself: its flag for the kubeconfig of its own requests; k8s.io/apiserver has only those of delegated decisions.
    """
    asks = (itself, "authentication-kubeconfig", "authorization-kubeconfig")
    return [
        *(f"--{flag}={kubeconfig}" for flag in asks),
        *(f"--bind-address={address}", f"--secure-port={PORT}"),
        *(f"--tls-cert-file={certificates}/tls.crt", f"--tls-private-key-file={certificates}/tls.key"),
    ]


def apply(cluster: Access, objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects with kubectl."""
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


def register(
    cluster: Access, apis: Iterable[str], service: str, namespace: str, address: str, certificate: Path
) -> None:
    """Make the APIServices of a program that answers already, and wait until all are Available.

    One that is made before its program runs is asked again ever more rarely, up to every 30 s.

    Args:
        cluster: where.
        apis: `VERSION.GROUP`, which is also the name of an APIService.
        service: name of the Service; it is made.
        namespace: of the Service; it exists.
        address: of the program, which listens at `PORT`.
        certificate: of the authority that signed the program's.

    Raises:
        ClusterError: one did not become Available; the message has the reason of its condition.
    """
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    made = gateway_api.service(service, namespace, address, {"https": PORT}, front=443)
    apply(cluster, [*made, *(_api_service(api, service, namespace, bundle) for api in apis)])
    wait_available(cluster, apis)


def wait_available(cluster: Access, apis: Iterable[str], *, available: bool = True) -> None:
    """Wait until APIServices are Available, or are not any more.

    Raises:
        ClusterError: they are not, in time; the message has the conditions.
    """
    names, wanted = list(apis), str(available)
    try:
        wait_for(
            lambda: all(condition(cluster, name).get("status") == wanted for name in names),
            f"APIServices {' '.join(names)} Available={wanted}",
            _AVAILABLE_SECONDS,
            every=0.1,
        )
    except ClusterError as error:
        raise ClusterError(f"{error}: {[condition(cluster, name) for name in names]}") from error


def condition(cluster: Access, api: str) -> dict[str, str]:
    """Return the condition Available of an APIService (status, reason, message); empty if there is none."""
    told = cluster.kubectl("get", "apiservice", api, "-o", "json", check=False)
    conditions = json.loads(told).get("status", {}).get("conditions", []) if told.startswith("{") else []
    return next((one for one in conditions if one["type"] == "Available"), {})


def unregister(cluster: Access, apis: Iterable[str], service: str, namespace: str) -> None:
    """Remove APIServices and their Service; harmless if they are gone.

    One that stays without its program keeps every namespace of the cluster from being deleted.
    """
    cluster.kubectl("delete", "--ignore-not-found", *(f"apiservice/{api}" for api in apis))
    rest = (f"service/{service}", f"endpointslice/{service}-machine")
    cluster.kubectl("delete", "--ignore-not-found", "--namespace", namespace, *rest)


def raw(cluster: Access, path: str) -> dict[str, Any]:
    """Return what the API server answers at a path.

    Raises:
        ClusterError: it answered an error; the message has it.
    """
    answer: dict[str, Any] = json.loads(cluster.kubectl("get", "--raw", path))
    return answer


def amount(quantity: str) -> float:
    """Return a Kubernetes quantity of a metric as a number; `500m` is 0.5."""
    scales = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    scales |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
    number = quantity.rstrip("numkMGTi")
    return float(number) * scales.get(quantity[len(number) :], 1.0)


def _api_service(api: str, service: str, namespace: str, bundle: str) -> dict[str, Any]:
    version, _, group = api.partition(".")
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": api},
        "spec": {
            "group": group,
            "version": version,
            "service": {"name": service, "namespace": namespace, "port": 443},
            "caBundle": bundle,
            "groupPriorityMinimum": 100,
            "versionPriority": 200
            if version == "v1beta2"
            else 100,  # as the adapter's chart and its documentation have it
        },
    }
