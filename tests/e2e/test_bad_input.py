"""Mistakes on a real node: each becomes a condition that names the object and the next step, and passes with its cause.

Every story names the real component that failed; nothing is simulated but a store's answers where that is said. All of
them run at once, beside two good models that must not notice.
"""

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.addons import models
from tests.cluster.addons.faults import FaultProxy, Rule, key_is_not
from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import free_port, wait_for
from tests.e2e.stories import SERVER, Story, Watch, telling
from tests.e2e.support import BUCKET, SECRET, Space

pytestmark = pytest.mark.e2e

Scenario = Callable[[Story], None]
STORIES: dict[str, Scenario] = {}
STORE_KEY = "AKIAPANTALAWRONG0000"
REFUSED_SECRET = "a-secret-key-that-the-store-does-not-know"


def story(function: Scenario) -> Scenario:
    """Note a story under its name."""
    STORIES[function.__name__.replace("_", "-")] = function
    return function


# Secrets and stores.


@story
def missing_secret(at: Story) -> None:
    """The kubelet finds no Secret for the environment of the fetcher; it looks again by itself."""
    at.put()
    at.apply(storage=at.storage(secretRef={"name": "absent"}))
    at.told("SecretMissing", 'secret "absent" not found', "fetch", "Create")
    at.mending()
    secret(at.space, "absent", at.space.s3.credentials)
    at.healed()


@story
def missing_key(at: Story) -> None:
    """The kubelet finds the Secret of the store without one of its keys."""
    at.put()
    secret(at.space, "half", {"AWS_ACCESS_KEY_ID": at.space.s3.access_key})
    at.apply(storage=at.storage(secretRef={"name": "half"}))
    at.told("SecretMissing", "AWS_SECRET_ACCESS_KEY", "[Ss]ecret .*half", "docs/fetcher.md")
    at.mending()
    secret(at.space, "half", at.space.s3.credentials)
    at.healed()


@story
def wrong_digest(at: Story) -> None:
    """The fetcher finds other bytes than the digest promises; the kubelet starts it again and again."""
    right = b"the right weights"
    at.put("weights.bin", b"the wrong weights")
    digest = f"sha256:{hashlib.sha256(right).hexdigest()}"
    uri = f"s3://{BUCKET}/{at.name}/weights.bin"
    at.apply(versions=[{"name": "v1", "uri": uri, "digest": digest}])
    at.told("DigestMismatch", uri, digest, "Upload the right weights, or add a version")
    at.mending()
    at.put("weights.bin", right)
    at.healed()


@story
def unknown_bucket(at: Story) -> None:
    """The store, a real S3 server, knows no such bucket."""
    at.apply(versions=[{"name": "v1", "uri": "s3://later/weights.bin"}])
    at.told("WeightsNotFound", "s3://later/weights.bin", "bucket", "create it")
    at.mending()
    at.space.s3.create_bucket("later")
    at.space.s3.put("later", "weights.bin", b"weights")
    at.healed()


@story
def unknown_object(at: Story) -> None:
    """The store, a real S3 server, has nothing under the key."""
    at.apply(versions=[{"name": "v1", "uri": f"s3://{BUCKET}/{at.name}/weights.bin"}])
    at.told("WeightsNotFound", f"s3://{BUCKET}/{at.name}/weights.bin does not exist", "upload")
    at.mending()
    at.put()
    at.healed()


@story
def unknown_folder(at: Story) -> None:
    """The store, a real S3 server, has nothing in the folder."""
    at.apply()
    at.told("WeightsNotFound", f"s3://{BUCKET}/{at.name}/", "upload")
    at.mending()
    at.put()
    at.healed()


@story
def denied(at: Story) -> None:
    """The store refuses the access key with 403, by a proxy in front of the real one, until the key is granted."""
    at.put()
    secret(at.space, "refused", {"AWS_ACCESS_KEY_ID": STORE_KEY, "AWS_SECRET_ACCESS_KEY": REFUSED_SECRET})
    with FaultProxy(at.space.s3.endpoint) as proxy:
        proxy.add(Rule(status=403, code="AccessDenied", when=key_is_not(at.space.s3.access_key)))
        endpoint = proxy.endpoint_at(at.space.cluster.host_ip)
        at.apply(storage=at.storage(secretRef={"name": "refused"}, endpoint=endpoint))
        at.told("WeightsDenied", f"s3://{BUCKET}/{at.name}/", "AccessDenied", "storage.secretRef")
        at.mending()
        proxy.clear()
        at.healed()


