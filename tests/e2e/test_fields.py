"""Every field of the resource is changed once, and its effect seen in a running pod, its Deployment or its server."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pantala.runtimes.images import TRITON
from tests.cluster.addons import models
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e import fields
from tests.e2e.fields import Change
from tests.e2e.support import BUCKET, Space, accepts, termination
from tests.e2e.test_fields_cards import RUNNING, WAITING

pytestmark = pytest.mark.e2e

PORT = 8700
SERVER = {
    "name": "custom",
    "image": TRITON,
    "custom": {"port": PORT, "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/models"]},
}
"""The smallest server there is, for what all servers have in common."""
QUICK = {"spec": {"terminationGracePeriodSeconds": 2}}
_INSIDE = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "env": dict(os.environ),
    "command": open("/proc/1/cmdline").read().split("\\0"), "seccomp": int(status["Seccomp"]),
    "mounts": {line.split()[1]: line.split()[2:4] for line in open("/proc/mounts")},
    "labels": os.path.exists("/srv/labels.txt") and open("/srv/labels.txt").read(),
}))
"""


@dataclass(frozen=True)
class Seen:
    """A model's version as the cluster runs it."""

    space: Space
    name: str

    @cached_property
    def pod(self) -> dict[str, Any]:
        """Its only pod."""
        (pod,) = self.space.pods(self.name, "v1")
        return pod

    @cached_property
    def deployment(self) -> dict[str, Any]:
        """Its Deployment."""
        return self.space.get("deployment", f"{self.name}-v1")

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Spec of the pod."""
        found: dict[str, Any] = self.pod["spec"]
        return found

    @cached_property
    def running(self) -> dict[str, Any]:
        """What the kubelet says of the server's container."""
        (status,) = self.pod["status"]["containerStatuses"]
        return dict(status)

    @cached_property
    def inside(self) -> dict[str, Any]:
        """What the server's container sees of itself."""
        return dict(json.loads(self._exec(_INSIDE)))

    @cached_property
    def triton(self) -> dict[str, Any]:
        """What Triton says of the model's configuration and of its log; empty under the name that it does not have."""
        # this very pod: for a second the NodePort may still lead to the one before it
        url = f"http://{self.pod['status']['podIP']}:8000"
        found = {
            name: json.loads(http("GET", f"{url}/v2/models/{name}/config")[2]) for name in (self.name, "other_name")
        }
        return found | {"log": json.loads(http("GET", f"{url}/v2/logging")[2])}

    def torchserve(self, model: str) -> dict[str, Any]:
        """What TorchServe's management API, inside of the pod, says of a model."""
        code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8081/models/{model}').read().decode())"
        return dict(json.loads(self._exec(code))[0])

    def _exec(self, code: str) -> str:
        return self.space.kubectl("exec", self.pod["metadata"]["name"], "-c", "server", "--", "python3", "-c", code)


TERM = {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}}
SPREAD = {
    "maxSkew": 5,
    "topologyKey": "kubernetes.io/os",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {
        "matchLabels": {"team": "vision"},
        "matchExpressions": [{"key": "team", "operator": "In", "values": ["vision"]}],
    },
    "matchLabelKeys": ["pod-template-hash"],
    "minDomains": 1,
    "nodeAffinityPolicy": "Ignore",
    "nodeTaintsPolicy": "Honor",
}
TOLERATION = {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute", "tolerationSeconds": 300}
ENV = [
    {"name": "PLAIN", "value": "plain"},
    {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "words", "key": "word", "optional": False}}},
    {"name": "NO_SECRET", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "word", "optional": True}}},
    {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "word", "optional": False}}},
    {"name": "NO_MAP", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "word", "optional": True}}},
    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
]


def _environment(seen: Seen) -> bool:
    env = seen.inside["env"]
    wanted = {"PLAIN": "plain", "SECRET": "secret", "MAP": "map", "NODE": seen.spec["nodeName"], "MEMORY": "300"}
    return wanted.items() <= env.items() and not {"NO_SECRET", "NO_MAP"} & set(env)


def _spread(seen: Seen) -> bool:
    (found,) = seen.spec.get("topologySpreadConstraints") or [{}]
    # the API server merges matchLabelKeys into the selector of the pod
    selector = found.get("labelSelector", {})
    pairs = {key: value for key, value in SPREAD.items() if key != "labelSelector"}
    return pairs.items() <= found.items() and selector.get("matchLabels") == {"team": "vision"}


