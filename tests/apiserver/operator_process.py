"""The real operator process, with its own user and its own rights, and a namespace for it to work in."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes.config import new_client_from_config

from tests.apiserver.api_proxy import ApiProxy
from tests.apiserver.models import Api
from tests.cluster import Cluster, build
from tests.cluster.process import free_port, wait_for

CHART = Path(__file__).parents[2] / "charts" / "pantala"
PATIENCE = 180.0
"""Deadline in seconds for what takes seconds on an idle machine."""
PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "ScaledObject": "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects",
    "InferenceModel": "/apis/pantala.dev/v1alpha1/namespaces/{}/inferencemodels",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Event": "/apis/events.k8s.io/v1/namespaces/{}/events",
    "ResourceClaim": "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaims",
    "ResourceClaimTemplate": "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaimtemplates",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
}
CHILDREN = ("Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "HorizontalPodAutoscaler")


class Operator:
    """One process of `pantala operator`."""

    def __init__(
        self, kubeconfig: Path, log: Path, *arguments: str, namespaces: Sequence[str] = (), identity: str = ""
    ) -> None:
        self.port = free_port()
        self.log = log
        watch = [part for namespace in namespaces for part in ("--namespace", namespace)]
        command = [str(Path(sys.executable).with_name("pantala")), "operator", "--kubeconfig", str(kubeconfig)]
        command += ["--port", str(self.port), "--address", "127.0.0.1", "--log-format", "plain", *watch, *arguments]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                # so that it dies with the tests, however those end
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **({"POD_NAME": identity} if identity else {})},
            )

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP port; (0, "") while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def leads(self) -> bool:
        """Whether it is the active one."""
        return "pantala_leader 1.0" in self.get("/metrics")[1]

    def metric(self, start: str) -> float:
        """The sum of the samples whose line begins so."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))

    def wait(self, what: str = "/readyz") -> Self:
        """Until it is ready (`/readyz`), or the active one (`leader`)."""
        ready = (lambda: self.leads) if what == "leader" else (lambda: self.get(what)[0] == 200)
        wait_for(ready, f"operator {what}; its log: {self.log}", PATIENCE, self.check)
        return self

    def check(self) -> None:
        """Raise if it ended."""
        assert self.process.poll() is None, f"the operator ended: {self.log.read_text()[-4000:]}"

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