@story
def changed_while_reading(at: Story) -> None:
    """The store gets another object under the key between the fetcher's listing and its reading."""
    at.put("weights.bin", b"old weights")
    with FaultProxy(at.space.s3.endpoint) as proxy:
        changing, looking = threading.Event(), threading.Event()
        path = rf"^/{BUCKET}/{at.name}/weights"
        first = proxy.add(Rule(path=path, method="GET", times=1, wait=changing))
        proxy.add(Rule(path=path, method="GET", wait=looking))  # the next run would be over before anybody looks
        endpoint = proxy.endpoint_at(at.space.cluster.host_ip)
        uri = f"s3://{BUCKET}/{at.name}/weights.bin"
        at.apply(storage=at.storage(endpoint=endpoint), versions=[{"name": "v1", "uri": uri}])
        wait_for(lambda: first.hits > 0, "the fetcher's first read", 60)
        at.put("weights.bin", b"new weights")
        changing.set()
        at.told("WeightsChanged", uri, "was replaced while it was read", "new URI", stalled=False)
        looking.set()
        at.mending()  # by itself: the next run of the fetcher reads one object from its beginning
        at.healed()


@story
def silent_store(at: Story) -> None:
    """Nobody listens at the store's port; the fetcher tries for two minutes before it says so."""
    port = free_port()
    at.apply(storage=at.storage(endpoint=f"http://{at.space.cluster.host_ip}:{port}"))
    at.told("StoreUnavailable", f"s3://{BUCKET}/{at.name}/", "storage.endpoint", stalled=False)
    at.mending()
    with S3Server(port) as late:
        late.create_bucket(BUCKET)
        late.put(BUCKET, f"{at.name}/weights.bin", b"weights")
        at.healed()


@story
def wrong_layout(at: Story) -> None:
    """The fetcher finds no archive in a folder that is to be one for TorchServe."""
    at.put("model.pt")
    at.apply(runtime={"name": "torchserve"})
    at.told("WeightsInvalid", at.name, r"\.mar", "docs/runtimes.md")
    archive = models.torchserve_sum(at.folder, "sum")
    at.mending()
    at.put("sum.mar", archive.read_bytes())
    at.healed()


# What the cluster refuses.


@story
def unknown_image(at: Story) -> None:
    """The container runtime cannot pull the image, because nobody answers at its registry."""
    at.put()
    at.apply(runtime={**SERVER, "image": "127.0.0.1:1/models/server:1"})
    at.told("ImagePullFailed", "127.0.0.1:1/models/server:1", "runtime.image|image's name")
    at.change(runtime=dict(SERVER))
    at.healed()


@story
def missing_gpu(at: Story) -> None:
    """The scheduler finds no node with a card."""
    at.put()
    at.apply(accelerator={"provider": "nvidia", "count": 1})
    at.told("CardsMissing", r"nvidia\.com/gpu", "accelerator", "Add a node", "pantala gpus", stalled=False)
    at.change(accelerator=None)
    at.healed()


@story
def too_large(at: Story) -> None:
    """The scheduler finds no node with so many cores."""
    at.put()
    at.apply(resources={"requests": {"cpu": "500"}})
    at.told("Unschedulable", "Insufficient cpu", "Ask for less in `resources`")
    at.change(resources=None)
    at.healed()


@story
def missing_claim(at: Story) -> None:
    """The scheduler waits for the PersistentVolumeClaim of the cache."""
    at.put()
    at.apply(storage=at.storage(cache={"pvc": {"claimName": "absent-claim"}}))
    at.told("Unschedulable", 'persistentvolumeclaim "absent-claim" not found', "Create the PersistentVolumeClaim")
    at.mending()
    for manifest in volume(at, "absent-claim"):
        at.space.apply_object(manifest)
    at.healed()


@story
def missing_account(at: Story) -> None:
    """The admission of the API server refuses pods of a ServiceAccount that does not exist."""
    at.put()
    at.apply(template={"spec": {"serviceAccountName": "absent-account"}})
    at.told("PodsRejected", "Deployment missing-account-v1", "absent-account", "Create the ServiceAccount")
    at.mending()
    at.space.kubectl("create", "serviceaccount", "absent-account")
    at.healed()


@story
def missing_priority(at: Story) -> None:
    """The admission of the API server refuses pods of a PriorityClass that does not exist."""
    at.put()
    at.apply(template={"spec": {"priorityClassName": "absent-priority"}})
    at.told("PodsRejected", "Deployment missing-priority-v1", "absent-priority", "Create the PriorityClass")
    at.mending()
    at.space.apply_object(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "absent-priority"},
            "value": 1,
        }
    )
    at.healed()
    at.space.delete("priorityclass", "absent-priority")