POD = [
    Change("runtime.args", ["--bind", "0.0.0.0"], lambda seen: "--bind" in seen.inside["command"]),
    Change("runtime.env", ENV, _environment),
    Change("resources.requests", {"cpu": "21m", "memory": "64Mi"},
           lambda seen: seen.running.get("allocatedResources") == {"cpu": "21m", "memory": "64Mi"}),
    Change("resources.limits", {"memory": "300Mi"},
           lambda seen: seen.running["resources"].get("limits") == {"memory": "300Mi"}),
    Change("template.metadata.labels", {"team": "vision"}, lambda seen: seen.pod["metadata"]["labels"].get("team") == "vision"),
    Change("template.metadata.annotations", {"example.com/a": "b"},
           lambda seen: seen.pod["metadata"].get("annotations", {}).get("example.com/a") == "b"),
    Change("template.spec.nodeSelector", {"kubernetes.io/os": "linux"},
           lambda seen: seen.spec.get("nodeSelector") == {"kubernetes.io/os": "linux"}),
    Change("template.spec.tolerations", [TOLERATION], lambda seen: TOLERATION in seen.spec["tolerations"]),
    Change("template.spec.affinity.nodeAffinity",
           {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
               {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}},
           lambda seen: "requiredDuringSchedulingIgnoredDuringExecution" in seen.spec.get("affinity", {}).get("nodeAffinity", {})),
    Change("template.spec.affinity.podAffinity", {"preferredDuringSchedulingIgnoredDuringExecution": [TERM]},
           lambda seen: "podAffinity" in seen.spec.get("affinity", {})),
    Change("template.spec.affinity.podAntiAffinity", {"preferredDuringSchedulingIgnoredDuringExecution": [TERM]},
           lambda seen: "podAntiAffinity" in seen.spec.get("affinity", {})),
    Change("template.spec.topologySpreadConstraints", [SPREAD], _spread),
    Change("template.spec.priorityClassName", "fields", lambda seen: seen.spec["priority"] == 1234),
    Change("template.spec.serviceAccountName", "fields", lambda seen: seen.spec["serviceAccountName"] == "fields"),
    Change("template.spec.imagePullSecrets", [{"name": "registry"}],
           lambda seen: seen.spec.get("imagePullSecrets") == [{"name": "registry"}]),
    Change("template.spec.runtimeClassName", "fields", lambda seen: seen.spec.get("runtimeClassName") == "fields"),
    Change("template.spec.securityContext",
           {"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456, "fsGroupChangePolicy": "OnRootMismatch",
            "supplementalGroups": [44]},
           lambda seen: (seen.inside["uid"], seen.inside["gid"]) == (1234, 2345)
           and {3456, 44} <= set(seen.inside["groups"])
           and seen.spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"),
    Change("template.spec.volumes", [{"name": "words", "configMap": {"name": "words"}}],
           lambda seen: "words" in {volume["name"] for volume in seen.spec["volumes"]}),
    Change("template.spec.volumeMounts",
           [{"name": "words", "mountPath": "/srv/labels.txt", "subPath": "word", "readOnly": True}],
           lambda seen: seen.inside["labels"] == "map" and seen.inside["mounts"]["/srv/labels.txt"][1].startswith("ro")),
    Change("template.spec.terminationGracePeriodSeconds", 3, lambda seen: seen.spec["terminationGracePeriodSeconds"] == 3),
    Change("storage.cache", {"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
           lambda seen: seen.inside["mounts"]["/models"][0] == "tmpfs" and "size=65536k" in seen.inside["mounts"]["/models"][1]),
    Change("update", {"maxSurge": "50%", "maxUnavailable": 1},
           lambda seen: seen.deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "50%", "maxUnavailable": 1}),
]  # fmt: skip
ROOT = [
    Change("template.spec.securityContext",
           {"runAsUser": 0, "runAsNonRoot": False, "seccompProfile": {"type": "Unconfined"}},
           lambda seen: seen.inside["uid"] == 0 and seen.inside["seccomp"] == 0),
]  # fmt: skip
TRITON_FIELDS = [
    Change("modelName", "other_name", lambda seen: seen.triton["other_name"].get("name") == "other_name"),
    Change("runtime.image", "docker.io/pantala/other:1", lambda seen: seen.spec["containers"][0]["image"] == "docker.io/pantala/other:1"),
    Change("runtime.args", ["--log-verbose=1"], lambda seen: seen.triton["log"]["log_verbose_level"] == 1),
    Change("runtime.config", {"log-info": "true"}, lambda seen: seen.triton["log"]["log_info"] is True),
    Change("runtime.workers", 2, lambda seen: _named(seen).get("instance_group", [{}])[0].get("count") == 2),
    Change("runtime.batching", {"maxSize": 8, "maxDelay": "30ms"},
           lambda seen: _named(seen).get("max_batch_size") == 8
           and _named(seen)["dynamic_batching"]["max_queue_delay_microseconds"] == 30000),
    Change("runtime.startupTimeout", "47s",
           lambda seen: seen.deployment["spec"]["progressDeadlineSeconds"] == 47
           and seen.spec["containers"][0]["startupProbe"]["failureThreshold"] == 24),
]  # fmt: skip
TORCHSERVE_FIELDS = [
    Change("runtime.name", "torchserve", lambda found: found["modelName"] == "torch"),
    Change("runtime.workers", 2, lambda found: (found["minWorkers"], len(found["workers"])) == (2, 2)),
    Change("runtime.batching", {"maxSize": 4, "maxDelay": "25ms"},
           lambda found: (found["batchSize"], found["maxBatchDelay"]) == (4, 25)),
    Change("runtime.startupTimeout", "33m", lambda found: found["startupTimeout"] == 33 * 60),
    Change("runtime.config", {"job_queue_size": "77", "default_response_timeout": "333"}, lambda found: found["jobQueueStatus"]["remainingCapacity"] == 77 and found["responseTimeout"] == 333),
]  # fmt: skip
BEHAVIOR = {
    "scaleUp": {"stabilizationWindowSeconds": 7, "selectPolicy": "Min",
                "policies": [{"type": "Pods", "value": 3, "periodSeconds": 17}]},
    "scaleDown": {"stabilizationWindowSeconds": 8, "selectPolicy": "Disabled",
                  "policies": [{"type": "Percent", "value": 30, "periodSeconds": 18}]},
}  # fmt: skip
SCALING = [
    Change("scaling.minReplicas", 2, lambda hpa: hpa["minReplicas"] == 2),
    Change("scaling.maxReplicas", 3, lambda hpa: hpa["maxReplicas"] == 3),
    Change("scaling.metrics", [{"type": "CPUUtilization", "target": 65}],
           lambda hpa: [(it["containerResource"]["name"], it["containerResource"]["target"]["averageUtilization"])
                        for it in hpa["metrics"]] == [("cpu", 65)]),
    Change("scaling.behavior", BEHAVIOR, lambda hpa: hpa["behavior"] == BEHAVIOR),
]  # fmt: skip
EXPOSE = [
    Change("expose.nodePort", {"http": 31987, "grpc": 31988}, lambda ports: ports == {"http": 31987, "grpc": 31988})
]
PAUSED = [Change(path="paused", value=True, seen=lambda reason: reason == "Paused")]
PENDING = [
    Change("accelerator", {"provider": "nvidia", "count": 2},
           lambda pod: pod["spec"]["containers"][0]["resources"].get("limits") == {"nvidia.com/gpu": "2"}),
    Change("template.spec.schedulerName", "nobody", lambda pod: pod["spec"]["schedulerName"] == "nobody"),
]  # fmt: skip
PROFILE = [
    Change("template.spec.securityContext.seccompProfile", {"type": "Localhost", "localhostProfile": "no/such.json"},
           lambda pod: "no/such.json" in json.dumps(pod["status"])),
]  # fmt: skip
STORE = [
    Change("storage.endpoint", "another", lambda text: text == b"another"),
    Change("storage.region", "eu-west-7", lambda text: text == b"another"),
    Change("storage.secretRef", {"name": "another"}, lambda text: text == b"another"),
]
OWN = [
    Change("versions[].name", "v1", lambda found: found),
    Change("versions[].uri", "s3://", lambda found: found),
    Change("versions[].digest", "sha256:", lambda found: found),
    *(Change(f"versions[].{block}", {}, lambda found: found) for block in sorted(fields.OWN_BLOCKS)),
]
"""These are checked by `test_a_version_replaces_blocks_whole`, which has to know more than one value at a time."""
ELSEWHERE = {
    "storage.cache.pvc.claimName": "test_triton.py::test_a_cache_outlives_the_pod",
    "storage.cache.hostPath.path": "test_node_cache.py::test_two_replicas_have_one_copy",
    "storage.cache.hostPath.maxAge": "test_node_cache.py::test_only_what_nobody_uses_is_removed",
    "storage.cache.hostPath.maxSize": "test_node_cache.py::test_the_limit_makes_room",
    **dict.fromkeys(
        (f"distribution.{name}" for name in ("mode", "fallback", "fallbackAfter")),
        "p2p/test_p2p_fields.py::test_mode_fallback_and_patience",
    ),
    **dict.fromkeys(
        (f"distribution.proxy.{name}" for name in ("port", "headers", "filters")),
        "p2p/test_p2p_fields.py::test_port_headers_and_filters_of_the_proxy",
    ),
    **dict.fromkeys(
        ("scaling.engine", *(f"scaling.prometheus[].{name}" for name in ("name", "query", "target", "metricType"))),
        "../apiserver/test_operator_scaling.py::test_fields_that_keda_alone_knows",
    ),
    "traffic.target": "test_replacement.py::test_a_target_that_moves_there_and_back",
    **{f"traffic.split[].{name}": "mesh/test_routes.py::test_split" for name in ("version", "weight")},
    **{f"traffic.mirrors[].{name}": "mesh/test_routes.py::test_mirror" for name in ("version", "percent")},
    **{
        f"traffic.rules[].{name}": "mesh/test_routes.py::test_rules"
        for name in ("name", "version", "prefix", "headers[].name", "headers[].value")
    },
    "traffic.rules[].headers[].type": "../traffic/test_istio_envoy.py::test_rules_come_before_shares",
    "traffic.rollout.keepStable": "mesh/test_routes.py::test_a_target_moves_when_it_is_ready",
    "traffic.timeout": "mesh/test_routes.py::test_timeout",
    **{f"traffic.retries.{name}": "mesh/test_routes.py::test_retries" for name in ("attempts", "retryOn")},
    "traffic.retries.perTryTimeout": "../traffic/test_istio_envoy_bounds.py::test_an_attempt_has_its_own_time",
    **{f"traffic.rateLimit.{name}": "mesh/test_policies.py::test_requests_are_limited" for name in ("requests", "per")},
    **{
        f"traffic.access.{name}": "mesh/test_policies.py::test_sidecars_enforce"
        for name in ("allow[].methods", "deny[].paths")
    },
    **{
        f"traffic.access.{name}": "mesh/test_policies.py::test_lists"
        for name in ("allow[].remoteIpBlocks", "deny[].methods", "deny[].namespaces")
    },
    **{
        f"traffic.access.allow[].{name}": "../traffic/test_sidecar_access.py::test_an_address_and_a_path_must_both_fit"
        for name in ("ipBlocks", "paths")
    },
    "traffic.access.allow[].namespaces": "../traffic/test_sidecar_access.py::test_namespaces_need_mutual_tls",
    "traffic.access.deny[].ipBlocks": "../traffic/test_sidecar_access.py::test_what_is_denied_stays_denied",
    "traffic.access.deny[].remoteIpBlocks": (
        "../traffic/test_sidecar_access.py::test_forwarded_addresses_are_the_word_of_the_client"
    ),
    **{
        f"traffic.authentication.jwt[].{name}": "../traffic/test_sidecar_authentication.py::test_bad_tokens_are_refused"
        for name in ("issuer", "audiences", "jwks")
    },
    "traffic.authentication.jwt[].jwksUri": "mesh/test_policies.py::test_keys_that_the_mesh_reads",
    "traffic.authentication.apiKeys.header": "../traffic/test_sidecar_authentication.py::test_keys_behind_bearer",
    "traffic.authentication.apiKeys.keys[].name": "../traffic/test_sidecar_authentication.py::test_keys",
    "traffic.authentication.apiKeys.keys[].sha256": "mesh/test_policies.py::test_sidecars_enforce",
    **{
        f"traffic.cors.{name}": "../traffic/test_istio_envoy.py::test_preflights"
        for name in ("allowOrigins", "allowMethods", "allowHeaders", "maxAge")
    },
    **{
        f"traffic.cors.{name}": "mesh/test_routes.py::test_pages_of_other_origins"
        for name in ("allowCredentials", "exposeHeaders")
    },
    **{
        f"traffic.headers.{name}": "../traffic/test_gateway_api_envoy.py::test_header_changes"
        for name in ("request.set", "request.add", "request.remove", "response.set", "response.add")
    },
    "traffic.headers.response.remove": "../traffic/test_istio_envoy.py::test_headers_are_set_added_and_removed",
    **{
        f"traffic.limits.{name}": "../traffic/test_istio_envoy_bounds.py::test_overload_is_answered_at_once"
        for name in ("maxConnections", "maxPendingRequests", "maxRequests")
    },
    "traffic.limits.maxBodySize": "mesh/test_policies.py::test_sidecars_enforce",
    **{
        f"traffic.outlierDetection.{name}": "../traffic/test_istio_envoy_bounds.py::test_a_failing_replica_is_left_out"
        for name in ("consecutiveErrors", "interval", "baseEjectionTime")
    },
    "traffic.outlierDetection.maxEjectionPercent": (
        "../traffic/test_istio_envoy_bounds.py::test_all_replicas_are_asked_when_all_are_left_out"
    ),
    "expose.hosts": "mesh/test_hosts.py::test_a_host_belongs_to_who_had_it_first",
    "expose.prefix": "mesh/test_hosts.py::test_prefixes_share_a_host",
    **{
        f"expose.gatewayRef.{name}": "mesh/test_hosts.py::test_a_gateway_that_comes_late"
        for name in ("kind", "namespace", "name")
    },
    **{
        f"expose.loadBalancer.{name}": "mesh/test_hosts.py::test_a_load_balancer"
        for name in ("loadBalancerClass", "sourceRanges", "annotations")
    },
    **dict.fromkeys(
        (
            f"runtime.custom.{name}"
            for name in ("port", "healthPath", "grpcPort", "metricsPort", "metricsPath", "command")
        ),
        "test_custom.py::test_any_image_serves_the_weights",
    ),
}


def _named(seen: Seen) -> dict[str, Any]:
    """The model's configuration, under whichever of its two names it is served."""
    found: dict[str, Any] = next(seen.triton[name] for name in ("other_name", seen.name) if "name" in seen.triton[name])
    return found


@pytest.fixture(scope="module")
def stored(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Space:
    """A space with models in its store and with all that the pods of this module name."""
    folder = tmp_path_factory.mktemp("models")
    batched = models.triton_add(folder, "batched", config=False)
    code = (batched / "1/model.py").read_text()
    # max_batch_size is the resource's to say; without one Triton takes 0
    (batched / "1/model.py").write_text(code.replace("config.set_max_batch_size(0)", "pass"))
    space.s3.put_folder(BUCKET, "batched", batched)
    space.s3.put(BUCKET, "sum.mar", models.torchserve_sum(folder))
    space.s3.put(BUCKET, "plain/word", b"stored")
    name = {"name": "fields"}
    inside = {"name": "words", "namespace": space.namespace}
    objects = [
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": name, "value": 1234},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": name, "handler": "runc"},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**inside, **name}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": inside, "data": {"word": "map"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": inside, "stringData": {"word": "secret"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**inside, "name": "another"},
            "stringData": space.s3.credentials,
        },
    ]
    space.apply_object({"apiVersion": "v1", "kind": "List", "items": objects})
    return space


