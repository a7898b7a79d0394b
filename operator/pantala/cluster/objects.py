"""Models and their children in memory: whose an object is, which of two is newer, what is gone. It wakes nobody (`cache` does)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pantala import naming
from pantala.cluster.resources import HTTP_ROUTE, MODEL, POD, VIRTUAL_SERVICE, Resource
from pantala.cluster.slim import answers, carried, slim
from pantala.manifest.types import Manifest, Ref

HOSTS = {VIRTUAL_SERVICE.kind: "hosts", HTTP_ROUTE.kind: "hostnames"}
"""Where the spec of a route has its hosts, by kind."""


class Key(NamedTuple):
    """A model: what the queue holds."""

    namespace: str
    name: str


class Objects:
    """Each model and each child once, in the newest form that was seen."""

    def __init__(self) -> None:
        self.models: dict[Key, Manifest] = {}
        """The models as they are stored."""
        self._children: dict[Key, dict[Ref, Manifest]] = {}
        self._owners: dict[Ref, Key] = {}
        self._heard: dict[tuple[str, str], int] = {}
        """Up to which revision a watch has told of a kind in a namespace."""

    def __len__(self) -> int:
        """How many objects are known."""
        return len(self.models) + len(self._owners)

    def find(self, resource: Resource, key: Key, ref: Ref) -> Manifest | None:
        """A model, or a child of one."""
        return self.models.get(key) if resource is MODEL else self._children.get(key, {}).get(ref)

    def children(self, key: Key) -> Mapping[Ref, Manifest]:
        """The children of a model, of whatever kind."""
        return self._children.get(key, {})

    def owner(self, ref: Ref) -> Key | None:
        """The model under which a child is known."""
        return self._owners.get(ref)

    def of_kind(self, kind: str) -> list[Ref]:
        """The children of a kind, whoever's."""
        return [ref for ref in self._owners if ref.kind == kind]

    def missing(self, resource: Resource, namespace: str | None, present: Iterable[Ref]) -> Iterator[tuple[Key, Ref]]:
        """Children of a kind that a list of a namespace (None: of all) does not hold, and whose they are."""
        there = frozenset(present)
        for ref in self.of_kind(resource.kind):
            if ref not in there and (namespace is None or ref.namespace == namespace):
                yield self._owners[ref], ref

    def store(self, resource: Resource, key: Key, obj: Manifest) -> bool:
        """Keep an object unless it, or a newer form of it, is known already; whether it was kept."""
        ref = Ref.of(obj)
        known = self.find(resource, key, ref)
        if known is not None and number(known) >= number(obj):
            return False
        if resource is MODEL:
            self.models[key] = slim(resource, obj)
        else:
            self._children.setdefault(key, {})[ref] = carried(resource, slim(resource, obj), known)
            self._owners[ref] = key
        return True

    def hear(self, obj: Manifest) -> None:
        """A watch told of an object in this revision, be it its end."""
        place = obj["kind"], obj["metadata"]["namespace"]
        self._heard[place] = max(number(obj), self._heard.get(place, 0))

    def is_over(self, resource: Resource, key: Key, obj: Manifest) -> bool:
        """Whether an object that a write left in this revision is gone since: it is not known, though a watch has been past that.

        A watch tells of everything in its order. No more news would come of such an object: what a plan took for there would
        never be made again.
        """
        told = self._heard.get((obj["kind"], obj["metadata"]["namespace"]), -1)
        return self.find(resource, key, Ref.of(obj)) is None and told >= number(obj)

    def forget(self, ref: Ref) -> Key | None:
        """Take a child away; whose it was."""
        key = self._owners.pop(ref, None)
        if key is not None:
            mine = self._children[key]
            mine.pop(ref, None)
            if not mine:
                del self._children[key]
        return key

    def answering(self, key: Key, ref: Ref) -> str | None:
        """The version for which a pod answers requests; None for what is no such pod."""
        pod = self.children(key).get(ref) if ref.kind == POD.kind else None
        return None if pod is None else answers(pod)

    def waits(self, key: Key) -> bool:
        """Whether a model has a pod that no node has taken yet."""
        pods = (obj for ref, obj in self.children(key).items() if ref.kind == POD.kind)
        return any(pod["spec"]["nodeName"] is None and "deletionTimestamp" not in pod["metadata"] for pod in pods)

    def hosts(self, key: Key) -> frozenset[str]:
        """The hosts that the routes of a model have, in lower case."""
        return frozenset(
            host.lower()
            for ref, obj in self.children(key).items()
            if ref.kind in HOSTS
            for host in (obj.get("spec") or {}).get(HOSTS[ref.kind]) or ()
        )


def key_of(resource: Resource, obj: Manifest) -> Key | None:
    """The model that an object is, or that its label names; None without such a label."""
    meta = obj["metadata"]
    if resource is MODEL:
        return Key(meta["namespace"], meta["name"])
    name = meta.get("labels", {}).get(naming.LABEL_MODEL)
    return Key(meta["namespace"], name) if name else None


def number(obj: Manifest) -> int:
    """The resourceVersion of an object as a number; 0 if it has none. Of an object that a watch says is deleted: of the deletion."""
    return revision(obj["metadata"].get("resourceVersion", "0"))


def revision(version: str) -> int:
    """A resourceVersion as a number; 0 if it is none.

    Comparable since Kubernetes 1.35 (KEP-5504) and in practice always: it is etcd's revision.
    """
    return int(version) if version.isdigit() else 0
