"""A cluster for pure tests: what an API server and its controllers make of a plan, without either."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.cluster.apply import Action, needed, stamped
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import REPLICAS_OWNERS, Availability, Mesh, Observed
from pantala.planner.plan import Plan, plan
from pantala.planner.report import Report, report
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

UID = "6f1c3f3e-0000-4000-8000-000000000000"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TRITON = {"name": "triton", "startupTimeout": "30m"}


def version(name: str = "v1", **fields: Any) -> Manifest:
    """An entry of `versions` with weights of its own."""
    return {"name": name, "uri": f"s3://models/resnet/{name}/", **fields}


def model(
    *versions: Manifest, name: str = "resnet", annotations: dict[str, str] | None = None, **spec: Any
) -> Manifest:
    """A model as the API server stores it, defaults included."""
    base = {
        "runtime": TRITON,
        "distribution": {"mode": "Direct"},
        "scaling": {"minReplicas": 1},
        "versions": list(versions) or [version()],
    }
    meta = {"name": name, "namespace": "vision", "uid": UID, "generation": 1, "resourceVersion": "1"}
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": meta, "spec": {**base, **spec}}


class World:
    """One model and its children; `step` plans and carries the plan out, as the operator would."""

    def __init__(self, obj: Manifest, settings: Settings | None = None) -> None:
        self.model = obj
        self.settings = settings or Settings()
        self.children: dict[Ref, Manifest] = {}
        self.pods: list[Manifest] = []
        self.now = NOW
        self.mesh = Mesh.NONE
        self.nodes: tuple[Manifest, ...] | None = None
        self.claim_templates = Availability.SERVED
        self.scaled_objects = Availability.SERVED
        self.service_monitors = Availability.SERVED

    def seen(self) -> Observed:
        """What the operator would observe."""
        return Observed(
            self.model,
            copy.deepcopy(self.children),
            tuple(self.pods),
            self.mesh,
            nodes=self.nodes,
            claim_templates=self.claim_templates,
            scaled_objects=self.scaled_objects,
            service_monitors=self.service_monitors,
        )

    def plan(self) -> Plan:
        """The plan, without carrying it out."""
        return plan(InferenceModel.read(self.model), self.seen(), self.settings, self.now)

    def step(self) -> list[str]:
        """One pass; the writes that it took, as `create Service vision/resnet`."""
        todo = self.plan()
        writes = []
        for manifest in todo.apply:
            desired = stamped(manifest)
            ref = Ref.of(desired)
            action = needed(desired, self.children.get(ref))
            if action is not Action.NOTHING:
                writes.append(f"{action.value} {ref}")
                self._store(ref, desired)
        for obj in todo.delete:
            writes.append(f"delete {Ref.of(obj)}")
            del self.children[Ref.of(obj)]
        return writes

    def settle(self) -> list[str]:
        """Passes until one writes nothing."""
        writes = []
        for _ in range(10):
            more = self.step()
            if not more:
                return writes
            writes += more
        raise AssertionError(f"it never ends: {writes}")

    def report(self, *problems: Problem, now: datetime = NOW) -> Report:
        """The report after a pass, kept as the model's status."""
        found = report(InferenceModel.read(self.model), self.seen(), self.plan(), problems, now)
        self.model = {**self.model, "status": found.status}
        return found

    def edit(self, obj: Manifest) -> None:
        """The user applies another spec."""
        meta = {**obj["metadata"], "generation": self.model["metadata"]["generation"] + 1}
        self.model = {**obj, "metadata": meta, "status": self.model.get("status", {})}

    def deployment(self, name: str = "v1") -> Manifest:
        """The Deployment of a version."""
        return self.children[Ref("Deployment", "vision", f"resnet-{name}")]

    def names(self, kind: str = "Deployment") -> set[str]:
        """Names of the children of a kind."""
        return {ref.name for ref in self.children if ref.kind == kind}

    def stable(self) -> str | None:
        """The version that the model's Service selects."""
        return self.seen().stable

    def roll_out(self, *names: str) -> None:
        """The Deployment controller and the kubelet do their work: pods are there and ready."""
        for name in names:
            live = self.deployment(name)
            wanted = live["spec"].get("replicas", 1)
            generation = live["metadata"]["generation"]
            live["status"] = {"observedGeneration": generation} | dict.fromkeys(
                ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted
            )
            self.pods = [pod for pod in self.pods if pod["metadata"]["labels"][naming.LABEL_VERSION] != name]
            self.pods += [ready_pod(name, number) for number in range(wanted)]

    def crowd(self, count: int, letter: str) -> None:
        """So many further pods of each version, each telling as much as it can."""
        names, first = [it["name"] for it in self.model["spec"]["versions"]], len(self.pods)
        self.pods += [full_pod(name, first + number, letter) for name in names for number in range(count)]

    def scale(self, name: str, replicas: int, manager: str = "kube-controller-manager") -> None:
        """Somebody patches the scale of a Deployment."""
        live = self.deployment(name)
        live["spec"]["replicas"] = replicas
        live["metadata"][REPLICAS_OWNERS] = [manager]

    def _store(self, ref: Ref, desired: Manifest) -> None:
        """Server-side apply, with the defaults that matter to the planner."""
        old = self.children.get(ref, {})
        made = copy.deepcopy(desired)
        meta = old.get("metadata", {})
        same = old.get("spec") == made.get("spec")
        made["metadata"]["generation"] = meta.get("generation", 0) + (0 if same else 1)
        made["status"] = old.get("status", {})
        if ref.kind == "Deployment":
            owners = set(meta.get(REPLICAS_OWNERS, ()))
            if "replicas" in made["spec"]:
                changed = made["spec"]["replicas"] != old.get("spec", {}).get("replicas")
                owners = {naming.FIELD_MANAGER} if changed else owners | {naming.FIELD_MANAGER}
            else:
                owners -= {naming.FIELD_MANAGER}
                made["spec"]["replicas"] = old["spec"]["replicas"] if owners else 1
            made["metadata"][REPLICAS_OWNERS] = sorted(owners)
        self.children[ref] = made


