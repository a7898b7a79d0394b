"""Names of everything that Pantala makes: child objects, labels, annotations.

Pure string functions, at the bottom of the layers, so that the operator, the command line and the tests agree.
"""

from __future__ import annotations

import hashlib

GROUP = "pantala.dev"
VERSION = "v1alpha1"
KIND = "InferenceModel"
PLURAL = "inferencemodels"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "pantala"
"""The one server-side-apply field manager of the operator."""

LABEL_MODEL = f"{GROUP}/model"
"""Label on every child and pod: the resource's name."""
LABEL_VERSION = f"{GROUP}/version"
"""Label on the children and pods of one version: the version's name."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "pantala"

ANNOTATION_APPLIED = f"{GROUP}/applied"
"""On every child: digest of the object as the operator last applied it."""
ANNOTATION_RENDERED_WITH = f"{GROUP}/rendered-with"
"""On Deployments: images, defaults and template of the version's first rendering, reused until its spec changes."""
ANNOTATION_REFRESH = f"{GROUP}/refresh"
"""On the model, written by `pantala refresh`: a new value makes the operator render with today's images and defaults."""

ANNOTATION_START_TIME = f"{GROUP}/start-time"
"""On autoscalers: seconds that a replica takes to start, by which their behavior was made; it stays until that really moved."""

MAX_CHILD_NAME = 52
"""A ReplicaSet adds 11 and a pod 6 characters to a Deployment's name; 63 is the limit of a label value."""


def child_name(model: str, version: str) -> str:
    """Name of the objects of one version: `<model>-<version>`, cut and made unique by a hash beyond 52 characters."""
    name = f"{model}-{version}"
    if len(name) <= MAX_CHILD_NAME:
        return name
    suffix = hashlib.sha256(f"{model}/{version}".encode()).hexdigest()[:8]
    return f"{name[: MAX_CHILD_NAME - 9].rstrip('-')}-{suffix}"


def node_port_name(model: str) -> str:
    """Name of the model's NodePort Service; `nodeport` is refused as a version's name."""
    return child_name(model, "nodeport")


def load_balancer_name(model: str) -> str:
    """Name of the model's Service of type LoadBalancer; `loadbalancer` is refused as a version's name."""
    return child_name(model, "loadbalancer")


def claim_template_name(model: str, version: str, mark: str) -> str:
    """Name of a version's ResourceClaimTemplate: its spec can never change, so each content (`mark`) has its own."""
    return f"{child_name(model, version)}-{mark}"


def model_selector(model: str) -> dict[str, str]:
    """Labels that select the pods of all versions of a model."""
    return {LABEL_MODEL: model}


def selector(version: str, model: str) -> dict[str, str]:
    """Labels that select the pods of one version; a Deployment's selector can never change, so it holds no more."""
    return {LABEL_MODEL: model, LABEL_VERSION: version}


def labels(model: str, version: str | None = None, component: str = "model-server") -> dict[str, str]:
    """Labels of a child object of `model`, or of one of its versions."""
    found = {
        "app.kubernetes.io/name": "pantala",
        "app.kubernetes.io/instance": model,
        "app.kubernetes.io/component": component,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_MODEL: model,
    }
    if version is not None:
        found[LABEL_VERSION] = version
    return found
