"""Every check of `pantala doctor`, as a function from what was read to findings."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala.api import crd
from pantala.cli.doctor import around, daemon, holdings, parts, proxied, settings
from pantala.cli.doctor.command import CHECKS, findings, lines
from pantala.cli.doctor.finding import Finding, Severity
from pantala.cli.doctor.seen import Refusal, Seen, uses
from tests.cli.dragonfly_chart import (
    EMPTY,
    NAMESPACE,
    config_map,
    configuration,
    daemon_set,
    lease,
    model,
    node,
    pod,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
NODES = ("n1", "n2", "n3")
DEFINITION = crd.generate()
PROXY = {"mode": "Dragonfly", "proxy": {"port": 4001}}
Check = Callable[[Seen], Iterator[Finding]]


def healthy(**changes: Any) -> Seen:
    """Three nodes in order, with a model that goes by the socket."""
    pods = [*map(pod, NODES), pod("n1", "seed-client"), pod("n1", "scheduler")]
    clients = [f"dragonfly-client-{name}" for name in NODES]
    found: dict[str, Any] = {
        "pods": pods,
        "daemon_sets": [daemon_set()],
        "config_maps": [config_map(), config_map(name="seed-client")],
        "nodes": [node(name) for name in NODES],
        "leases": [lease(name, (NOW - timedelta(seconds=8)).isoformat()) for name in NODES],
        "now": NOW,
        "models": [model("resnet")],
        "namespaces": {"vision": _space("vision"), NAMESPACE: _space(NAMESPACE)},
        "crd": DEFINITION,
        "has_resource": True,
        "operators": [_operator()],
        "metrics": dict.fromkeys([*clients, "dragonfly-seed-client-n1"], _metrics("1.5.10")),
    }
    return Seen(**(found | changes))


def _space(name: str, level: str = "") -> dict[str, Any]:
    labels = {around.ENFORCE: level} if level else {}
    return {"metadata": {"name": name, "labels": labels}}


def _operator(*arguments: str, ready: int = 1) -> dict[str, Any]:
    template = {"spec": {"containers": [{"args": ["operator", *arguments]}]}}
    meta = {"name": "pantala", "namespace": "pantala-system"}
    return {"metadata": meta, "spec": {"template": template}, "status": {"readyReplicas": ready}}


def _metrics(version: str) -> str:
    return f'# TYPE x gauge\ndragonfly_client_version{{build_time="",git_commit="a",git_version="{version}",platform="x"}} 1\n'


def _configured(**changes: Any) -> dict[str, Any]:
    return {"config_maps": [config_map(configuration(**changes)), config_map(name="seed-client")]}


def _pods(*clients: dict[str, Any], seed: bool = True, scheduler: bool = True) -> dict[str, Any]:
    others = ([pod("n1", "seed-client")] if seed else []) + ([pod("n1", "scheduler")] if scheduler else [])
    return {"pods": [*clients, *others]}


def _old(name: str) -> dict[str, Any]:
    found = pod(name)
    found["metadata"]["labels"]["component"] = "dfdaemon"
    found["spec"]["containers"][0]["image"] = "dragonflyoss/dfdaemon:v2.1.0"
    return found


def _tainted(key: str, value: str = "") -> dict[str, Any]:
    taints = ({"key": key, "value": value, "effect": "NoSchedule"},)
    return {"nodes": [*(node(name) for name in NODES), node("gpu", taints=taints)]}


def test_healthy() -> None:
    """An installation in order gives no warning and no error, and every check says that it looked."""
    found = findings(healthy())
    assert [one for one in found if one.severity is not Severity.OK] == []
    assert {one.check for one in found} == {
        *("resource", "operator", "dfdaemon", "seeds", "scheduler", "manager", "socket", "proxy", "rate-limit", "ca"),
        *("storage", "version", "metrics", "pod-security", "clocks"),
    }


THREE = [pod(name) for name in NODES]
CASES: list[tuple[str, Check, dict[str, Any], Severity, str, str]] = [
    # (what it is, the check, what differs from a healthy installation, severity, object, words of message, value or next)
    ("no-right", around.rights, {"refused": (Refusal("list", "nodes"),)}, Severity.WARNING, "the cluster", "list nodes"),
    ("no-vital-right", around.rights, {"refused": (Refusal("list", "pods", "x", vital=True),)}, Severity.ERROR, "Namespace x", "list pods"),
    ("no-crd", around.resource, {"crd": None, "has_resource": False}, Severity.ERROR, "CustomResourceDefinition", "crds/"),
    ("crd-unreadable", around.resource, {"crd": None}, Severity.OK, "CustomResourceDefinition", "could not be read"),
    ("no-operator", around.operator, {"operators": []}, Severity.WARNING, "", "no Deployment has the labels"),
    ("operator-down", around.operator, {"operators": [_operator(ready=0)]}, Severity.ERROR, "Deployment pantala-system/pantala", "no replica"),
    ("none-installed", parts.dfdaemons, {"pods": []}, Severity.ERROR, f"Namespace {NAMESPACE}", "vision/resnet"),
    ("none-needed", parts.dfdaemons, {"pods": [], "models": []}, Severity.WARNING, f"Namespace {NAMESPACE}", "no model asks"),
    ("only-go", parts.dfdaemons, {"pods": [_old("n1")]}, Severity.ERROR, f"Namespace {NAMESPACE}", "dfdaemon:v2.1.0"),
    ("node-without", parts.dfdaemons, _pods(*THREE[:2]), Severity.ERROR, "Node n3", "no dfdaemon"),
    ("node-not-ready", parts.dfdaemons, _pods(*THREE[:2], pod("n3", ready=False, waiting="CrashLoopBackOff")), Severity.ERROR, "Node n3", "client: CrashLoopBackOff"),
    ("node-lost", parts.dfdaemons, _pods(*THREE[:2]) | {"nodes": [node("n1"), node("n2"), node("n3", ready=False)]}, Severity.WARNING, "Node n3", "not Ready"),
    ("node-cordoned", parts.dfdaemons, _pods(*THREE[:2]) | {"nodes": [node("n1"), node("n2"), node("n3", cordoned=True)]}, Severity.WARNING, "Node n3", "cordoned"),
    ("node-tainted", parts.dfdaemons, _tainted("nvidia.com/gpu", "present"), Severity.WARNING, "Node gpu", "nvidia.com/gpu=present:NoSchedule"),
    ("taint-tolerated", parts.dfdaemons, _tainted("nvidia.com/gpu") | {"daemon_sets": [daemon_set(tolerations=[{"operator": "Exists"}])]}, Severity.ERROR, "Node gpu", "no dfdaemon"),
    ("control-plane", parts.dfdaemons, _tainted("node-role.kubernetes.io/control-plane"), Severity.OK, "", "3 of 3 nodes"),
    ("nodes-unreadable", parts.dfdaemons, {"nodes": None}, Severity.OK, "", "3 of 3 pods"),
    ("no-seed", parts.seeds, _pods(*THREE, seed=False), Severity.WARNING, f"Namespace {NAMESPACE}", "seedClient.enable"),
    ("no-seed-fail", parts.seeds, _pods(*THREE, seed=False) | {"models": [model("m", distribution={"mode": "Dragonfly", "fallback": "Fail"})]}, Severity.ERROR, f"Namespace {NAMESPACE}", "vision/m"),
    ("seed-in-daemonset", parts.seeds, _pods(*THREE, seed=False) | _configured(seedPeer__enable=True), Severity.OK, "", "3 of 3 seed peers"),
    ("scheduler-down", parts.scheduler, _pods(*THREE, scheduler=False) | {"pods": [*THREE, pod("n1", "scheduler", ready=False)]}, Severity.ERROR, f"Namespace {NAMESPACE}", "in silence"),
    ("scheduler-elsewhere", parts.scheduler, _pods(*THREE, scheduler=False), Severity.OK, f"Namespace {NAMESPACE}", "dragonfly-scheduler.dragonfly-system.svc:8002"),
    ("no-scheduler", parts.scheduler, _pods(*THREE, scheduler=False) | {"config_maps": [config_map(dynamic=False)]}, Severity.ERROR, f"Namespace {NAMESPACE}", "component=scheduler"),
    ("lightweight", parts.manager, {}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "none is needed"),
    ("manager-down", parts.manager, _configured(manager__addr=f"http://dragonfly-manager.{NAMESPACE}.svc.cluster.local:65003"), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "none is ready"),
    ("old-key-manager", parts.manager, _configured(manager__addrs=[f"http://dragonfly-manager.{NAMESPACE}.svc:65003"]), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", ":65003"),
    ("manager-up", parts.manager, _configured(manager__addr="http://dragonfly-manager:65003") | {"pods": [*THREE, pod("n1", "manager")]}, Severity.OK, "", "1 of 1"),
    ("manager-elsewhere", parts.manager, _configured(manager__addr="http://manager.example.com:65003"), Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "outside"),
    ("nobody-told", parts.manager, {"config_maps": [config_map(dynamic=False)]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "neither"),
    ("bad-yaml", settings.readable, {"config_maps": [config_map("a: [")]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "cannot be read"),
    ("no-mapping", settings.readable, {"config_maps": [config_map("- a")]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "no mapping"),
    ("no-config", settings.readable, {"config_maps": []}, Severity.WARNING, f"Namespace {NAMESPACE}", "3 dfdaemon pods"),
    ("socket", settings.socket, {}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "3 of 3 dfdaemons"),
    ("socket-default", settings.socket, _configured(download={}), Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "/var/run/dragonfly/dfdaemon.sock"),
    ("socket-run", settings.socket, {"operators": [_operator("--dragonfly-socket-folder=/run/dragonfly")]}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "is where"),
    ("socket-name", settings.socket, _configured(download__server__socketPath="/var/run/dragonfly/other.sock"), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "/var/run/dragonfly/other.sock"),
    ("socket-in-container", settings.socket, _configured(download__server__socketPath="/tmp/dfdaemon.sock"), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "nothing is mounted there"),
    ("socket-empty-dir", settings.socket, _pods(*(pod(name, socket="") for name in NODES)), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "emptyDir"),
    ("socket-other-folder", settings.socket, _pods(*(pod(name, socket="/opt/p2p") for name in NODES)), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "/opt/p2p/dfdaemon.sock"),
    ("socket-as-told", settings.socket, _pods(*(pod(name, socket="/opt/p2p") for name in NODES)) | {"operators": [_operator("--dragonfly-socket-folder=/opt/p2p/")]}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "is where"),
    ("proxy", settings.proxy, {}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "no model goes through it"),
    ("proxy-used", settings.proxy, {"models": [model("m", distribution=PROXY)]}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "as models ask"),
    ("proxy-65001", settings.proxy, {"models": [model("m", distribution={"mode": "Dragonfly", "proxy": {"port": 65001}})]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "vision/m asked for 65001"),
    ("proxy-own", settings.proxy, _configured(proxy__server={"port": 65001}) | {"models": [model("m", distribution=PROXY)]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "listens on 65001"),
    ("proxy-loopback", settings.proxy, _configured(proxy__server__ip="127.0.0.1") | {"models": [model("m", distribution=PROXY)]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "127.0.0.1"),
    ("proxy-password", settings.proxy, _configured(proxy__server__basicAuth={"username": "a", "password": "b"}) | {"models": [model("m", distribution=PROXY)]}, Severity.WARNING, f"ConfigMap {NAMESPACE}/dragonfly-client", "password"),
    ("rate-unused", settings.rate_limit, _configured(proxy__server__requestRateLimit=50), Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "50/s"),
    ("rate-low", settings.rate_limit, _configured(proxy__server__requestRateLimit=50) | {"models": [model("m", distribution=PROXY)]}, Severity.WARNING, f"ConfigMap {NAMESPACE}/dragonfly-client", "vision/m"),
    ("rate-default", settings.rate_limit, _configured(proxy__server={}), Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "4000/s"),
    ("ca-none", proxied.authority, {}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "there is none"),
    ("ca-half", proxied.authority, _configured(proxy__server__caCert="/a.pem"), Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "/a.pem"),
    ("ca-own", proxied.authority, _configured(proxy__server__caCert="/a", proxy__server__caKey="/b"), Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "of your own"),
    ("rules-none", proxied.rules, {"models": [model("m", distribution=PROXY)]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "s3.example.com"),
    ("rules-clear", proxied.rules, _configured(proxy__rules=[{"regex": "s3"}, {"regex": "example", "useTLS": True}]) | {"models": [model("m", distribution=PROXY)]}, Severity.ERROR, f"ConfigMap {NAMESPACE}/dragonfly-client", "vision/m"),
    ("rules-tls", proxied.rules, _configured(proxy__rules=[{"regex": "blobs"}, {"regex": "(?-u)["}, {"regex": r"^http://s3\.example\.com/models/m/", "useTLS": True}]) | {"models": [model("m", distribution=PROXY)]}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "by https"),
    ("storage-empty-dir", holdings.storage, _pods(*(pod(name, storage=EMPTY) for name in NODES)), Severity.WARNING, f"ConfigMap {NAMESPACE}/dragonfly-client", "emptyDir"),
    ("storage-elsewhere", holdings.storage, _configured(storage__dir="/data"), Severity.WARNING, f"ConfigMap {NAMESPACE}/dragonfly-client", "the container itself"),
    ("storage-forgets", holdings.storage, _configured(storage={"dir": "/var/lib/dragonfly"}), Severity.WARNING, f"ConfigMap {NAMESPACE}/dragonfly-client", "storage.keep"),
    ("links", holdings.hard_links, {"models": [model("m", storage={"cache": {"hostPath": {"path": "/var/lib/dragonfly/pantala"}}})]}, Severity.OK, f"ConfigMap {NAMESPACE}/dragonfly-client", "sees"),
    ("no-links", holdings.hard_links, {"models": [model("m", storage={"cache": {"hostPath": {"path": "/data/pantala"}}})]}, Severity.WARNING, f"ConfigMap {NAMESPACE}/dragonfly-client", "/data/pantala"),
    ("version", holdings.versions, {}, Severity.OK, f"Namespace {NAMESPACE}", "1.5.10"),
    ("version-tag", holdings.versions, {"metrics": {}}, Severity.OK, f"Namespace {NAMESPACE}", "1.5.10"),
    ("version-unknown", holdings.versions, _pods(*THREE[:2], pod("n3", tag="latest")) | {"metrics": {}}, Severity.WARNING, f"Namespace {NAMESPACE}", "dragonfly-client-n3"),
    ("version-old", holdings.versions, {"metrics": {"dragonfly-client-n2": _metrics("0.1.80")}}, Severity.ERROR, f"Pod {NAMESPACE}/dragonfly-client-n2", "0.1.80"),
    ("version-mixed", holdings.versions, {"metrics": {"dragonfly-client-n2": _metrics("1.4.7")}}, Severity.WARNING, f"Namespace {NAMESPACE}", "1.4.7 (1 pods)"),
    ("version-go-besides", holdings.versions, {"pods": [*THREE, _old("n1")]}, Severity.WARNING, f"Namespace {NAMESPACE}", "dfdaemon:v2.1.0"),
    ("metrics-silent", holdings.metrics, {"metrics": {"a": None, "b": "x"}}, Severity.WARNING, f"Namespace {NAMESPACE}", "1 of 2"),
    ("restricted", around.pod_security, {"namespaces": {"vision": _space("vision", "restricted")}}, Severity.ERROR, "Namespace vision", "restricted"),
    ("baseline-host-path", around.pod_security, {"namespaces": {"vision": _space("vision", "baseline")}, "models": [model("m", distribution={"mode": "Direct"}, storage={"cache": {"hostPath": {"path": "/v/p"}}})]}, Severity.ERROR, "Namespace vision", "storage.cache.hostPath"),
    ("restricted-proxy", around.pod_security, {"namespaces": {"vision": _space("vision", "restricted")}, "models": [model("m", distribution=PROXY)]}, Severity.OK, "", "no model needs a hostPath"),
    ("privileged", around.pod_security, {"namespaces": {"vision": _space("vision", "privileged")}}, Severity.OK, "", "not forbidden by a label in vision"),
    ("dragonfly-forbidden", around.pod_security, {"namespaces": {NAMESPACE: _space(NAMESPACE, "baseline")}}, Severity.ERROR, f"Namespace {NAMESPACE}", "dfdaemon itself"),
    ("clock-ahead", around.clocks, {"leases": [lease("n1", (NOW + timedelta(seconds=90)).isoformat())]}, Severity.WARNING, "Node n1", "ahead"),
    ("clock-far-ahead", around.clocks, {"leases": [lease("n1", (NOW + timedelta(hours=1)).isoformat())]}, Severity.ERROR, "Node n1", "3600 s"),
    ("clock-behind", around.clocks, {"leases": [lease("n1", (NOW - timedelta(minutes=20)).isoformat())]}, Severity.ERROR, "Node n1", "behind"),
    ("clock-of-the-dead", around.clocks, {"leases": [lease("n1", (NOW - timedelta(minutes=20)).isoformat())], "nodes": [node("n1", ready=False)]}, Severity.OK, "", "within a minute"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "changes", "severity", "where", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_check(check: Check, changes: dict[str, Any], severity: Severity, where: str, words: str) -> None:
    """Each state has a finding of the right severity that names the object and the value; what is bad has a next step."""
    found = list(check(healthy(**changes)))
    matching = [
        one
        for one in found
        if one.severity is severity
        and one.object.startswith(where)
        and words in f"{one.message} {one.value} {one.next}"
    ]
    assert matching, found
    assert all(bool(one.next) == (one.severity is not Severity.OK) for one in found)
    if severity is Severity.OK:
        assert {one.severity for one in found} == {Severity.OK}


def test_older_definition() -> None:
    """A CRD without fields of this release is an error that names them; one with more is a warning."""
    older = deepcopy(DEFINITION)
    properties = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del properties["distribution"]
    (found,) = around.resource(healthy(crd=older))
    assert (found.severity, "spec.distribution" in found.message) == (Severity.ERROR, True)
    newer = deepcopy(DEFINITION)
    properties = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["later"] = {"type": "string"}
    (found,) = around.resource(healthy(crd=newer))
    assert (found.severity, "spec.later" in found.message) == (Severity.WARNING, True)


def test_nothing_is_readable() -> None:
    """With no right at all there are findings about the rights, and no check falls over."""
    blind = Seen(
        pods=None, daemon_sets=None, config_maps=None, nodes=None, leases=None, models=None, operators=None,
        refused=(Refusal("list", "pods", NAMESPACE, vital=True),),
    )  # fmt: skip
    assert [one.check for one in findings(blind) if one.severity is not Severity.OK] == ["rights"]


def test_version_of_a_model_has_its_own_block() -> None:
    """A version's own `distribution` stands in place of the shared one."""
    versions = [
        {"name": "v1", "uri": "s3://m/a/"},
        {"name": "v2", "uri": "s3://m/b/", "distribution": {"mode": "Dragonfly", "proxy": {"port": 9}}},
    ]
    seen = healthy(models=[model("m", distribution={"mode": "Direct"}, versions=versions)])
    (found,) = settings.proxy(seen)
    assert (found.severity, "asked for 9" in found.message) == (Severity.ERROR, True)


