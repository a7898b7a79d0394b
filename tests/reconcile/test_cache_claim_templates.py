"""What the cache knows of ResourceClaimTemplates: whether they can be written, and those of a model."""

from typing import Any

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import CLAIM_TEMPLATE, MODEL
from pantala.planner.observed import Availability, Observed

KEY = Key("vision", "net")
KIND = frozenset({CLAIM_TEMPLATE})
NONE: frozenset[Any] = frozenset()
LABELS = {"pantala.dev/model": "net", "pantala.dev/version": "v1"}


def seen(cache: Cache) -> Observed:
    """What a plan for the model sees."""
    found = cache.observe(KEY)
    assert found is not None
    return found


def made() -> tuple[Cache, list[Key]]:
    """A cache with a model and a template of it, and who was woken since."""
    woken: list[Key] = []
    cache = Cache(woken.append, woken.append)
    cache.upsert(
        MODEL, {"kind": MODEL.kind, "metadata": {"name": "net", "namespace": "vision", "resourceVersion": "1"}}
    )
    woken.clear()
    return cache, woken


def template(number: int) -> Any:
    """A template as the API server stores it."""
    meta = {"name": "net-v1-0", "namespace": "vision", "resourceVersion": str(number), "labels": LABELS}
    return {"kind": CLAIM_TEMPLATE.kind, "metadata": meta, "spec": {"spec": {"devices": {}}}}


def test_whether_they_can_be_written() -> None:
    """Absent until they are known to be served; what may not be read is forbidden. Each change wakes the model, once."""
    cache, woken = made()
    assert seen(cache).claim_templates is Availability.ABSENT
    for present, refused, expected in (
        (NONE, KIND, Availability.FORBIDDEN),
        (KIND, NONE, Availability.SERVED),
        (NONE, NONE, Availability.ABSENT),
    ):
        for _ in range(2):
            cache.apis(present, refused)
        assert seen(cache).claim_templates is expected
        assert woken == [KEY]
        woken.clear()


def test_those_of_a_model() -> None:
    """One that appears or goes wakes its model."""
    cache, woken = made()
    cache.apis(KIND)
    woken.clear()
    cache.upsert(CLAIM_TEMPLATE, template(2))
    assert [ref.name for ref in seen(cache).children] == ["net-v1-0"]
    cache.remove(CLAIM_TEMPLATE, template(3))
    assert not seen(cache).children
    assert woken == [KEY, KEY]
