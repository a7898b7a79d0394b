"""The order of the tests: each kind of cluster is started once, and stopped after the last file that needs it.

pytest keeps a fixture of the session until its end: every kind of cluster would be up in every worker for the whole run, and the
idle ones take half a core and most of the memory. So

- files are sorted by what their tests share with others (`KINDS`), else in their own order;
- a worker of pytest-xdist begins at its own place of that list and always takes the nearest file that is left (`Lanes`): of two, one
  comes from the front and one from the back, and at most the kind where they meet is up twice;
- when the next file needs a cluster no more, its fixture is finished, and before it those that depend on it (`EarlyStop`).
"""

from collections.abc import Generator, Iterable

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.workermanage import WorkerController

OWN = "a cluster of its own"
"""Kind of a file with a cluster that no other file sees."""

NODES = ("tests/e2e/p2p/cluster", "cluster", "mesh", "injected", "tests/traffic/guarded", OWN)
STORES = ("s3", "azurite", "gcs", "s3_gateway")
PLANES = ("mesh_plane", "kwok_cluster", "control_plane", "api_server_1_31")

KINDS = (*NODES, "", *STORES, *PLANES)
"""What files share, in the order of the list: fixtures of clusters with real nodes, and of what is on them, of stores, and of
clusters without nodes.

`""` stands for nothing. Two workers meet in the middle: files are short there, and no cluster is started for the last of them.
"""

STAYS_IN = {"mesh": "cluster"}
"""What is not removed from its cluster, which ends with it: CRDs take longer to go, a minute and more, than a cluster to start."""

SHARED = {*NODES[:2], *PLANES}
"""Fixtures of clusters that files share."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the part that knows what the next file needs."""
    config.pluginmanager.register(EarlyStop(), "early-stop")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> "Lanes | None":
    """Distribute files by lanes where whole files are asked for (`--dist loadfile`)."""
    return Lanes(config, log) if config.getvalue("dist") == "loadfile" else None


def place(needs: Iterable[str]) -> tuple[int, int]:
    """Where files that need these kinds are in the list: those that share a kind are neighbours.

    Of nodes and what is on them the last decides: a mesh comes when the cluster is no more needed without one.
    """
    places = [KINDS.index(kind) for kind in needs] or [KINDS.index("")]
    nodes = [it for it in places if it < len(NODES)]
    return (max(nodes), 0) if nodes else (min(places), max(places))


def file_of(item: pytest.Item) -> str:
    """File of a test: what is kept together."""
    return item.nodeid.split("::", 1)[0]


def needs_of(item: pytest.Item) -> set[str]:
    """Kinds that a test asks for, also through other fixtures; `OWN` if it is marked as one with a cluster."""
    closure = getattr(item, "_fixtureinfo", None)  # as pytest resolved it; no public name leads to it
    needs = set(map(kind_of, (found[-1] for found in closure.name2fixturedefs.values()))) - {""} if closure else set()
    real = any(item.get_closest_marker(name) for name in ("apiserver", "e2e"))
    return needs | {OWN} if real else needs


def needs_by_file(items: Iterable[pytest.Item]) -> dict[str, set[str]]:
    """Kinds that the tests of each file ask for; a file whose cluster others share counts as one without its own."""
    needs: dict[str, set[str]] = {}
    for item in items:
        needs.setdefault(file_of(item), set()).update(needs_of(item))
    return {file: found - {OWN} if found & SHARED else found for file, found in needs.items()}


def kind_of(fixture: "pytest.FixtureDef[object]") -> str:
    """The kind that a fixture is, with the folder whose tests alone see it: `cluster` of one folder is not that of all; else empty.

    A parameter of a test may have the name of a kind and is none.
    """
    name = f"{fixture.baseid}/{fixture.argname}".removeprefix("/")
    return name if name in KINDS and fixture.scope in {"session", "package"} else ""


class EarlyStop:
    """Sorts the files, and finishes the fixtures of kinds that the next file does not need."""

    def __init__(self) -> None:
        self._needs: dict[str, set[str]] = {}
        self._live: dict[str, tuple[pytest.FixtureDef[object], pytest.FixtureRequest]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Sort by file. Without workers, what needs nothing comes first: it says soonest what is wrong."""
        alone = not hasattr(config, "workerinput")
        needs = self._needs = needs_by_file(items)
        items.sort(key=lambda item: (alone and bool(needs[file_of(item)]), *place(needs[file_of(item)])))

    def pytest_fixture_setup(self, fixturedef: "pytest.FixtureDef[object]", request: pytest.FixtureRequest) -> None:
        """Note a fixture that is about to start."""
        if kind := kind_of(fixturedef):
            self._live[kind] = fixturedef, request

    def pytest_fixture_post_finalizer(self, fixturedef: "pytest.FixtureDef[object]") -> None:
        """Forget one that is gone."""
        self._live.pop(kind_of(fixturedef), None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """After the fixtures of the test and its module, end those of kinds that the next file does not need.

        What fails there is an error of the test that was the last to need it.
        """
        result = yield
        if nextitem and file_of(nextitem) != file_of(item):
            over = self._live.keys() - self._needs[file_of(nextitem)]
            over |= {STAYS_IN[name] for name in over & STAYS_IN.keys()}
            for fixture, request in [it for name, it in self._live.items() if name in over]:
                fixture.finish(request)
        return result


class Lanes(LoadFileScheduling):
    """Gives a worker the file nearest to its last one; workers begin evenly spread over the list."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by the number of tests: it would undo the order
        self._files: list[str] = []
        self._lane: dict[WorkerController, int] = {}
        self._at: dict[WorkerController, int] = {}

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Put the file that is this worker's next to the front of the queue, from where it is taken."""
        self._files = self._files or list(self.workqueue)
        left = {index: file for index, file in enumerate(self._files) if file in self.workqueue}
        at = self._at[node] if node in self._at else self._begin(node)
        self._at[node] = min(left, key=lambda index: abs(index - at))
        self.workqueue.move_to_end(left[self._at[node]], last=False)
        super()._assign_work_unit(node)

    def _begin(self, node: WorkerController) -> int:
        """Index of a worker's first file; one that replaces a dead worker has its lane."""
        taken = {lane for worker, lane in self._lane.items() if worker in self.assigned_work}
        lane = self._lane[node] = min(set(range(self.numnodes)) - taken, default=0)
        return lane * (len(self._files) - 1) // max(1, self.numnodes - 1)
