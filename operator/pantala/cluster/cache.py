"""What the operator knows of the cluster: models and their children, by the model they belong to.

Only the parts of an object that somebody reads are kept: without `managedFields` and the specs of pods the cache of a
thousand models fits in a few dozen megabytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pantala import naming
from pantala.cluster import metrics
from pantala.cluster.resources import AUTOSCALER, DEPLOYMENT, MODEL, POD, WATCHED, Resource
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import REPLICAS_OWNERS, Observed


class Key(NamedTuple):
    """A model: what the queue holds."""

    namespace: str
    name: str


class Cache:
    """Objects by model; calls back with the key of the model that news are about."""

    def __init__(self, model_changed: Callable[[Key], None], child_changed: Callable[[Key], None]) -> None:
        self._model_changed = model_changed
        self._child_changed = child_changed
        self._models: dict[Key, Manifest] = {}
        self._children: dict[Key, dict[Ref, Manifest]] = defaultdict(dict)
        self._owners: dict[Ref, Key] = {}
        for resource in WATCHED:
            metrics.CACHED_OBJECTS.labels(resource.plural).set_function(self._counter(resource))

    # -- reading ---------------------------------------------------------------------------------------------------

    def keys(self) -> Iterator[Key]:
        """The models that exist."""
        return iter(list(self._models))

    def has(self, key: Key, version: str) -> bool:
        """Whether a model is known in this resourceVersion or a newer one."""
        known = self._models.get(key)
        return known is not None and _number(known) >= (int(version) if version.isdigit() else 0)

    def drop(self, key: Key) -> None:
        """A model that is gone, though no watch said so."""
        if self._models.pop(key, None) is not None:
            self._model_changed(key)

    def observe(self, key: Key) -> Observed | None:
        """Everything known about one model, or None if there is no such model."""
        model = self._models.get(key)
        if model is None:
            return None
        children = self._children.get(key, {})
        mine = {ref: obj for ref, obj in children.items() if ref.kind != POD.kind}
        pods = tuple(obj for ref, obj in sorted(children.items()) if ref.kind == POD.kind)
        return Observed(model=model, children=mine, pods=pods)

    # -- what reflectors and kopf deliver --------------------------------------------------------------------------

    def replace(self, resource: Resource, namespace: str | None, objects: list[Manifest]) -> None:
        """The collection is exactly this; what is missing in it has gone unseen."""
        present = {Ref.of(obj) for obj in objects}
        for key, children in self._children.items():
            if namespace is None or key.namespace == namespace:
                gone = [ref for ref in children if ref.kind == resource.kind and ref not in present]
                for ref in gone:
                    del children[ref]
                    self._owners.pop(ref, None)
                    self._child_changed(key)
        for obj in objects:
            self.upsert(resource, obj)

    def upsert(self, resource: Resource, obj: Manifest) -> None:
        """An object appeared or changed."""
        key = _key(resource, obj)
        if resource is not MODEL:
            self._leave(Ref.of(obj), key)
        # The echo of a write that `written` has stored already, or something even older, is no news.
        if key is not None and self._store(resource, key, obj):
            (self._model_changed if resource is MODEL else self._child_changed)(key)

    def remove(self, resource: Resource, obj: Manifest) -> None:
        """An object is gone."""
        ref = Ref.of(obj)
        key = _key(resource, obj) if resource is MODEL else self._owners.get(ref)
        if key is None:
            return
        known = self._models.get(key) if resource is MODEL else self._children[key].get(ref)
        if known is None or _number(known) > _number(obj):
            return  # Its successor of the same name is known already.
        if resource is MODEL:
            del self._models[key]
            self._model_changed(key)
        else:
            self.forget(ref)
            self._child_changed(key)
        if key not in self._models and not self._children.get(key):
            self._children.pop(key, None)

    def _leave(self, ref: Ref, key: Key | None) -> None:
        """Take an object away from the model that its label named before somebody changed that."""
        before = self._owners.get(ref)
        if before is not None and before != key:
            self.forget(ref)
            self._child_changed(before)

    # -- what writes answer ----------------------------------------------------------------------------------------

    def written(self, resource: Resource, obj: Manifest) -> None:
        """The answer to a write, unless the watch has already brought something newer. No wake-up: the writer knows."""
        key = _key(resource, obj)
        if key is None:
            return
        self._store(resource, key, obj)

    def _store(self, resource: Resource, key: Key, obj: Manifest) -> bool:
        """Keep an object if it is newer than what is known; whether it was."""
        ref = Ref.of(obj)
        known = self._models.get(key) if resource is MODEL else self._children[key].get(ref)
        if known is not None and _number(known) >= _number(obj):
            return False
        if resource is MODEL:
            self._models[key] = _slim(resource, obj)
        else:
            self._children[key][ref] = _slim(resource, obj)
            self._owners[ref] = key
        return True

    def forget(self, ref: Ref) -> None:
        """An object that was just deleted, so that the next pass does not delete it again."""
        key = self._owners.pop(ref, None)
        if key is not None:
            self._children[key].pop(ref, None)

    def _counter(self, resource: Resource) -> Callable[[], float]:
        return lambda: float(sum(ref.kind == resource.kind for kids in self._children.values() for ref in kids))


def _key(resource: Resource, obj: Manifest) -> Key | None:
    meta = obj["metadata"]
    if resource is MODEL:
        return Key(meta["namespace"], meta["name"])
    name = meta.get("labels", {}).get(naming.LABEL_MODEL)
    return Key(meta["namespace"], name) if name else None


def _number(obj: Manifest) -> int:
    # Comparable since Kubernetes 1.35 (KEP-5504) and in practice always: it is etcd's revision.
    text = obj["metadata"].get("resourceVersion", "0")
    return int(text) if text.isdigit() else 0


def _slim(resource: Resource, obj: Manifest) -> Manifest:
    """The object without what nobody reads."""
    meta: dict[str, Any] = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if resource is DEPLOYMENT:
        meta[REPLICAS_OWNERS] = _replicas_owners(obj)
    slim = {**obj, "metadata": meta}
    if resource is POD:
        slim["spec"] = {"nodeName": obj.get("spec", {}).get("nodeName")}
    elif resource is AUTOSCALER:
        slim.pop("status", None)
    return slim


def _replicas_owners(obj: Manifest) -> list[str]:
    """Field managers that own `spec.replicas`: who decides how many pods there are."""
    return sorted(
        {
            entry.get("manager", "")
            for entry in obj["metadata"].get("managedFields", [])
            if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        }
    )