def _server(space: Space, **changed: Any) -> dict[str, Any]:
    return space.spec("custom", "plain/", **{"runtime": SERVER, "template": QUICK, **changed})


def _rolled(space: Space, name: str, spec: dict[str, Any], old: str = "") -> Seen:
    """Apply a spec and wait until its pods are there and ready, and those before it are not."""
    space.apply(name, spec)
    space.wait_ready(name)
    wait_for(lambda: old not in [pod["metadata"]["name"] for pod in space.pods(name)], "the old pod leaves", 30)
    return Seen(space, name)


def test_fields_of_the_pod(stored: Space) -> None:
    """Fields of the template, resources, environment, cache and update reach the running pod; then root and seccomp do."""
    base = _server(stored)
    before = _rolled(stored, "pod", base)
    assert before.inside["seccomp"] == 2, "RuntimeDefault is a filter"
    for change in POD:
        change.seen(before)  # looks now, while that pod is there
    after = _rolled(stored, "pod", fields.applied(base, POD), before.pod["metadata"]["name"])
    fields.check(POD, before, after)
    root = _rolled(stored, "pod", fields.applied(base, ROOT), after.pod["metadata"]["name"])
    fields.check(ROOT, before, root)
    stored.delete("inferencemodel", "pod")


def test_fields_of_the_servers(stored: Space) -> None:
    """Image, arguments, settings, batching, workers, names and deadlines: the live servers say what they run with."""
    torch = fields.applied(stored.spec("custom", "sum.mar", template=QUICK), TORCHSERVE_FIELDS)
    stored.apply("torch", torch)
    stored.cluster.in_node(
        "ctr", "--namespace", "k8s.io", "images", "tag", "--force", TRITON, "docker.io/pantala/other:1"
    )
    base = stored.spec("triton", "batched/", template=QUICK)
    before = _rolled(stored, "batched", base)
    for change in TRITON_FIELDS:
        change.seen(before)
    after = _rolled(stored, "batched", fields.applied(base, TRITON_FIELDS), before.pod["metadata"]["name"])
    fields.check(TRITON_FIELDS, before, after)
    assert "error" in after.triton["batched"], "it has one name"
    stored.wait_ready("torch")
    found = Seen(stored, "torch").torchserve("torch")
    assert [change.path for change in TORCHSERVE_FIELDS if not change.seen(found)] == []
    for name in ("torch", "batched"):
        stored.delete("inferencemodel", name)