class Space:
    """A namespace of the real API server, and what tests look at in it."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name

    def path(self, kind: str, name: str = "", sub: str = "") -> str:
        """URL path of a collection or an object."""
        return "/".join(part for part in (PATHS[kind].format(self.name), name, sub) if part)

    def get(self, kind: str, name: str) -> Any:
        """An object, or None."""
        found = self.api.call("GET", self.path(kind, name))
        return None if found.get("kind", "Status") == "Status" else found  # no kind: the API serves none

    def list(self, kind: str, **labels: str) -> list[Any]:
        """Objects of a kind by labels (`model` and `version` are ours)."""
        selector = ",".join(f"pantala.dev/{key}={value}" for key, value in labels.items())
        found: list[Any] = self.api.call("GET", self.path(kind), labelSelector=selector)["items"]
        return found

    def children(self, model: str) -> set[str]:
        """Kind/name of all children of a model."""
        return {f"{kind}/{it['metadata']['name']}" for kind in CHILDREN for it in self.list(kind, model=model)}

    def create(self, kind: str, obj: Any) -> Any:
        """Create an object."""
        made = self.api.call("POST", self.path(kind), obj)
        assert made["kind"] != "Status", made
        return made

    def patch(self, kind: str, name: str, body: Any, sub: str = "", **query: str) -> Any:
        """A merge patch."""
        done = self.api.call("PATCH", self.path(kind, name, sub), body, content="application/merge-patch+json", **query)
        assert done["kind"] != "Status", done
        return done

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self.api.call("DELETE", self.path(kind, name))

    def model(self, name: str, **spec: Any) -> Any:
        """Create a model with one version of Triton unless told otherwise."""
        return self.create("InferenceModel", manifest(name, **spec))

    def status(self, name: str) -> Any:
        """Status of a model; {} while there is none."""
        return (self.get("InferenceModel", name) or {}).get("status", {})

    def condition(self, name: str, kind: str) -> Any:
        """A condition of a model; {} while there is none."""
        return next((it for it in self.status(name).get("conditions", ()) if it["type"] == kind), {})

    def is_ready(self, name: str, version: str = "v1") -> bool:
        """Whether a model says that a version answers and nothing is left to do."""
        kinds = {it["type"]: it["status"] for it in self.status(name).get("conditions", ())}
        settled = "Reconciling" not in kinds and "Stalled" not in kinds
        current = self.get("InferenceModel", name)["metadata"]["generation"] == self.status(name).get(
            "observedGeneration"
        )
        return kinds.get("Ready") == "True" and settled and current and self.status(name)["version"] == version

    def wait_ready(self, name: str, version: str = "v1") -> None:
        """Wait for `is_ready`."""
        self.wait(lambda: self.is_ready(name, version), f"{name}: {version} ready")

    def wait(self, condition: Any, what: str, seconds: float = PATIENCE) -> None:
        """Wait for a condition."""
        wait_for(lambda: bool(condition()), what, seconds)


def manifest(name: str, **spec: Any) -> Any:
    """A model with one version of Triton unless told otherwise."""
    base = {"runtime": {"name": "triton"}, "versions": [{"name": "v1", "uri": "s3://models/m/1/"}]}
    return {
        "apiVersion": "pantala.dev/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


def grant(cluster: Cluster, api: Api, user: str, release: str, namespace: str, watch: Sequence[str] = ()) -> None:
    """Give a user the rights that the chart gives to the operator, and no others."""
    helm = build.ensure(["helm"])["helm"]
    command = [str(helm), "template", release, str(CHART), "--namespace", namespace, "--kube-version", "1.36.0"]
    command += (
        ["--show-only", "templates/rbac.yaml", "--set", f"watchNamespaces={{{','.join(watch)}}}"]
        if watch
        else [
            "--show-only",
            "templates/rbac.yaml",
        ]
    )
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    objects = [obj for obj in yaml.safe_load_all(made) if obj]
    for obj in objects:
        if obj["kind"].endswith("Binding"):
            obj["subjects"] = [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]
        for rule in obj.get("rules", ()):
            if "resourceNames" in rule:
                rule["resourceNames"] = ["pantala-operator"]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


class Installation:
    """Namespaces, a user with the chart's rights in them, a proxy, and operators that run as this user."""

    def __init__(
        self, cluster: Cluster, api: Api, folder: Path, *, namespaces: int = 1, everywhere: bool = False
    ) -> None:
        self.cluster, self.api, self.folder = cluster, api, folder
        mark = secrets.token_hex(3)
        self.names = [f"t-{mark}-{number}" for number in range(namespaces)]
        for name in self.names:
            api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.spaces = [Space(api, name) for name in self.names]
        self.space = self.spaces[0]
        self.everywhere = everywhere
        self.user = f"pantala-{mark}"
        grant(cluster, api, self.user, f"op-{mark}", self.names[0], () if everywhere else self.names)
        self.proxy = ApiProxy(cluster.user(self.user))
        self.kubeconfig = self.proxy.kubeconfig(folder / f"{mark}.kubeconfig")
        self.operators: list[Operator] = []

    def start(self, *arguments: str, identity: str = "") -> Operator:
        """Start an operator; `wait` on it. One with the identity of a killed one takes its Lease over at once."""
        log = self.folder / f"operator-{len(self.operators)}.log"
        watch = () if self.everywhere else self.names
        arguments = ("--lease-namespace", self.names[0], *arguments)
        operator = Operator(self.kubeconfig, log, *arguments, namespaces=watch, identity=identity)
        self.operators.append(operator)
        return operator

    def stop(self) -> None:
        """End the operators and delete the namespaces."""
        for operator in self.operators:
            operator.kill()
        self.proxy.stop()
        for name in self.names:
            self.api.call("DELETE", f"/api/v1/namespaces/{name}")

    def __enter__(self) -> Self:
        """Return the installation."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.stop()


@contextlib.contextmanager
def api_of(cluster: Cluster) -> Iterator[Api]:
    """The API server of a cluster with the CRD installed."""
    with new_client_from_config(str(cluster.kubeconfig)) as client:
        api = Api(client)
        api.install()
        yield api