def ready_pod(name: str, number: int = 0, **told: Any) -> Manifest:
    """A pod of a version that answers, with the account of its fetcher."""
    account = {"fingerprint": "sha256:ab", "files": 2, "bytes": {"origin": 10, "peer": 0, "cache": 0}, "seconds": 1.5}
    return {
        "metadata": {
            "name": f"resnet-{name}-{number}",
            "labels": naming.labels("resnet", name),
            "creationTimestamp": f"2026-01-02T03:{number:02}:00Z",
        },
        "spec": {"nodeName": f"node-{number}"},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": f"2026-01-02T03:{number:02}:{second:02}Z"}
                for kind, second in (("PodScheduled", 1), ("ContainersReady", 19), ("Ready", 19))
            ],
            "initContainerStatuses": [
                {
                    "name": "fetch",
                    "restartCount": 0,
                    "state": {
                        "terminated": {
                            "exitCode": 0,
                            "startedAt": f"2026-01-02T03:{number:02}:04Z",
                            "finishedAt": f"2026-01-02T03:{number:02}:06Z",
                            "message": json.dumps(account | told),
                        }
                    },
                    "ready": True,
                }
            ],
            "containerStatuses": [
                {
                    "name": "server",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": f"2026-01-02T03:{number:02}:07Z"}},
                }
            ],
        },
    }


FULL_PROBLEMS = {
    letter: (Problem(Reason.REJECTED, letter * 4096),) * 16 for letter in ("x", "\N{PILE OF POO}", '"', "\x1b")
}
"""Problems in the longest words, by the character that the words are made of: some take six bytes in JSON."""


def full_world(letter: str) -> World:
    """A model with as many versions as can be, in the longest words; `crowd` adds pods."""
    names = [f"v{number:02}-{'x' * 16}" for number in range(16)]
    runtime: dict[str, Any] = {"name": "triton", "startupTimeout": "30m", "image": "i" * 512}
    many = [version(name, runtime=runtime, uri=letter * 1024) for name in names]
    world = World(model(*many, traffic={"target": names[0]}))
    world.settle()
    return world


def full_pod(name: str, number: int, letter: str) -> Manifest:
    """A pod of which as much as can be is told, in the longest words."""
    pod = ready_pod(
        name,
        number,
        files=2**63 - 1,
        bytes=dict.fromkeys(("origin", "peer", "local", "cache", "proxy"), 2**63 - 1),
        direct=2**63 - 1,
        parents={f"{host}{'h' * 79}": 2**63 - 1 for host in "abcd"},
        retries=2**63 - 1,
        fallback=letter * 4096,
        fingerprint=f"{number % 2}" + "f" * 79,
        seconds=3600 * 99_999 - 0.001,
    )
    pod["metadata"]["name"] = f"{name}-{number:03}".ljust(253, "p")
    pod["spec"]["nodeName"] = "n" * 253
    pod["metadata"]["creationTimestamp"] = f"2026-01-02T03:{number % 60:02}:00Z"
    return pod