@pytest.mark.parametrize(
    ("uri", "storage", "url"),
    [
        ("s3://m/a/", {}, "http://s3.us-east-1.amazonaws.com/m/a/"),
        ("s3://m/a/", {"region": "eu-central-1"}, "http://s3.eu-central-1.amazonaws.com/m/a/"),
        ("s3://m/a/", {"endpoint": "https://s3.example.com/"}, "http://s3.example.com/m/a/"),
        ("s3://m/a/", {"endpoint": "http://minio:9000"}, ""),
        ("gs://m/a/", {}, "http://storage.googleapis.com/m/a/"),
        ("abs://c/a", {"endpoint": "https://x.blob.core.windows.net"}, "http://x.blob.core.windows.net/c/a"),
        (
            "oss://m/a/",
            {"endpoint": "https://oss-cn-hangzhou.aliyuncs.com"},
            "http://m.oss-cn-hangzhou.aliyuncs.com/a/",
        ),
        ("https://example.com/a.mar", {}, "http://example.com/a.mar"),
        ("http://example.com/a.mar", {}, ""),
        ("hf://o/r", {}, ""),
        ("pvc://c/a", {}, ""),
    ],
)
def test_url_through_the_proxy(uri: str, storage: dict[str, str], url: str) -> None:
    """What the fetcher asks the proxy for where the store speaks https; the rules of the manifest take the known stores."""
    (use,) = uses([model("m", distribution=PROXY, storage=storage, versions=[{"name": "v1", "uri": uri}])])
    assert proxied.secure_url(use) == url
    if url and "example" not in url:
        values = yaml.safe_load((Path(__file__).parents[2] / "manifests/dragonfly-values.yaml").read_text())
        config = configuration(proxy__rules=values["client"]["config"]["proxy"]["rules"])
        changed = healthy(
            models=[model("m", distribution=PROXY, storage=storage, versions=[{"name": "v1", "uri": uri}])]
        )
        (found,) = proxied.rules(replace(changed, config_maps=[config_map(config)]))
        assert found.severity is Severity.OK