@story
def beyond_quota(at: Story) -> None:
    """The quota admission of the API server refuses the pod: it asks for more than is left."""
    at.put()
    quota(at, "requests.cpu", "100m")
    at.apply(resources={"requests": {"cpu": "200m"}})
    at.told("QuotaExceeded", "Deployment beyond-quota-v1", "exceeded quota: small", "Raise the ResourceQuota")
    at.mending()
    quota(at, "requests.cpu", "300m")
    at.healed()


@story
def outside_quota(at: Story) -> None:
    """The quota admission of the API server refuses the pod: it does not say what the quota counts."""
    at.put()
    quota(at, "limits.memory", "1Gi")
    at.apply()
    at.told("QuotaExceeded", "Deployment outside-quota-v1", "must specify limits.memory", "Set in `resources`")
    at.change(resources={"limits": {"memory": "512Mi"}})
    at.healed()


@story
def beyond_limit(at: Story) -> None:
    """The LimitRange admission of the API server refuses the pod: its container may use too much."""
    at.put()
    at.space.apply_object(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small", "namespace": at.space.namespace},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "512Mi"}}]},
        }
    )
    at.apply(resources={"limits": {"memory": "1Gi"}})
    at.told("LimitRange", "Deployment beyond-limit-v1", "maximum memory usage per Container is 512Mi", "`resources`")
    at.change(resources={"limits": {"memory": "512Mi"}})
    at.healed()


@story
def pod_security(at: Story) -> None:
    """The Pod Security admission of the API server refuses a pod that runs as root."""
    at.put()
    at.space.kubectl("label", "namespace", at.space.namespace, "pod-security.kubernetes.io/enforce=restricted")
    at.apply(template={"spec": {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}})
    at.told("PodSecurity", "Deployment pod-security-v1", "runAsNonRoot", "`template.spec`", "Pod Security level")
    at.change(template=None)
    at.healed()


@story
def host_path(at: Story) -> None:
    """The Pod Security admission of the API server refuses a volume of the node."""
    at.put()
    at.space.kubectl("label", "namespace", at.space.namespace, "pod-security.kubernetes.io/enforce=baseline")
    volumes = [{"name": "etc", "hostPath": {"path": "/etc"}}]
    mounts = [{"name": "etc", "mountPath": "/host", "readOnly": True}]
    at.apply(template={"spec": {"volumes": volumes, "volumeMounts": mounts}})
    at.told("PodSecurity", "Deployment host-path-v1", "hostPath", "`template.spec`")
    at.mending()
    at.space.kubectl("label", "namespace", at.space.namespace, "pod-security.kubernetes.io/enforce-")
    at.healed()


# Room for the weights.