def test_fields_of_the_whole_model(stored: Space) -> None:
    """Node ports are those asked for; a paused model stays as it is; replicas go to the autoscaler and come back."""
    base = _server(stored, resources={"requests": {"cpu": "10m"}})
    base["runtime"] = {**SERVER, "custom": {**SERVER["custom"], "grpcPort": PORT + 1}}
    _rolled(stored, "whole", base)
    reason = lambda: stored.condition("whole", "Accepted")["reason"]  # noqa: E731
    fields.check(EXPOSE, stored.status("whole")["nodePort"], _after(stored, base, EXPOSE)["nodePort"])
    assert accepts(stored.cluster.node_ip, 31987)
    unpaused, held = reason(), fields.applied(base, [*PAUSED, *SCALING])
    stored.apply("whole", held)
    stored.wait_condition("whole", "Accepted", reason="Paused")
    fields.check(PAUSED, unpaused, reason())
    assert stored.get("deployment", "whole-v1")["spec"]["replicas"] == 1
    _after(stored, base, SCALING)
    hpa = stored.get("hpa", "whole-v1")
    fields.check(SCALING, {"minReplicas": 1, "maxReplicas": 1, "metrics": [], "behavior": {}}, hpa["spec"])
    wait_for(lambda: len(stored.pods("whole")) == 2, "the autoscaler's minimum", 60)
    able = lambda: {c["type"]: c["status"] for c in stored.get("hpa", "whole-v1")["status"].get("conditions", ())}  # noqa: E731
    wait_for(lambda: able().get("AbleToScale") == "True", "the autoscaler takes the Deployment", 60)
    assert stored.get("pdb", "whole-v1")["spec"]["maxUnavailable"] == 1
    stored.apply("whole", base)
    wait_for(lambda: stored.get("deployment", "whole-v1")["spec"]["replicas"] == 1, "a fixed number again", 30)
    wait_for(lambda: "whole" not in stored.kubectl("get", "hpa,pdb", "-o", "name"), "no autoscaler is left", 30)
    stored.delete("inferencemodel", "whole")


