"""Objects as the Dragonfly chart makes them (1.7.4 to 1.7.9, release `dragonfly`): names, labels, volumes, configuration.

Source: dragonflyoss/helm-charts, charts/dragonfly, templates of client, seed-client, scheduler.
"""

from typing import Any

import yaml

NAMESPACE = "dragonfly-system"
TAG = "v1.5.10"
_HOST = {"name": "storage", "hostPath": {"path": "/var/lib/dragonfly", "type": "DirectoryOrCreate"}}
EMPTY = {"name": "storage", "emptyDir": {}}


def configuration(**changes: Any) -> dict[str, Any]:
    """A dfdaemon.yaml; `changes` are values by path, with `__` between the keys."""
    found: dict[str, Any] = {
        "host": {"idc": "", "location": "", "schedulerClusterID": 1},
        "server": {"pluginDir": "/usr/local/lib/dragonfly/plugins/dfdaemon/"},
        "download": {"server": {"socketPath": "/var/run/dragonfly/dfdaemon.sock", "requestRateLimit": 50}},
        "upload": {"server": {"port": 4000}},
        "storage": {"dir": "/var/lib/dragonfly/", "keep": True, "server": {"tcpPort": 4005, "quicPort": 4006}},
        "proxy": {"server": {"port": 4001, "requestRateLimit": 4000}, "prefetch": True},
        "metrics": {"server": {"port": 4002}},
        "health": {"server": {"port": 4003}},
    }
    for path, value in changes.items():
        *folders, key = path.split("__")
        at = found
        for folder in folders:
            at = at.setdefault(folder, {})
        at[key] = value
    return found


def config_map(
    config: dict[str, Any] | str | None = None, *, name: str = "client", dynamic: bool = True
) -> dict[str, Any]:
    """The ConfigMap of the clients or of the seed peers."""
    text = config if isinstance(config, str) else yaml.safe_dump(configuration() if config is None else config)
    data = {"dfdaemon.yaml": text}
    if dynamic:
        data["dynconfig.yaml"] = yaml.safe_dump(
            {"scheduler": {"addr": "dragonfly-scheduler.dragonfly-system.svc:8002"}}
        )
    return _object("ConfigMap", f"dragonfly-{name}", name, data=data)


def template(
    component: str = "client",
    *,
    storage: dict[str, Any] | None = None,
    socket: str = "/var/run/dragonfly",
    tag: str = TAG,
) -> dict[str, Any]:
    """The pod template of dfdaemon."""
    mounts = {"config": "/etc/dragonfly", "socket-dir": "/var/run/dragonfly", "storage": "/var/lib/dragonfly/"}
    volumes = [
        {"name": "config", "configMap": {"name": f"dragonfly-{component}"}},
        {"name": "socket-dir", "hostPath": {"path": socket, "type": "DirectoryOrCreate"}}
        if socket
        else {"name": "socket-dir", "emptyDir": {}},
        storage or _HOST,
    ]
    container = {
        "name": component,
        "image": f"docker.io/dragonflyoss/client:{tag}",
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    spec = {"hostNetwork": component == "client", "hostPID": True, "containers": [container], "volumes": volumes}
    return {"metadata": {"labels": {"app": "dragonfly", "component": component}}, "spec": spec}


def daemon_set(**changes: Any) -> dict[str, Any]:
    """The DaemonSet of the clients; `changes` go into the pods' spec."""
    made = template()
    made["spec"] |= changes
    labels = {"app": "dragonfly", "component": "client"}
    return _object(
        "DaemonSet", "dragonfly-client", "client", spec={"selector": {"matchLabels": labels}, "template": made}
    ) | {"apiVersion": "apps/v1"}


def pod(
    node: str, component: str = "client", *, ready: bool = True, waiting: str = "", **changes: Any
) -> dict[str, Any]:
    """A pod of a part of Dragonfly on a node."""
    made = template(component, **changes) if component in {"client", "seed-client"} else _plain(component)
    found = _object("Pod", f"dragonfly-{component}-{node}", component, spec=made["spec"] | {"nodeName": node})
    status: dict[str, Any] = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    if waiting:
        state = {"waiting": {"reason": waiting}}
        image = made["spec"]["containers"][0]["image"]
        status["containerStatuses"] = [
            {"name": component, "state": state, "image": image, "imageID": "", "ready": False, "restartCount": 3}
        ]
    return found | {"status": status}


def node(
    name: str, *, ready: bool = True, cordoned: bool = False, taints: tuple[dict[str, str], ...] = ()
) -> dict[str, Any]:
    """A node."""
    spec = {"unschedulable": cordoned, "taints": list(taints)}
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec, "status": status}


def lease(name: str, renewed: str) -> dict[str, Any]:
    """The Lease of a node."""
    meta = {"name": name, "namespace": "kube-node-lease"}
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def model(name: str, namespace: str = "vision", **spec: Any) -> dict[str, Any]:
    """An InferenceModel of one version on S3 that goes through Dragonfly, unless said otherwise."""
    common: dict[str, Any] = {
        "runtime": {"name": "triton"},
        "storage": {"endpoint": "https://s3.example.com"},
        "distribution": {"mode": "Dragonfly"},
        "versions": [{"name": "v1", "uri": f"s3://models/{name}/"}],
    }
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "pantala.dev/v1alpha1", "kind": "InferenceModel", "metadata": meta, "spec": common | spec}


def _plain(component: str) -> dict[str, Any]:
    container = {"name": component, "image": f"docker.io/dragonflyoss/{component}:v2.5.0"}
    return {"spec": {"containers": [container]}}


def _object(kind: str, name: str, component: str, **parts: Any) -> dict[str, Any]:
    labels = {"app": "dragonfly", "release": "dragonfly", "component": component}
    meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **parts}