@story
def full_memory(at: Story) -> None:
    """The fetcher finds that the volume, which the kubelet made in memory, is smaller than the weights."""
    at.put("weights.bin", bytes(4 << 20))
    at.apply(storage=at.storage(cache={"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}))
    at.told("DiskFull", "/models", str(4 << 20), "storage.cache.emptyDir.sizeLimit")
    at.change(storage=at.storage(cache={"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}))
    at.healed()


@story
def full_disk(at: Story) -> None:
    """The fetcher holds the weights against the limit of the volume on the disk, before the kubelet would throw the pod out."""
    at.put("weights.bin", bytes(8 << 20))
    at.apply(storage=at.storage(cache={"emptyDir": {"sizeLimit": "1Mi"}}))
    at.told("DiskFull", f"{8 << 20} bytes are needed and {1 << 20} are available", "storage.cache.emptyDir.sizeLimit")
    at.change(storage=at.storage(cache={"emptyDir": {"sizeLimit": "64Mi"}}))
    at.healed()


# Models that their server refuses. What a server has is what its pod fetched: new weights are a new version.


@story
def triton_code(at: Story) -> None:
    """Triton's Python backend gets an exception from the model's own code while it loads it."""
    put_triton(at, models.broken_triton_code, "1")
    at.apply(runtime={"name": "triton"}, versions=triton_version(at, "1"))
    at.told("ModelLoadFailed", "triton-code-v1-", "no weights in this model", "(?i)add a version")
    put_triton(at, models.triton_add, "2")
    at.change(versions=triton_version(at, "2"))
    at.healed()


@story
def triton_config(at: Story) -> None:
    """Triton cannot parse the model's config.pbtxt; a new pod reads the one that was put right in its place."""
    put_triton(at, models.broken_triton_config, "1")
    at.apply(runtime={"name": "triton"}, versions=triton_version(at, "1"))
    at.told("ModelLoadFailed", "triton-config-v1-", "config.pbtxt", "(?i)add a version")
    put_triton(at, models.triton_add, "1")
    at.mending()
    at.space.kubectl("delete", "pod", "--wait=false", "-l", f"pantala.dev/model={at.name}")
    at.healed()


@story
def triton_backend(at: Story) -> None:
    """Triton has no backend of the name in the model's config.pbtxt."""
    put_triton(at, models.broken_triton_backend, "1")
    at.apply(runtime={"name": "triton"}, versions=triton_version(at, "1"))
    at.told("ModelLoadFailed", "triton-backend-v1-", "nosuch", "(?i)add a version")
    put_triton(at, models.triton_add, "2")
    at.change(versions=triton_version(at, "2"))
    at.healed()


@story
def torchserve_code(at: Story) -> None:
    """TorchServe's worker gets an exception from the handler while it loads the model."""
    at.put("broken.mar", models.broken_torchserve_code(at.folder).read_bytes())
    at.put("right.mar", models.torchserve_sum(at.folder).read_bytes())
    at.apply(runtime={"name": "torchserve"}, versions=torchserve_version(at, "broken.mar", "v1"))
    at.told("ModelLoadFailed", "torchserve-code-v1-", "no weights in this model", "(?i)add a version")
    at.change(versions=torchserve_version(at, "right.mar", "v2"))
    at.healed()


@story
def torchserve_archive(at: Story) -> None:
    """TorchServe cannot unpack an archive that is no zip file."""
    at.put("broken.mar", models.broken_torchserve_archive(at.folder).read_bytes())
    at.put("right.mar", models.torchserve_sum(at.folder).read_bytes())
    at.apply(runtime={"name": "torchserve"}, versions=torchserve_version(at, "broken.mar", "v1"))
    at.told("ModelLoadFailed", "torchserve-archive-v1-", "(?i)zip|archive", "(?i)add a version")
    at.change(versions=torchserve_version(at, "right.mar", "v2"))
    at.healed()


# The stage.


def secret(space: Space, name: str, values: dict[str, str]) -> None:
    """Create or replace a Secret."""
    meta = {"name": name, "namespace": space.namespace}
    space.apply_object({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values})


def quota(at: Story, resource: str, amount: str) -> None:
    """Bound the story's own namespace."""
    meta = {"name": "small", "namespace": at.space.namespace}
    spec = {"hard": {resource: amount}}
    at.space.apply_object({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
    wait_for(lambda: "hard" in at.space.get("resourcequota", "small").get("status", {}), "the quota counts", 30)


def volume(at: Story, claim: str) -> list[dict[str, Any]]:
    """A volume in a folder of this machine, which the node sees too, and a claim that is bound to it."""
    folder = at.folder / "volume"
    folder.mkdir()
    for path in (*reversed(folder.parents[:-2]), folder):
        path.chmod(0o777 if path == folder else 0o755)
    name = f"{at.space.namespace}-{claim}"
    common = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {**common, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": at.space.namespace},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
        },
    ]


def put_triton(at: Story, make: Callable[[Path, str], Path], version: str) -> None:
    """Store a Triton model as one of the model's versions."""
    at.space.s3.put_folder(BUCKET, f"{at.name}/{version}", make(at.folder / version, "add"))


def triton_version(at: Story, version: str) -> list[dict[str, str]]:
    """The one version of the model."""
    return [{"name": f"v{version}", "uri": f"s3://{BUCKET}/{at.name}/{version}/"}]


def torchserve_version(at: Story, file: str, version: str) -> list[dict[str, str]]:
    """The one version of the model."""
    return [{"name": version, "uri": f"s3://{BUCKET}/{at.name}/{file}"}]


OWN_NAMESPACE = {"beyond-quota", "outside-quota", "beyond-limit", "pod-security", "host-path"}
"""Stories whose cause is the namespace itself."""


class Good:
    """Two models beside the stories: asked all the time, by requests that are not tried again."""

    def __init__(self, space: Space, watch: Watch, folder: Path) -> None:
        """Apply both, wait until they are Ready, start to ask."""
        self.space, self.watch = space, watch
        self.failures: list[str] = []
        self.asked = 0
        space.s3.put_folder(BUCKET, "good/triton", models.triton_add(folder, "add"))
        space.s3.put(BUCKET, "good/sum.mar", models.torchserve_sum(folder))
        # With a share of the CPU of their own: Triton gives a starved Python stub up as unhealthy.
        share = {"requests": {"cpu": "400m"}}
        space.apply("good-triton", space.spec("triton", "good/triton/", resources=share))
        space.apply("good-torchserve", space.spec("torchserve", "good/sum.mar", resources=share))
        for name in ("good-triton", "good-torchserve"):
            space.wait_ready(name)
        self.since = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._end.wait(1):
            for name in ("good-triton", "good-torchserve"):
                self.asked += 1
                try:
                    self._one(name)
                except (OSError, AssertionError) as error:
                    self.failures.append(f"{name}: {error!r}")

    def _one(self, name: str) -> None:
        if name == "good-triton":
            assert self.space.ask_triton(name, [1, 2, 3, 4]) == [2, 4, 6, 8]
        else:
            assert self.space.ask_torchserve(name, [1, 2]) == {"sum": 3}

    def stop(self) -> None:
        """Ask no more."""
        self._end.set()
        self._thread.join()


@pytest.fixture(scope="module")
def watch(cluster: Cluster, operator: "subprocess.Popen[bytes]") -> Iterator[Watch]:
    """Reads the models of the cluster."""
    found = Watch(cluster.kubeconfig)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def good(space: Space, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Good]:
    """Two good models, Ready before anything bad happens."""
    found = Good(space, watch, tmp_path_factory.mktemp("good"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def told(
    space: Space, good: Good, watch: Watch, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Story, Future[None]]]]:
    """All stories that this run selects, under way."""
    mine = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    selected = [item.callspec.params["name"] for item in mine]
    stories = {}
    for name in (name for name in STORIES if name in selected):
        where = space
        if name in OWN_NAMESPACE:
            where = Space(space.cluster, space.s3, f"{space.namespace}-{name}")
            space.cluster.kubectl("create", "namespace", where.namespace)
            secret(where, SECRET, space.s3.credentials)
        stories[name] = Story(where, watch, tmp_path_factory.mktemp(name), name)
    tasks = {name: lambda name=name, at=at: STORIES[name](at) for name, at in stories.items()}
    with telling(tasks) as results:
        yield {name: (stories[name], results[name]) for name in stories}
    print("\nseconds from apply to the condition, and from the mending to Ready:")
    for name, at in stories.items():
        print(f"  {name:24} {at.seconds.get('told', -1):6.1f} {at.seconds.get('healed', -1):6.1f}")
    for name in OWN_NAMESPACE & set(stories):
        space.cluster.kubectl("delete", "namespace", stories[name].space.namespace, "--wait=false")
    space.cluster.kubectl("delete", "pv", f"{space.namespace}-absent-claim", "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize("name", STORIES)
def test_a_mistake_is_told_and_passes_with_its_cause(told: dict[str, tuple[Story, Future[None]]], name: str) -> None:
    """The condition has the right reason, names the object and the next step; afterwards the model gets Ready."""
    told[name][1].result()


def test_good_models_do_not_notice(told: dict[str, tuple[Story, Future[None]]], good: Good) -> None:
    """While all that went wrong around them, two good models answered every request and stayed Ready."""
    for _, result in told.values():
        result.exception()
    assert good.asked > 10
    assert good.failures == []
    for name in ("good-triton", "good-torchserve"):
        later = [seen for seen in good.watch.history[good.space.namespace, name] if seen.at > good.since]
        assert [seen for seen in later if seen.condition("Ready").get("status") != "True"] == []


def test_no_credential_is_told(
    told: dict[str, tuple[Story, Future[None]]], s3: S3Server, operator: "subprocess.Popen[bytes]", watch: Watch
) -> None:
    """Neither statuses, events, objects nor logs hold a secret key, as it is or in base64."""
    for _, result in told.values():
        result.exception()
    outputs = [Path(f"/proc/{operator.pid}/fd/1").read_text()]
    outputs.append(json.dumps([seen.status for past in watch.history.values() for seen in past]))
    for space in {at.space.namespace: at.space for at, _ in told.values()}.values():
        outputs.append(space.kubectl("get", "imodel,deploy,rs,pods,configmaps,services,events", "-o", "yaml"))
        for pod in space.kubectl("get", "pods", "-o", "name").split():
            for more in ((), ("--previous",)):
                log = space.cluster.kubectl(
                    "-n", space.namespace, "logs", pod, "--all-containers", "--tail=500", *more, check=False
                )
                outputs.append(log)
    keys = [s3.secret_key, REFUSED_SECRET]
    for key in (*keys, *(base64.b64encode(key.encode()).decode() for key in keys)):
        assert not [output for output in outputs if key in output]
