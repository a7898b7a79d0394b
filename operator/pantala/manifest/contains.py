"""Does the live object contain the desired one?

An API server adds defaults, normalises quantities and keeps what other field managers wrote, so equality is the wrong
question. `missing` says where the live object falls short of the desired one; nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pantala.manifest import quantity

# Lists that server-side apply merges by key; from the `listMapKeys` of Kubernetes' own OpenAPI. Every other list is
# atomic and compared by equality.
_LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_QUANTITY_PARENTS = frozenset({"limits", "requests"})
_QUANTITY_FIELDS = frozenset({"sizeLimit", "averageValue"})


def missing(desired: Any, live: Any, path: str = "") -> str | None:
    """The path of the first part of `desired` that `live` does not contain, or None if it contains all of it."""
    if isinstance(desired, Mapping):
        return _missing_in_map(desired, live, path)
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return _missing_in_list(desired, live, path)
    return None if _same(desired, live, path) else path or "."


def _missing_in_map(desired: Mapping[str, Any], live: Any, path: str) -> str | None:
    if not isinstance(live, Mapping):
        # `emptyDir: {}` and its kind come back as they are; an empty map is contained in nothing but a map.
        return path or "."
    for key, value in desired.items():
        here = f"{path}.{key}"
        if key not in live:
            # The API server drops empty maps and lists of most fields.
            if value in ({}, []):
                continue
            return here
        found = missing(value, live[key], here)
        if found is not None:
            return found
    return None


def _missing_in_list(desired: Sequence[Any], live: Any, path: str) -> str | None:
    if not isinstance(live, Sequence) or isinstance(live, str):
        return path
    name = path.rpartition(".")[2]
    keys = _port_keys(desired) if name == "ports" else _LIST_KEYS.get(name)
    if keys is None:
        if len(desired) != len(live):
            return path
        for index, (want, have) in enumerate(zip(desired, live, strict=True)):
            found = missing(want, have, f"{path}[{index}]")
            if found is not None:
                return found
        return None
    return _missing_by_key(desired, live, keys, path)


def _missing_by_key(desired: Sequence[Any], live: Sequence[Any], keys: tuple[str, ...], path: str) -> str | None:
    index = {tuple(item.get(key) for key in keys): item for item in live if isinstance(item, Mapping)}
    for item in desired:
        identity = tuple(item.get(key) for key in keys)
        here = f"{path}[{','.join(str(part) for part in identity)}]"
        if identity not in index:
            return here
        found = missing(item, index[identity], here)
        if found is not None:
            return found
    return None


def _port_keys(desired: Sequence[Any]) -> tuple[str, ...]:
    """Ports are merged by number and protocol: `containerPort` in a container, `port` in a Service."""
    return ("containerPort",) if desired and "containerPort" in desired[0] else ("port",)


def _same(desired: Any, live: Any, path: str) -> bool:
    # `1` and `True` are equal in Python and different in JSON.
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return True
    parent, _, name = path.rpartition(".")
    if parent.rpartition(".")[2] not in _QUANTITY_PARENTS and name not in _QUANTITY_FIELDS:
        return False
    if not isinstance(desired, str | int) or not isinstance(live, str | int):
        return False
    left, right = quantity.parse(str(desired)), quantity.parse(str(live))
    return left is not None and left == right
