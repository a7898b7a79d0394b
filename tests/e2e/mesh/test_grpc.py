"""gRPC to real Triton pods through a real Envoy, at the host and port that HTTP has, counted at the servers."""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.e2e.mesh.counting import Counted, near, operating
from tests.e2e.mesh.support import exposed
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

MANY = 1000
SOME = 500
TESTER = ("x-tester", "yes")
_SERVICE = "/inference.GRPCInferenceService/"
_AT_ONCE = 8


@pytest.fixture(scope="module", params=["istio", "gateway-api"])
def who(request: pytest.FixtureRequest) -> str:
    """Who routes."""
    return str(request.param)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, mesh: Mesh, who: str) -> Iterator[Operator]:
    """The operator, told who routes."""
    with operating(cluster, "--mesh", who) as process:
        yield process


@pytest.fixture(scope="module")
def counted(stored: Space, mesh: Mesh, who: str) -> Iterator[Counted]:
    """A model of Triton with versions v1 to v3."""
    with exposed(stored, mesh, "triton", "spoken") as model:
        yield Counted(model, api=who == "gateway-api")


@pytest.fixture
def channel(counted: Counted) -> Iterator[grpc.Channel]:
    """A connection to the gateway for the model's host."""
    options = [("grpc.default_authority", counted.model.host)]
    with grpc.insecure_channel(counted.url.removeprefix("http://"), options=options) as made:
        yield made


def field(number: int, content: bytes) -> bytes:
    """A field of a message of protobuf whose content has a length (wire type 2), at most 127 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def question(model: str) -> bytes:
    """A ModelInferRequest for the models of `store_versions` (the numbers are those of grpc_service.proto of the protocol V2)."""
    shape, numbers = field(3, b"\x01"), field(5, field(2, b"\x00"))
    tensor = field(1, b"X") + field(2, b"INT32") + shape + numbers
    return field(1, model.encode()) + field(5, tensor)


def caller(channel: grpc.Channel, model: str, *metadata: tuple[str, str]) -> Callable[[int], str]:
    """Ask the model by ModelInfer; the answer is the version, or gRPC's status code."""
    infer = channel.unary_unary(f"{_SERVICE}ModelInfer")

    def once(_: int) -> str:
        try:
            answer: bytes = infer(question(model), timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code())
        return f"v{struct.unpack('<i', answer[-4:])[0]}"  # raw_output_contents is the last field

    return once


def often(channel: grpc.Channel, counted: Counted, times: int, *metadata: tuple[str, str]) -> Counter[str]:
    """Ask many times, several at a time; how many got an answer of which version, or which status."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return Counter(pool.map(caller(channel, counted.model.name, *metadata), range(times)))


def test_split_and_health(counted: Counted, channel: grpc.Channel) -> None:
    """ServerLive and ModelReady say yes; a thousand calls of gRPC are shared 80 to 20, beside as many requests of HTTP."""
    counted.route("v1", "v2", split={"v1": 80, "v2": 20})
    yes = b"\x08\x01"  # field 1 is true
    assert channel.unary_unary(f"{_SERVICE}ServerLive")(b"", timeout=10) == yes
    asked = field(1, counted.model.name.encode())
    assert channel.unary_unary(f"{_SERVICE}ModelReady")(asked, timeout=10) == yes
    before = counted.served()
    answers = often(channel, counted, MANY)
    arrived = counted.settled(before, MANY)
    plain = counted.ask(SOME)
    print(f"gRPC: answers {dict(answers)}, at the servers {dict(arrived)}; HTTP: {dict(plain)}")
    assert answers == arrived
    assert set(answers) == set(plain) == {"v1", "v2"}
    assert near(answers["v2"], MANY, 20)
    assert near(plain["v2"], SOME, 20)


def test_mirror_and_rule(counted: Counted, channel: grpc.Channel) -> None:
    """Calls with a header go to the version of the rule, all others to v1; every call is copied to the mirror once."""
    rules = [{"name": "testers", "headers": [{"name": TESTER[0], "value": TESTER[1]}], "version": "v2"}]
    mirrors = [{"version": "v3", "percent": 100}]
    shows = ["request_mirror_policies", TESTER[0]]
    counted.route("v1", "v2", "v3", target="v1", rules=rules, mirrors=mirrors, shows=shows)
    counted.settled(Counter())  # copies of the requests before
    before = counted.served()
    plain, ruled = often(channel, counted, SOME), often(channel, counted, SOME, TESTER)
    arrived = counted.settled(before, 4 * SOME)
    print(f"gRPC: plain {dict(plain)}, with the header {dict(ruled)}, at the servers {dict(arrived)}")
    assert (plain, ruled) == ({"v1": SOME}, {"v2": SOME})
    assert arrived == {"v1": SOME, "v2": SOME, "v3": 2 * SOME}


def test_mirror_of_a_quarter(counted: Counted, channel: grpc.Channel) -> None:
    """A mirror of 25 % gets a quarter of a thousand calls as copies."""
    mirrors = [{"version": "v3", "percent": 25}]
    counted.route("v1", "v3", target="v1", mirrors=mirrors, shows=["request_mirror_policies"])
    counted.settled(Counter())
    before = counted.served()
    answers = often(channel, counted, MANY)
    arrived = counted.settled(before, MANY)
    print(f"gRPC, mirror of 25 %: answers {dict(answers)}, at the servers {dict(arrived)}")
    assert answers == {"v1": MANY}
    assert arrived["v1"] == MANY
    assert near(arrived["v3"], MANY, 25)
