"""Rules on the blocks that end up in the pod: the model server, its environment, resources, template."""

import re
from datetime import timedelta

from pantala.api import durations, owned
from pantala.api.rules import Node, Rule

SHORTEST_START = timedelta(seconds=10)
LONGEST_START = timedelta(hours=24)
LONGEST_DELAY = timedelta(minutes=1)


def _cel(names: tuple[str, ...]) -> str:
    """A CEL list of strings."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def _flags(names: tuple[str, ...]) -> str:
    """A pattern for command line flags, alone or with ``=value``."""
    return "^--(" + "|".join(names) + ")(=|$)"


def _no_flags(block: Node, runtime: str, names: tuple[str, ...]) -> bool:
    return block["name"] != runtime or not any(re.search(_flags(names), arg) for arg in block.get("args", ()))


def _no_keys(block: Node, runtime: str, names: tuple[str, ...]) -> bool:
    return block["name"] != runtime or not any(name in block.get("config", {}) for name in names)


def _own_path(path: str) -> bool:
    return path.strip("/") == "" or any(path == own or path.startswith(own + "/") for own in owned.PATHS)


def _known(block: Node) -> bool:
    return all(name in owned.RESOURCES for part in ("requests", "limits") for name in block.get(part, {}))


def _names(block: Node, field: str) -> set[str]:
    return {item["name"] for item in block.get(field, ())}


def _mounts(block: Node) -> set[tuple[str, str]]:
    return {(mount["name"], mount["mountPath"]) for mount in block.get("volumeMounts", ())}


_OWN_PATHS_CEL = "m.mountPath.matches('^/+$') || " + " || ".join(
    f"m.mountPath == '{path}' || m.mountPath.startsWith('{path}/')" for path in owned.PATHS
)

_SERVER = (
    Rule(
        "Runtime",
        "self.name != 'custom' || has(self.image)",
        lambda it: it["name"] != "custom" or "image" in it,
        "image is required for a custom runtime, which has no default image: set image",
        ".image",
    ),
    Rule(
        "Runtime",
        "self.name != 'custom' || has(self.custom)",
        lambda it: it["name"] != "custom" or "custom" in it,
        "custom is required for a custom runtime: set custom.port to the port on which the server answers HTTP",
        ".custom",
    ),
    Rule(
        "Runtime",
        "self.name == 'custom' || !has(self.custom)",
        lambda it: it["name"] == "custom" or "custom" not in it,
        "custom has no effect on a known runtime: remove it, or set runtime.name to custom",
        ".custom",
    ),
    *(
        Rule(
            "Runtime",
            f"self.name != 'custom' || !has(self.{field})",
            lambda it, field=field: it["name"] != "custom" or field not in it,  # type: ignore[misc]
            f"{field} has no effect on a custom runtime, whose settings the operator does not know: use {instead}",
            f".{field}",
        )
        for field, instead in (
            ("batching", "args or env"),
            ("workers", "args or env, or scaling.minReplicas"),
            ("config", "args or env"),
        )
    ),
    Rule(
        "Runtime",
        f"!has(self.config) || self.name != 'torchserve' || !{_cel(owned.TORCHSERVE_CONFIG)}.exists(k, k in self.config)",
        lambda it: _no_keys(it, "torchserve", owned.TORCHSERVE_CONFIG),
        "config holds a key that the operator sets for TorchServe itself: remove it ("
        + ", ".join(owned.TORCHSERVE_CONFIG)
        + " are not free)",
        ".config",
    ),
    Rule(
        "Runtime",
        f"!has(self.config) || self.name != 'triton' || !{_cel(owned.TRITON_FLAGS)}.exists(k, k in self.config)",
        lambda it: _no_keys(it, "triton", owned.TRITON_FLAGS),
        "config holds a flag that the operator sets for Triton itself: remove it ("
        + ", ".join(owned.TRITON_FLAGS)
        + " are not free)",
        ".config",
    ),
    Rule(
        "Runtime",
        f"!has(self.args) || self.name != 'triton' || !self.args.exists(a, a.matches('{_flags(owned.TRITON_FLAGS)}'))",
        lambda it: _no_flags(it, "triton", owned.TRITON_FLAGS),
        "args holds a flag that the operator sets for Triton itself: remove it ("
        + ", ".join(owned.TRITON_FLAGS)
        + " are not free)",
        ".args",
    ),
    Rule(
        "Runtime",
        f"!has(self.args) || self.name != 'torchserve' || !self.args.exists(a, a.matches('{_flags(owned.TORCHSERVE_FLAGS)}'))",
        lambda it: _no_flags(it, "torchserve", owned.TORCHSERVE_FLAGS),
        "args holds a flag that the operator sets for TorchServe itself: remove it ("
        + ", ".join(owned.TORCHSERVE_FLAGS)
        + " are not free)",
        ".args",
    ),
    Rule(
        "Runtime",
        f"!self.startupTimeout.matches('{durations.PATTERN}')"
        " || (duration(self.startupTimeout) >= duration('10s') && duration(self.startupTimeout) <= duration('24h'))",
        lambda it: SHORTEST_START <= durations.parse(it["startupTimeout"]) <= LONGEST_START,
        "startupTimeout must lie between 10s and 24h: a server needs some seconds to load a model",
        ".startupTimeout",
    ),
    Rule(
        "Batching",
        "has(self.maxSize)",
        lambda it: "maxSize" in it,
        "batching has no effect without maxSize (maxDelay alone joins no requests): set maxSize",
        ".maxSize",
    ),
    Rule(
        "Batching",
        f"!has(self.maxDelay) || !self.maxDelay.matches('{durations.PATTERN}') || duration(self.maxDelay) <= duration('1m')",
        lambda it: "maxDelay" not in it or durations.parse(it["maxDelay"]) <= LONGEST_DELAY,
        "maxDelay must be at most 1m: every request waits that long for others",
        ".maxDelay",
    ),
    Rule(
        "Custom",
        "!has(self.metricsPath) || has(self.metricsPort)",
        lambda it: "metricsPath" not in it or "metricsPort" in it,
        "metricsPath has no effect without metricsPort: set metricsPort",
        ".metricsPath",
    ),
    Rule(
        "Custom",
        "!has(self.grpcPort) || self.grpcPort != self.port",
        lambda it: it.get("grpcPort") != it["port"],
        "grpcPort must differ from port: one port answers one protocol",
        ".grpcPort",
    ),
)

_ENV = (
    Rule(
        "EnvVar",
        f"!(self.name in {_cel(owned.ENV)}) && !self.name.startsWith('{owned.ENV_PREFIX}')",
        lambda it: it["name"] not in owned.ENV and not it["name"].startswith(owned.ENV_PREFIX),
        "env holds a name that the operator sets itself: remove it ("
        + ", ".join(owned.ENV)
        + f" and names that begin with {owned.ENV_PREFIX} are not free; cards are asked for with accelerator)",
        ".name",
    ),
    Rule(
        "EnvVar",
        "!has(self.value) || !has(self.valueFrom)",
        lambda it: "value" not in it or "valueFrom" not in it,
        "value and valueFrom exclude each other: keep one of them",
        ".valueFrom",
    ),
    Rule(
        "EnvSource",
        "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)]"
        ".filter(x, x).size() == 1",
        lambda it: len(it) == 1,
        "valueFrom needs exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef: keep one of them",
    ),
)

_POD = (
    Rule(
        "Resources",
        f"(!has(self.requests) || self.requests.all(k, k in {_cel(owned.RESOURCES)}))"
        f" && (!has(self.limits) || self.limits.all(k, k in {_cel(owned.RESOURCES)}))",
        _known,
        "resources may name cpu, memory and ephemeral-storage: ask for cards with accelerator, not here",
    ),
    Rule(
        "TemplateMetadata",
        "!has(self.labels) || !self.labels.exists(k, "
        + " || ".join(f"k.startsWith('{prefix}')" for prefix in owned.LABEL_PREFIXES)
        + ")",
        lambda it: not any(key.startswith(owned.LABEL_PREFIXES) for key in it.get("labels", {})),
        "labels under pantala.dev/ and app.kubernetes.io/ are the operator's, which finds the pods by them: use another prefix",
        ".labels",
    ),
    Rule(
        "TemplateMetadata",
        f"!has(self.annotations) || !self.annotations.exists(k, k.startsWith('{owned.ANNOTATION_PREFIX}'))",
        lambda it: not any(key.startswith(owned.ANNOTATION_PREFIX) for key in it.get("annotations", {})),
        "annotations under pantala.dev/ are the operator's: use another prefix",
        ".annotations",
    ),
    Rule(
        "TemplatePodSpec",
        f"!has(self.volumes) || !self.volumes.exists(v, v.name in {_cel(owned.VOLUMES)})",
        lambda it: not _names(it, "volumes") & set(owned.VOLUMES),
        "volumes named models, config, tmp and source are the operator's: use another name",
        ".volumes",
    ),
    Rule(
        "TemplatePodSpec",
        "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
        lambda it: _names(it, "volumeMounts") <= _names(it, "volumes"),
        "volumeMounts names a volume that is not in volumes: add the volume, or correct the name",
        ".volumeMounts",
    ),
    Rule(
        "TemplatePodSpec",
        "!has(self.volumes) || self.volumes.all(v, has(self.volumeMounts) && self.volumeMounts.exists(m, m.name == v.name))",
        lambda it: _names(it, "volumes") <= _names(it, "volumeMounts"),
        "volumes holds a volume without a mount, which has no effect: add it to volumeMounts, or remove it",
        ".volumes",
    ),
    Rule(
        "TemplatePodSpec",
        f"!has(self.volumeMounts) || !self.volumeMounts.exists(m, {_OWN_PATHS_CEL})",
        lambda it: not any(_own_path(mount["mountPath"]) for mount in it.get("volumeMounts", ())),
        "volumeMounts hides a folder of the operator: mount outside of /models, /etc/pantala and /tmp, and not at /",
        ".volumeMounts",
    ),
    Rule(
        "TemplatePodSpec",
        "!has(self.volumes) || !self.volumes.exists(v, v.name == 'shm') || (has(self.volumeMounts)"
        " && self.volumeMounts.exists(m, m.name == 'shm' && m.mountPath == '/dev/shm'))",
        lambda it: "shm" not in _names(it, "volumes") or ("shm", "/dev/shm") in _mounts(it),  # noqa: S108 - in the pod
        "a volume named shm must be mounted at /dev/shm, where Triton has one otherwise: mount it there, or use another name",
        ".volumes",
    ),
    Rule(
        "Update",
        "!(self.maxSurge == 0 || self.maxSurge == '0%') || !(self.maxUnavailable == 0 || self.maxUnavailable == '0%')",
        lambda it: it["maxSurge"] not in (0, "0%") or it["maxUnavailable"] not in (0, "0%"),
        "maxSurge and maxUnavailable must not both be 0, or no pod could ever be replaced: raise one of them",
    ),
    *(
        Rule(
            "Update",
            f"type(self.{field}) != int || int(self.{field}) >= 0",
            lambda it, field=field: not isinstance(it[field], int) or it[field] >= 0,  # type: ignore[misc]
            f"{field} must not be negative: write a number of pods from 0 on, or a percentage",
            f".{field}",
        )
        for field in ("maxSurge", "maxUnavailable")
    ),
)

RULES = _SERVER + _ENV + _POD
"""All rules on the blocks of the pod."""
