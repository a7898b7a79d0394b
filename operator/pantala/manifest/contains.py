"""Does the live object contain the desired one?

An API server adds defaults, normalises quantities and keeps what other field managers wrote, so equality is the wrong
question. `missing` says where the live object falls short of the desired one; nothing else is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pantala.api import quantity

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
_QUANTITY_FIELDS = frozenset({"sizeLimit", "averageValue", "divisor"})
# Fields that are no pointer in Kubernetes' Go types and whose zero value is therefore never stored.
_FALSE_IS_ABSENT = frozenset({"readOnly"})
_INDEX = re.compile(r"\[[^]]*\]")
_TEXT_MAPS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "selector", "data"})


def missing(desired: Any, live: Any, path: str = "") -> str | None:
    """The path of the first part of `desired` that `live` does not contain, or None if it contains all of it.

    `path` is where in an object the two stand, such as `.spec.template`; the answer begins with it.
    """
    return _missing(desired, live, tuple(_INDEX.sub("", path).split(".")[1:]), path)


def _missing(desired: Any, live: Any, names: tuple[str, ...], path: str) -> str | None:
    """As `missing`; `names` are the keys of maps on the way, which may hold dots themselves (`nvidia.com/gpu`)."""
    if isinstance(desired, Mapping):
        return _missing_in_map(desired, live, names, path)
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return _missing_in_list(desired, live, names, path)
    return None if _same(desired, live, names) else path or "."


def _missing_in_map(desired: Mapping[str, Any], live: Any, names: tuple[str, ...], path: str) -> str | None:
    if not isinstance(live, Mapping):
        # `emptyDir: {}` and its kind come back as they are; an empty map is contained in nothing but a map.
        return path or "."
    for key, value in desired.items():
        here = f"{path}.{key}"
        if key not in live:
            if _is_absence(value, key, names):
                continue
            return here
        found = _missing(value, live[key], (*names, key), here)
        if found is not None:
            return found
    return None


def _is_absence(value: Any, key: str, names: tuple[str, ...]) -> bool:
    """Whether the API server stores nothing at all for a value: empty maps and lists, empty texts, some falsehoods."""
    if value is False:
        return key in _FALSE_IS_ABSENT
    return value in ({}, []) or (value == "" and not _TEXT_MAPS.intersection(names[-1:]))


def _missing_in_list(desired: Sequence[Any], live: Any, names: tuple[str, ...], path: str) -> str | None:
    if not isinstance(live, Sequence) or isinstance(live, str):
        return path
    name = names[-1] if names else ""
    keys = _port_keys(desired) if name == "ports" else _LIST_KEYS.get(name)
    if keys is None or not all(isinstance(item, Mapping) for item in desired):  # policies list ports as texts
        if len(desired) != len(live):
            return path
        for index, (want, have) in enumerate(zip(desired, live, strict=True)):
            found = _missing(want, have, names, f"{path}[{index}]")
            if found is not None:
                return found
        return None
    return _missing_by_key(desired, live, keys, names, path)


def _missing_by_key(
    desired: Sequence[Any], live: Sequence[Any], keys: tuple[str, ...], names: tuple[str, ...], path: str
) -> str | None:
    index = {tuple(item.get(key) for key in keys): item for item in live if isinstance(item, Mapping)}
    for item in desired:
        identity = tuple(item.get(key) for key in keys)
        here = f"{path}[{','.join(str(part) for part in identity)}]"
        if identity not in index:
            return here
        found = _missing(item, index[identity], names, here)
        if found is not None:
            return found
    return None


def _port_keys(desired: Sequence[Any]) -> tuple[str, ...]:
    """Ports are merged by number and protocol: `containerPort` in a container, `port` in a Service."""
    return ("containerPort",) if any("containerPort" in item for item in desired) else ("port",)


def _same(desired: Any, live: Any, names: tuple[str, ...]) -> bool:
    # `1` and `True` are equal in Python and different in JSON.
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return True
    if not _QUANTITY_PARENTS.intersection(names[-2:-1]) and not _QUANTITY_FIELDS.intersection(names[-1:]):
        return False
    if not isinstance(desired, str | int) or not isinstance(live, str | int):
        return False
    left, right = quantity.parse(str(desired)), quantity.parse(str(live))
    return left is not None and left == right
