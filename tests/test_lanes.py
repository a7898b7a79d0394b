"""Files that share a cluster run one after the other on one worker, and the cluster goes with the last of them."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.lanes import OWN, SHARED, Lanes, file_of, place

ROOT = Path(__file__).parents[1]

CONFTEST = """
import os, pathlib, pytest

def log(line):
    with open(os.environ["LOG"], "a") as stream:
        stream.write(f"{os.environ.get('PYTEST_XDIST_WORKER', 'alone')} {line}\\n")

def kind(name):
    @pytest.fixture(scope="session", name=name)
    def made():
        log(f"+{name}")
        yield name
        log(f"-{name}")
    return made

cluster, kwok_cluster, control_plane = map(kind, ("cluster", "kwok_cluster", "control_plane"))

def using(name):
    log(f"+{name}")
    yield
    log(f"-{name}")

@pytest.fixture(scope="session")
def mesh(cluster):
    yield from using("mesh")

@pytest.fixture(scope="session")
def operator(kwok_cluster):
    yield from using("operator")

@pytest.fixture(autouse=True)
def told(request):
    yield
    log(request.node.path.stem)
"""

FILES = {
    "test_a": "control_plane",
    "test_b": "",
    "test_c": "kwok_cluster",
    "test_d": "cluster",
    "test_e": "kwok_cluster, control_plane",
    "test_f": "operator",
    "test_g": "cluster",
    "test_h": "mesh",
}


def run(folder: Path, *options: str) -> dict[str, list[str]]:
    """Run the files with real pytest; return by worker what started (`+`), what ended (`-`) and the tests between."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_b_too.py").write_text(
        'import pytest\n@pytest.mark.parametrize("mesh", [1])\ndef test_0(mesh):\n    pass\n'
    )
    for name, fixtures in FILES.items():
        tests = "".join(f"def test_{number}({fixtures}):\n    pass\n" for number in range(4))
        (folder / f"{name}.py").write_text(tests)
    env = os.environ | {"LOG": str(folder / "log"), "PYTHONPATH": str(ROOT)}
    env.pop("PYTEST_XDIST_WORKER", None)
    command = (sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(folder), "-p", "tests.lanes")
    done = subprocess.run([*command, *options, folder], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, list[str]] = {}
    for line in (folder / "log").read_text().splitlines():
        worker, what = line.split()
        if told.setdefault(worker, [""])[-1] != what:
            told[worker].append(what)
    return {worker: lines[1:] for worker, lines in told.items()}


def test_a_cluster_goes_with_the_last_file_that_needs_it(tmp_path: Path) -> None:
    """One process: files without a cluster first, no cluster started twice, what depends on one gone before it."""
    told = run(tmp_path)
    assert " ".join(told["alone"]) == (
        "test_b test_b_too +cluster test_d test_g +mesh test_h -mesh -cluster +kwok_cluster test_c +operator test_f"
        " +control_plane test_e -operator -kwok_cluster test_a -control_plane"
    )


def test_two_workers_meet_in_the_middle(tmp_path: Path) -> None:
    """Two processes: all tests run once, and clusters of the two ends are not started by the same worker first."""
    told = run(tmp_path, "-n", "2", "--dist", "loadfile")
    tests = [line for lines in told.values() for line in lines if line.startswith("test_")]
    assert sorted(tests) == sorted([*FILES, "test_b_too"])
    first = {lines[0] for lines in told.values()}
    assert first == {"+cluster", "+control_plane"}
    started = [line for lines in told.values() for line in lines if line.startswith("+")]
    ended = [line for lines in told.values() for line in lines if line.startswith("-")]
    assert sorted(line[1:] for line in started) == sorted(line[1:] for line in ended)


@dataclass(eq=False)
class StandinWorker:
    """In place of a worker of pytest-xdist: keeps what it was given."""

    given: list[int] = field(default_factory=list)
    shutting_down: bool = False
    gateway: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(id="gw"))

    def send_runtest_some(self, indices: list[int]) -> None:
        """Note the tests that shall run."""
        self.given += indices

    def shutdown(self) -> None:
        """Note that nothing more will come."""
        self.shutting_down = True


def distribute(workers: int, files: int) -> list[list[int]]:
    """Which files each of some workers of equal speed gets, in order; a file has three tests."""
    tests = [f"test_{file:02}.py::test_{test}" for file in range(files) for test in range(3)]
    option = SimpleNamespace(loadscopereorder=True)
    lanes = Lanes(SimpleNamespace(option=option, getvalue=lambda _name: [f"{workers}*popen"]))  # type: ignore[arg-type]
    nodes = [StandinWorker() for _ in range(workers)]
    for node in nodes:
        lanes.add_node(node)  # type: ignore[arg-type]
        lanes.add_node_collection(node, tests)  # type: ignore[arg-type]
    lanes.schedule()
    for turn in range(len(tests)):
        for node in nodes:
            if turn < len(node.given):
                lanes.mark_test_complete(node, node.given[turn])  # type: ignore[arg-type]
    assert sorted(index for node in nodes for index in node.given) == list(range(len(tests)))
    return [[index // 3 for index in node.given[::3]] for node in nodes]


def test_workers_take_the_nearest_file() -> None:
    """One of two comes from the front and one from the back; a third begins in the middle and goes one way."""
    assert distribute(1, 4) == [[0, 1, 2, 3]]
    assert distribute(2, 10) == [[0, 1, 2, 3, 4], [9, 8, 7, 6, 5]]
    front, middle, back = distribute(3, 12)
    assert front == sorted(front)
    assert back == sorted(back, reverse=True)
    assert middle[:2] == [5, 4]


def test_files_that_share_a_cluster_are_neighbours() -> None:
    """Nodes in front, planes at the back, nothing in the middle; a file with two kinds stands between them."""
    needs = [
        {"cluster", "s3"},
        {"cluster", "mesh"},
        {"cluster", "mesh", "injected"},
        {OWN},
        set(),
        {"s3"},
        {"kwok_cluster"},
        {"kwok_cluster", "control_plane"},
    ]
    needs += [{"control_plane"}, {"control_plane", "api_server_1_31"}]
    places = [place(it) for it in needs]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def shared_clusters() -> set[str]:
    """Names of the fixtures that start a cluster for more than one file, with the folder of a conftest in front."""
    found = set()
    for path in sorted(ROOT.glob("tests/**/*.py")):
        folder = "" if path.name != "conftest.py" else f"{path.parent.relative_to(ROOT)}/"
        text = path.read_text()
        for function in ast.walk(ast.parse(text)) if "with running(" in text else ():
            if isinstance(function, ast.FunctionDef):
                decorated = " ".join(map(ast.unparse, function.decorator_list))
                if re.search(r"scope='(session|package)'", decorated) and "with running(" in ast.unparse(function):
                    found.add(folder + function.name)
    return found


def test_every_shared_cluster_has_its_place() -> None:
    """A fixture that starts a cluster for more than one file is a kind: else it would live until the end of the run."""
    assert shared_clusters() == SHARED


def test_this_file_is_kept_together(request: pytest.FixtureRequest) -> None:
    """What is kept together is a file, whatever the names of its tests hold."""
    assert file_of(request.node) == "tests/test_lanes.py"