@pytest.mark.parametrize(
    ("mount", "path", "found"),
    [
        ({"mountPath": "/var/lib/dragonfly/"}, "/var/lib/dragonfly/pantala", ("hostPath", "/data/pantala")),
        ({"mountPath": "/var/lib/dragonfly", "subPath": "a/"}, "/var/lib/dragonfly", ("hostPath", "/data/a")),
        ({"mountPath": "/var/lib"}, "/var/libexec", ("", "")),
        ({"mountPath": "/"}, "/var/x", ("hostPath", "/data/var/x")),
    ],
)
def test_path_on_the_node(mount: dict[str, str], path: str, found: tuple[str, str]) -> None:
    """A path of the container becomes the path of the node that is mounted there."""
    spec = {
        "containers": [{"volumeMounts": [{"name": "v", **mount}]}],
        "volumes": [{"name": "v", "hostPath": {"path": "/data/"}}],
    }
    assert daemon.volume_of({"spec": spec}, path) == found


def test_projected_configuration() -> None:
    """A configuration that comes by a projected volume, in two ConfigMaps, is found too."""
    pods = [pod(name) for name in NODES]
    sources = [{"configMap": {"name": "dragonfly-client"}}, {"configMap": {"name": "dragonfly-dynconfig"}}]
    for one in pods:
        one["spec"]["volumes"][0] = {"name": "config", "projected": {"sources": sources}}
    dynamic = config_map(dynamic=True)
    dynamic["metadata"]["name"] = "dragonfly-dynconfig"
    del dynamic["data"]["dfdaemon.yaml"]
    (config,) = daemon.configs(healthy(pods=pods, config_maps=[config_map(dynamic=False), dynamic]))
    assert config.dynamic == yaml.safe_load(dynamic["data"]["dynconfig.yaml"])
    assert len(config.pods) == 3


