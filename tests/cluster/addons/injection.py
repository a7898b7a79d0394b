"""Sidecars: the real injector of istiod with a template of ours, because Istio's own names an image that is not here.

What a pod gets: an init container that redirects what comes in to Envoy, and a native sidecar `istio-proxy`; its probes
are rewritten as Istio does it. What differs from Istio: traffic that leaves the pod is not redirected, there is no mutual
TLS (nobody serves certificates), and probes over gRPC fail.
"""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.cluster import Access
from tests.cluster.addons.envoy_bootstrap import Address
from tests.cluster.addons.sidecar import ADMIN
from tests.cluster.process import wait_for

LABEL = {"istio-injection": "enabled"}
"""Label of a namespace whose pods get a sidecar."""
NAMESPACE = "istio-system"
_NAME = "istio-sidecar-injector"
_FOLDER = "/etc/istio/proxy"


def files(istiod: Address) -> Mapping[str, str]:
    """Return the files of istiod's injector by name, for an istiod that answers proxies at an address."""
    config = {
        "policy": "enabled",
        "defaultTemplates": ["sidecar"],
        "templates": {"sidecar": yaml.safe_dump(_template(istiod), sort_keys=False)},
    }
    return {
        "config": yaml.safe_dump(config),
        "values": json.dumps({"global": {}, "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": True}}),
    }


def _template(istiod: Address) -> dict[str, Any]:
    """Return what is merged into a pod; istiod fills in what is between braces (pkg/kube/inject/template.go)."""
    from tests.cluster.images import envoy  # what needs no node needs no images

    common = {"image": envoy.REFERENCE, "imagePullPolicy": "IfNotPresent"}
    redirect = {
        **common,
        "name": "istio-init",
        "command": [*envoy.COMMAND, "redirect"],
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        },
    }
    plain = {
        "POD_LABELS": "{{ toJSON .ObjectMeta.Labels }}",
        "SERVICE_ACCOUNT": "{{ .Spec.ServiceAccountName }}",
        "ISTIOD": f"{istiod[0]}:{istiod[1]}",
        "FOLDER": _FOLDER,
    }
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "INSTANCE_IP": "status.podIP"}
    proxy = {
        **common,
        "name": "istio-proxy",
        "restartPolicy": "Always",
        "command": [*envoy.COMMAND, "proxy"],
        "env": [
            *({"name": name, "value": value} for name, value in plain.items()),
            *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
        ],
        "startupProbe": {
            "httpGet": {"path": "/ready", "port": ADMIN},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "securityContext": {
            "runAsUser": 1337,
            "runAsGroup": 1337,
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "istio-envoy", "mountPath": _FOLDER}],
    }
    return {"spec": {"initContainers": [redirect, proxy], "volumes": [{"name": "istio-envoy", "emptyDir": {}}]}}


def install(cluster: Access) -> None:
    """Have istiod inject: load the image, switch mutual TLS off, and wait until istiod has signed its webhook."""
    cluster.load_named("envoy")
    plaintext = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "spec": {"mtls": {"mode": "DISABLE"}},  # else the listeners of sidecars wait for certificates
    }
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([plaintext, _webhook()]))
    path = "jsonpath={.webhooks[0].clientConfig.caBundle}"
    command = ("get", f"mutatingwebhookconfiguration/{_NAME}", "-o", path)
    wait_for(lambda: bool(cluster.kubectl(*command)), "istiod's injection webhook", 90, every=0.1)


def remove(cluster: Access) -> None:
    """Inject no more; pods that have a sidecar keep it."""
    cluster.kubectl("delete", "--ignore-not-found", f"mutatingwebhookconfiguration/{_NAME}")
    cluster.kubectl("delete", "--ignore-not-found", "-n", NAMESPACE, "peerauthentication/default")


def _webhook() -> dict[str, Any]:
    webhook = {
        "name": "namespace.sidecar-injector.istio.io",  # istiod knows it by the end of the name
        "clientConfig": {"service": {"name": "istiod", "namespace": NAMESPACE, "path": "/inject", "port": 443}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": LABEL},
        "objectSelector": {
            "matchExpressions": [{"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}]
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": _NAME, "labels": {"app": "sidecar-injector", "istio.io/rev": "default"}},
        "webhooks": [webhook],
    }
