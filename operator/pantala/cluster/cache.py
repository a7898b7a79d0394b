"""What the operator knows of the cluster: models and their children, by the model they belong to.

Only the parts of an object that somebody reads are kept (`slim.py`), so that a thousand models fit in a few dozen megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pantala.cluster import metrics
from pantala.cluster.claims import Claim, Claims
from pantala.cluster.gateways import Gateways
from pantala.cluster.nodes import Nodes
from pantala.cluster.objects import HOSTS, Key, Objects, key_of, number, revision
from pantala.cluster.resources import (
    CLAIM_TEMPLATE,
    FOREIGN,
    GATEWAYS,
    HTTP_ROUTE,
    ISTIO_GATEWAY,
    K8S_GATEWAY,
    MODEL,
    NODE,
    OPTIONAL,
    POD,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    VIRTUAL_SERVICE,
    WATCHED,
    Resource,
)
from pantala.cluster.slim import essence, limits
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import Availability, Mesh, Observed, choose_mesh

_OPTIONAL_KINDS = frozenset(resource.kind for resource in OPTIONAL if resource not in GATEWAYS)
_GATEWAY_OF = {Mesh.ISTIO: ISTIO_GATEWAY, Mesh.GATEWAY_API: K8S_GATEWAY}


class Cache:
    """Objects by model; calls back with the key of the model that news are about.

    Args:
        model_changed: The model itself changed, or is gone.
        child_changed: Something that its plan depends on changed.
        pod_lost: A pod that answered requests no longer does. Default: as `child_changed`.
        limits_changed: What keeps an autoscaler from what its measures ask for changed; that may wait. Default: as `child_changed`.
        mesh: The API for routes that the installation wants: `auto`, or a value of `Mesh`.
        domain: Where models without hosts get theirs: `{name}.{namespace}.{domain}`.
        allowed_domains: As in `Settings`.
    """

    def __init__(
        self,
        model_changed: Callable[[Key], None],
        child_changed: Callable[[Key], None],
        pod_lost: Callable[[Key], None] | None = None,
        *,
        limits_changed: Callable[[Key], None] | None = None,
        mesh: str = "auto",
        domain: str | None = None,
        allowed_domains: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._model_changed = model_changed
        self._child_changed = child_changed
        self._pod_lost = pod_lost or child_changed
        self._limits_changed = limits_changed or child_changed
        self._wanted, self._domain, self._allowed_domains = mesh, domain, allowed_domains or {}
        self._objects = Objects()
        self._present: frozenset[Resource] = frozenset()
        self._refused: frozenset[Resource] = frozenset()
        self._mesh = Mesh.NONE
        self._gateways = {resource: Gateways() for resource in GATEWAYS}
        self._nodes = Nodes()
        self._foreign: dict[Resource, Gateways | Nodes] = {**self._gateways, NODE: self._nodes}
        self._claims: Claims[Key] = Claims()
        for resource in (*WATCHED, *OPTIONAL, NODE):
            metrics.CACHED_OBJECTS.labels(resource.title).set_function(self._counter(resource))

    # -- reading ---------------------------------------------------------------------------------------------------

    def keys(self) -> Iterator[Key]:
        """The models that exist."""
        return iter(list(self._objects.models))

    def models(self) -> Iterator[Manifest]:
        """The models as they are stored."""
        return iter(list(self._objects.models.values()))

    def status(self, key: Key) -> Manifest:
        """The status of a model; empty if there is none."""
        return (self._objects.models.get(key) or {}).get("status") or {}

    def has(self, key: Key, version: str) -> bool:
        """Whether a model is known in this resourceVersion or a newer one."""
        known = self._objects.models.get(key)
        return known is not None and number(known) >= revision(version)

    def drop(self, key: Key) -> None:
        """A model that is gone, though no watch said so."""
        if self._objects.models.pop(key, None) is not None:
            self._claim(key)
            self._model_changed(key)

    def observe(self, key: Key) -> Observed | None:
        """Everything known about one model, or None if there is no such model."""
        model = self._objects.models.get(key)
        if model is None:
            return None
        children = self._objects.children(key)
        # While the objects of a kind are being listed a plan would take those that are there already for leftovers.
        unknown = _OPTIONAL_KINDS.difference(resource.kind for resource in self._present)
        mine = {ref: obj for ref, obj in children.items() if ref.kind != POD.kind and ref.kind not in unknown}
        pods = tuple(obj for ref, obj in sorted(children.items()) if ref.kind == POD.kind)
        gateway = _GATEWAY_OF.get(self._mesh)
        return Observed(
            model=model,
            children=mine,
            pods=pods,
            mesh=self._mesh,
            gateways=self._gateways[gateway].all() if gateway in self._present and gateway is not None else None,
            rivals=self._claims.rivals(key),
            nodes=self._nodes.all() if NODE in self._present else None,
            claim_templates=self._availability(CLAIM_TEMPLATE),
            scaled_objects=self._availability(SCALED_OBJECT),
            service_monitors=self._availability(SERVICE_MONITOR),
        )

    def _availability(self, resource: Resource) -> Availability:
        if resource in self._present:
            return Availability.SERVED
        return Availability.FORBIDDEN if resource in self._refused else Availability.ABSENT

    # -- what reflectors and kopf deliver --------------------------------------------------------------------------

    def replace(self, resource: Resource, namespace: str | None, objects: list[Manifest]) -> None:
        """The collection is exactly this; what is missing in it has gone unseen."""
        if resource in FOREIGN:
            self._foreign_news(resource, news=self._foreign[resource].replace(objects))
            return
        for key, ref in self._objects.missing(resource, namespace, map(Ref.of, objects)):
            self._lose(key, ref)
        for obj in objects:
            self.upsert(resource, obj)

    def upsert(self, resource: Resource, obj: Manifest) -> None:
        """An object appeared or changed."""
        if resource in FOREIGN:
            self._foreign_news(resource, news=self._foreign[resource].upsert(obj))
            return
        self._objects.hear(obj)
        key, ref = key_of(resource, obj), Ref.of(obj)
        if resource is not MODEL:
            self._leave(ref, key)
        if key is None:
            return
        served, known = self._objects.answering(key, ref), self._objects.children(key).get(ref)
        # The echo of a write that `written` has stored already, or something even older, is no news.
        if not self._store(resource, key, obj):
            return
        if resource not in {MODEL, POD} and known is not None:
            now = self._objects.children(key)[ref]
            if essence(resource, known) == essence(resource, now):
                # Only figures have changed, or what nobody reads: autoscalers note in their objects when they last looked.
                if limits(resource, known) != limits(resource, now):
                    self._limits_changed(key)
                return
        if resource is MODEL:
            self._model_changed(key)
        elif served is not None and self._objects.answering(key, ref) != served:
            self._pod_lost(key)
        else:
            self._child_changed(key)

    def remove(self, resource: Resource, obj: Manifest) -> None:
        """An object is gone."""
        if resource in FOREIGN:
            self._foreign_news(resource, news=self._foreign[resource].remove(obj))
            return
        self._objects.hear(obj)
        ref = Ref.of(obj)
        key = key_of(resource, obj) if resource is MODEL else self._objects.owner(ref)
        if key is None:
            return
        known = self._objects.find(resource, key, ref)
        if known is None or number(known) > number(obj):
            return  # Its successor of the same name is known already.
        if resource is MODEL:
            self.drop(key)
        else:
            self._lose(key, ref)

    def _leave(self, ref: Ref, key: Key | None) -> None:
        """Take an object away from the model that its label named before somebody changed that."""
        before = self._objects.owner(ref)
        if before is not None and before != key:
            self._lose(before, ref)

    def _lose(self, key: Key, ref: Ref) -> None:
        """A child of a model is gone, or is another's now."""
        served = self._objects.answering(key, ref)
        self.forget(ref)
        (self._child_changed if served is None else self._pod_lost)(key)

    # -- what the API server serves --------------------------------------------------------------------------------

    def apis(self, present: frozenset[Resource], refused: frozenset[Resource] = frozenset()) -> None:
        """The optional kinds whose objects are known from now on; those of the others are forgotten, not deleted.

        Args:
            present: Kinds whose objects are known.
            refused: Kinds that are there and may not be watched.
        """
        gone, changed = self._present - present, (self._present, self._refused) != (present, refused)
        self._present, self._refused = present, refused
        for resource in gone:
            if resource in FOREIGN:
                self._foreign[resource].clear()
            for ref in self._objects.of_kind(resource.kind):
                self.forget(ref)
        before, self._mesh = (
            self._mesh,
            choose_mesh(self._wanted, istio=VIRTUAL_SERVICE in present, gateway_api=HTTP_ROUTE in present),
        )
        if (before is Mesh.NONE) != (self._mesh is Mesh.NONE) and self._domain:
            for key in self._objects.models:
                self._claim(key)
        if changed:
            self._wake_all()

    def _foreign_news(self, resource: Resource, *, news: bool) -> None:
        if not news or resource not in self._present:
            return
        if resource is NODE:
            for key, model in self._objects.models.items():
                if _asks_for_cards(model) and self._objects.waits(key):
                    self._child_changed(key)
        elif _GATEWAY_OF.get(self._mesh) == resource:
            self._wake_all()

    def _wake_all(self) -> None:
        for key in self._objects.models:
            self._child_changed(key)

    # -- hosts -----------------------------------------------------------------------------------------------------

    def _claim(self, key: Key) -> None:
        """Note what a model claims now, and wake those that it concerns."""
        model = self._objects.models.get(key)
        domain = None if self._mesh is Mesh.NONE else self._domain
        claim = None if model is None else Claim.of(model, domain, self._allowed_domains)
        for other in self._claims.claim(key, claim):
            self._child_changed(other)

    def _hold(self, key: Key) -> None:
        """Note which hosts the routes of a model have now, and wake those that it concerns."""
        for other in self._claims.hold(key, self._objects.hosts(key)):
            self._child_changed(other)

    # -- what writes answer ----------------------------------------------------------------------------------------

    def written(self, resource: Resource, obj: Manifest) -> None:
        """The answer to a write, unless the watch has already brought something newer, or its end. No wake-up: the writer knows."""
        key = key_of(resource, obj)
        if key is None or (resource in OPTIONAL and resource not in self._present):
            return  # An API that left while the write was under way is not known any more.
        if not self._objects.is_over(resource, key, obj):
            self._store(resource, key, obj)

    def deleted(self, resource: Resource, obj: Manifest, left: Manifest | None) -> None:
        """The answer to the deletion of a child. No wake-up: the writer knows.

        It is about that very object alone. The watch may have removed it meanwhile, or brought its successor: what the answer
        then added would stay for ever, since no news of it come any more, and what it took away would be missing.

        Args:
            resource: Its kind.
            obj: The object that was deleted.
            left: The object where it is still there for its finalizers, so that its successor does not come before it is gone.
        """
        ref = Ref.of(obj)
        key = self._objects.owner(ref)
        known = None if key is None else self._objects.children(key).get(ref)
        if key is None or known is None or known["metadata"]["uid"] != obj["metadata"]["uid"]:
            return
        if left is None:
            self.forget(ref)
        else:
            self._store(resource, key, left)  # by the model that has it: if its label changed, the watch moves it

    def _store(self, resource: Resource, key: Key, obj: Manifest) -> bool:
        """Keep an object if it is newer than what is known; whether it was."""
        if not self._objects.store(resource, key, obj):
            return False
        if resource is MODEL:
            self._claim(key)
        elif resource.kind in HOSTS:
            self._hold(key)
        return True

    def forget(self, ref: Ref) -> None:
        """A child that is gone. No wake-up."""
        key = self._objects.forget(ref)
        if key is not None and ref.kind in HOSTS:
            self._hold(key)

    def _counter(self, resource: Resource) -> Callable[[], float]:
        if resource in FOREIGN:
            return lambda: float(len(self._foreign[resource]))
        return lambda: float(len(self._objects.of_kind(resource.kind)))


def _asks_for_cards(model: Manifest) -> bool:
    spec = model.get("spec") or {}
    return any("accelerator" in block for block in (spec, *(spec.get("versions") or ())))