def _paths(tree: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{path}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{path}{key}__")


@pytest.mark.parametrize("odd", ["x", 7, True, [1, "a"], {"a": 1}, None])
def test_odd_configurations(odd: Any) -> None:
    """Whatever stands in a configuration in place of what belongs there, no check falls over."""
    extra = {
        "proxy__rules": [],
        "proxy__server__ip": "",
        "manager__addr": "",
        "manager__addrs": [],
        "seedPeer__enable": True,
    }
    used = {"models": [model("m", distribution=PROXY), model("n", storage={"cache": {"hostPath": {"path": "/v/p"}}})]}
    for path in _paths(configuration(**extra)):
        dynamic = config_map(configuration(**(extra | {path: odd})))
        dynamic["data"]["dynconfig.yaml"] = yaml.safe_dump({"scheduler": odd})
        assert findings(healthy(config_maps=[dynamic, config_map(name="seed-client")], crd=None, **used))


def test_lines() -> None:
    """At 80 columns no line is longer unless a command or path in it is; objects and next steps are below the words."""
    seen = healthy(**_pods(*THREE[:2], seed=False), **_configured(download__server__socketPath="/tmp/x.sock"))
    text = list(lines(findings(seen), 80))
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in map(_plain, text)), text
    assert any("at    Node n3" in line for line in text)
    assert any("next  kubectl -n dragonfly-system get daemonset" in line for line in text)


def _plain(line: str) -> str:
    import click

    return click.unstyle(line)


def test_every_check_is_documented() -> None:
    """docs/doctor.md has a heading for each name of a check."""
    found = {one.check for _, check, changes, *_ in CASES for one in check(healthy(**changes))}
    text = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    assert {check for check in found if f"\n### {check}\n" not in text} == set()
    assert len(CHECKS) >= len(found) - 1