def _after(space: Space, base: dict[str, Any], changes: list[Change]) -> dict[str, Any]:
    space.apply("whole", fields.applied(base, changes))
    return space.wait_ready("whole")


def test_fields_that_keep_a_pod_waiting(stored: Space) -> None:
    """A pod with cards is Pending where there are none, which the status says, and runs on a node that offers them.

    Another scheduler's pods are left to it; a seccomp profile that is not on the node is asked for all the same.
    """
    stored.apply("cards", fields.applied(_server(stored), PENDING[:1]))
    stored.apply("scheduler", fields.applied(_server(stored), PENDING[1:]))
    stored.apply("profile", fields.applied(_server(stored), PROFILE))
    stored.wait("cards", "names the cards", lambda status: "nvidia.com/gpu" in json.dumps(status))
    wait_for(lambda: PROFILE[0].seen(stored.pods("profile")[0]), "the profile is looked for", 30)
    for change, name in zip(PENDING, ("cards", "scheduler"), strict=True):
        (pod,) = stored.pods(name)
        assert change.seen(pod)
        assert pod["status"]["phase"] == "Pending"
    node = stored.cluster.node_names[0]
    patch = lambda value: stored.cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", json.dumps({"status": {"capacity": {"nvidia.com/gpu": value}}}))  # noqa: E731  # fmt: skip
    patch("4")
    try:
        stored.wait_ready("cards")
        stored.delete("inferencemodel", "cards")
    finally:
        patch(None)
    for name in ("scheduler", "profile"):
        stored.delete("inferencemodel", name)


