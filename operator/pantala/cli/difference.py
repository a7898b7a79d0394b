"""What the operator would change on live objects. Pure.

A live object holds much that is not the operator's: defaults, and fields of other managers. What is compared is the part
that the operator asks for, and the part that it asked for before (`managedFields`) and would take away.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pantala import naming
from pantala.cli import output
from pantala.cluster.apply import Action, needed
from pantala.manifest.contains import missing
from pantala.manifest.types import Manifest, Ref


@dataclass(frozen=True)
class Change:
    """One object that the operator would write."""

    action: Literal["create", "update", "delete"]
    ref: Ref
    before: Manifest | None
    """The operator's part of the live object; None if it would be made."""
    after: Manifest | None
    """The object as asked for; None if it would be deleted."""


def change(desired: Manifest, live: Manifest | None) -> Change | None:
    """What writing the stamped manifest `desired` over `live` (with `managedFields`) changes; None if it is left out."""
    action = needed(desired, live)
    if action is Action.NOTHING:
        return None
    ref = Ref.of(desired)
    if live is None:
        return Change("create", ref, None, desired)
    return Change("update", ref, own_part(live, desired), desired)


def deletion(live: Manifest) -> Change:
    """The deletion of a live object."""
    return Change("delete", Ref.of(live), own_part(live, {}), None)


def own_part(live: Manifest, desired: Manifest) -> Manifest:
    """The part of a live object that the operator asks for or asked for at its last write."""
    owned: Mapping[str, Any] = {}
    for entry in live["metadata"].get("managedFields", ()):
        if entry.get("manager") == naming.FIELD_MANAGER and entry.get("operation") == "Apply":
            owned = entry.get("fieldsV1", {})
    identity = {"apiVersion": live["apiVersion"], "kind": live["kind"]}
    meta = {key: live["metadata"][key] for key in ("name", "namespace")}
    part = _part(live, desired, owned, "")
    return {**part, **identity, "metadata": {**part.get("metadata", {}), **meta}}


def _part(live: Any, desired: Any, owned: Mapping[str, Any], path: str) -> Any:
    """`live` without what neither `desired` nor the set of owned fields names; equal values in the words of `desired`."""
    inside = {key: value for key, value in owned.items() if key != "."}
    if isinstance(live, Mapping) and (isinstance(desired, Mapping) or inside):
        wanted: Mapping[str, Any] = desired if isinstance(desired, Mapping) else {}
        found = {}
        for key, value in live.items():
            if key in wanted or f"f:{key}" in inside:
                found[key] = _part(value, wanted.get(key), inside.get(f"f:{key}", {}), f"{path}.{key}")
        # The API server drops empty maps and lists: their absence is no difference.
        return {**{key: value for key, value in wanted.items() if key not in live and value in ({}, [])}, **found}
    if isinstance(live, Sequence) and not isinstance(live, str):
        return _part_of_list(live, desired, inside, path)
    return desired if desired is not None and missing(desired, live, path) is None else live


def _part_of_list(live: Sequence[Any], desired: Any, inside: Mapping[str, Any], path: str) -> Any:
    wanted: Sequence[Any] = desired if isinstance(desired, Sequence) else ()
    keys = [(json.loads(key[2:]), fields) for key, fields in inside.items() if key.startswith("k:")]
    if not keys:
        if len(wanted) != len(live):
            return live
        return [_part(have, want, {}, f"{path}[]") for have, want in zip(live, wanted, strict=True)]
    names = tuple(keys[0][0])
    found = []
    for item in live:
        match = next((want for want in wanted if _same_item(want, item, names)), None)
        fields = next((fields for key, fields in keys if all(item.get(name) == key[name] for name in key)), None)
        if match is not None or fields is not None:
            found.append((match, _part(item, match, fields or {}, f"{path}[]")))
    # In the order of what is asked for, as the API server's own order is no difference.
    found.sort(key=lambda pair: wanted.index(pair[0]) if pair[0] is not None else len(wanted))
    return [item for _, item in found]


def _same_item(want: Mapping[str, Any], item: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Items of a list are one and the same by their keys; a key with a default (`protocol`) may be left out."""
    return all(name not in want or want[name] == item.get(name) for name in names)


def unified(found: Change, *, brief: bool) -> list[str]:
    """The change as a unified diff of YAML, without line ends."""

    def lines(obj: Manifest | None) -> list[str]:
        if obj is None:
            return []
        shown = output.without(obj, output.OPERATORS_OWN) if brief else output.readable(obj)
        return output.as_yaml(shown).splitlines()

    before = f"live: {found.ref}" if found.before is not None else "/dev/null"
    after = f"plan: {found.ref}" if found.after is not None else "/dev/null"
    return list(difflib.unified_diff(lines(found.before), lines(found.after), before, after, lineterm=""))
