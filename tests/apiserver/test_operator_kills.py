"""The operator killed in front of each of its writes, and behind each: a restart goes on where the cluster is."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.apiserver.api_proxy import Request, Rule
from tests.apiserver.operator_process import Installation, Space, manifest

pytestmark = pytest.mark.apiserver

VERSION = [{"name": f"v{number}", "uri": f"s3://models/m/{number}/"} for number in (1, 2)]
FULL = {
    "resources": {"requests": {"cpu": "1"}},
    "scaling": {"minReplicas": 2, "maxReplicas": 3, "metrics": [{"type": "CPUUtilization", "target": 70}]},
    "expose": {"nodePort": {}},
}


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


def events(space: Space, name: str) -> list[str]:
    """Reasons of the Events about a model."""
    return [
        it["reason"]
        for it in space.list("Event")
        if it["regarding"]["name"] == name and it["regarding"]["kind"] == "InferenceModel"
    ]


def shape(space: Space, name: str) -> Counter[str]:
    """All objects of a model by kind and name, Events by reason; what a second one of anything would change."""
    found = Counter(child.replace(name, "M") for child in space.children(name))
    found.update(f"Event {reason}" for reason in events(space, name))
    found.update(f"Replicas {it['spec']['replicas']}" for it in space.list("Deployment", model=name))
    return found


def create(space: Space, name: str) -> None:
    space.create("InferenceModel", manifest(name, versions=VERSION[:1], **FULL))


def is_created(space: Space, name: str) -> bool:
    return space.is_ready(name)


def replace(space: Space, name: str) -> None:
    """The only version is replaced by another one: traffic moves, then the old version is deleted."""
    space.patch("InferenceModel", name, {"spec": {"versions": VERSION[1:]}})


def is_replaced(space: Space, name: str) -> bool:
    return (
        space.is_ready(name, "v2")
        and not space.list("Service", model=name, version="v1")
        and len(space.list("Deployment", model=name)) == 1
    )


class Killer:
    """Kills the operator in front of a write of one model, and its successor when the same write is answered but not read."""

    def __init__(self, installation: Installation, name: str, target: str, occurrence: int) -> None:
        self.installation, self.target = installation, target.replace("M", name, 1) if "/M" in target else target
        self.strikes = 0
        installation.proxy.add(
            Rule(when=lambda it: self._is(it, 0), skip=occurrence, times=1, before=self._kill, drop_before=True)
        )
        installation.proxy.add(Rule(when=lambda it: self._is(it, 1), times=1, after=self._kill, drop_after=True))

    def _is(self, request: Request, strikes: int) -> bool:
        return self.strikes == strikes and request.target == self.target

    def _kill(self, _: Request) -> None:
        self.installation.operators[-1].kill()
        self.strikes += 1


Change = tuple[Callable[[Space, str], None], Callable[[Space, str], bool]]
PHASES: dict[str, Change] = {"create": (create, is_created), "replace": (replace, is_replaced)}


@pytest.mark.parametrize("phase", PHASES)
def test_killed_at_every_write(installation: Installation, phase: str) -> None:
    """Killed before a write is sent, and again after one is answered but not read, at every write: the end is the same.

    Nothing is there twice. Only an Event may be missing, if the operator died between the status and the Event.
    """
    space, proxy = installation.space, installation.proxy
    change, is_done = PHASES[phase]
    prepare(installation, f"{phase}-plain", phase)
    begin = len(proxy.requests)
    change(space, f"{phase}-plain")
    space.wait(lambda: is_done(space, f"{phase}-plain"), "without a kill")
    # A pass writes its Event last, after what makes the model ready.
    space.wait(lambda: any(it.target.endswith("events") for it in proxy.writes(begin)), "the Event")
    space.wait(
        lambda: len(events(space, f"{phase}-plain")) >= sum("events" in it.target for it in proxy.writes(begin)), "told"
    )
    targets = [request.target.replace(f"/{phase}-plain", "/M") for request in proxy.writes(begin)]
    expected = shape(space, f"{phase}-plain")
    space.delete("InferenceModel", f"{phase}-plain")
    assert len(targets) >= {"create": 9, "replace": 14}[phase], targets
    missed = []
    for number, target in enumerate(targets):
        name = f"{phase}-{number}"
        prepare(installation, name, phase)
        killer = Killer(installation, name, target, targets[:number].count(target))
        change(space, name)
        for strikes in (1, 2):
            space.wait(lambda: killer.strikes >= strikes or is_done(space, name), f"{name}: {target} {strikes}")  # noqa: B023
            if killer.strikes < strikes:
                missed.append(f"{target} {strikes}")
            else:
                installation.start(identity="again")
        space.wait(lambda: is_done(space, name), f"{name}: converges after {target}", 90)  # noqa: B023
        found = shape(space, name)
        assert not found - expected, (name, target, found - expected)
        assert all(key.startswith("Event") for key in expected - found), (name, target, expected - found)
        space.delete("InferenceModel", name)
    # How many statuses and Events there are depends on how fast the pods are, and so does whether an autoscaler's behavior
    # follows the first start in a write of its own: those alone may differ between two runs.
    varying = ("/status", "events", "horizontalpodautoscalers")
    assert all(any(part in it for part in varying) for it in missed), missed


def prepare(installation: Installation, name: str, phase: str) -> None:
    """An active operator, and for a replacement a model that is ready."""
    installation.proxy.clear()
    if not installation.operators or installation.operators[-1].process.poll() is not None:
        installation.start(identity="again").wait("leader")
    if phase == "replace":
        create(installation.space, name)
        installation.space.wait(lambda: is_created(installation.space, name), f"{name} before")