def test_fields_of_the_store(stored: Space) -> None:
    """Another endpoint, region and Secret: the weights come from the other server, by the other key, and roll out."""
    base = _server(stored)
    before = _rolled(stored, "store", base)
    found = _word(before.pod)
    with S3Server() as other:
        other.create_bucket(BUCKET)
        other.put(BUCKET, "plain/word", b"another")
        changes = [Change("storage.endpoint", other.endpoint_at(stored.cluster.host_ip), STORE[0].seen), *STORE[1:]]
        after = _rolled(stored, "store", fields.applied(base, changes), before.pod["metadata"]["name"])
        fields.check(changes, found, _word(after.pod))
    (fetch,) = after.spec["initContainers"]
    assert "eu-west-7" in fetch["args"]
    assert {one["valueFrom"]["secretKeyRef"]["name"] for one in fetch["env"] if "valueFrom" in one} == {"another"}
    stored.delete("inferencemodel", "store")


def _word(pod: dict[str, Any]) -> bytes:
    """What this very pod serves: the NodePort may still lead to the one before it."""
    return http("GET", f"http://{pod['status']['podIP']}:{PORT}/word")[2]


def test_a_version_replaces_blocks_whole(stored: Space) -> None:
    """A version's own blocks count in place of the shared ones, and its digest is demanded of its weights.

    Direct reads every byte from the store.
    """
    content = hashlib.sha256(b"stored").hexdigest()
    digest = "sha256:" + hashlib.sha256(f"{content}  word\n".encode()).hexdigest()
    base = _server(stored, resources={"limits": {"memory": "200Mi"}}, accelerator={"provider": "nvidia"})
    shared = base.pop("storage")
    version = {
        "name": "v1",
        "uri": f"s3://{BUCKET}/plain/",
        "digest": digest,
        "runtime": {**SERVER, "env": [{"name": "OWN", "value": "own"}]},
        "resources": {"requests": {"memory": "20Mi"}},
        "storage": {**shared, "cache": {"emptyDir": {"sizeLimit": "1Gi"}}},
        "distribution": {"mode": "Direct"},
        "scaling": {"minReplicas": 2},
    }
    cards = {**version, "name": "cards", "accelerator": {"provider": "nvidia", "count": 3}}
    spec = {**base, "runtime": {"name": "triton"}, "versions": [version, cards], "traffic": {"target": "v1"}}
    del spec["accelerator"]
    stored.apply("own", spec)
    stored.wait_ready("own")
    first, second = stored.pods("own", "v1")
    for pod in (first, second):
        (server,) = pod["spec"]["containers"]
        assert server["resources"] == {"requests": {"memory": "20Mi"}}
        assert {"name": "OWN", "value": "own"} in server["env"]
        (weights,) = (volume for volume in pod["spec"]["volumes"] if volume["name"] == "models")
        assert weights["emptyDir"] == {"sizeLimit": "1Gi"}
        assert termination(pod)["digest"] == digest
        assert termination(pod)["bytes"]["origin"] == len(b"stored")
    parked = stored.get("deployment", "own-cards")["spec"]
    assert parked["replicas"] == 0
    assert parked["template"]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "3"}
    stored.delete("inferencemodel", "own")


def test_no_field_is_forgotten() -> None:
    """Every leaf of the CRD's schema is changed above, or by a test elsewhere that is there."""
    tables = [
        *POD,
        *ROOT,
        *TRITON_FIELDS,
        *TORCHSERVE_FIELDS,
        *SCALING,
        *EXPOSE,
        *PAUSED,
        *PENDING,
        *PROFILE,
        *STORE,
        *OWN,
        *(change for changes in (RUNNING | WAITING).values() for change in changes),
    ]
    assert set(fields.leaves()) - fields.touched(tables) - set(ELSEWHERE) == set()
    for reference in ELSEWHERE.values():
        file, _, name = reference.partition("::")
        assert re.search(rf"^def {name}\(", (Path(__file__).parent / file).read_text(), re.MULTILINE)
