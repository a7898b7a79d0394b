"""Bounds on requests and bodies, counted at real sidecars."""

from collections import Counter

import pytest

from tests.cluster.process import wait_for
from tests.traffic.guarded import METRICS, Guarded
from tests.traffic.policy_cases import CASES

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]


@pytest.mark.parametrize("case", CASES)
def test_sidecars_take_what_was_reviewed(guarded: Guarded, case: str) -> None:
    """The validation of istiod accepts every object of the golden files, and a real Envoy refuses nothing of it."""
    guarded.put(CASES[case])
    assert guarded.rejections() == []


def test_requests_beyond_the_bound_are_refused(guarded: Guarded) -> None:
    """Each replica answers as many as its bucket holds, and says of the others why and for how long."""
    guarded.put({"rateLimit": {"requests": 200, "per": "24h"}})
    assert guarded.count(600) == {200: 200, 429: 400}
    assert guarded.count(600, replica=1) == {200: 200, 429: 400}
    refused = guarded.ask()
    assert refused.headers["x-pantala-refused"] == "rate-limit"
    assert refused.headers["retry-after"] == "432"
    assert guarded.count(300, port=METRICS) == {200: 300}
    # HTTP and gRPC have a bucket each.
    given = Counter(guarded.call().status for _ in range(220))
    assert given == {"OK": 200, "RESOURCE_EXHAUSTED": 20}


def test_the_bucket_fills_again(guarded: Guarded) -> None:
    """It fills up evenly: after all is used up requests pass again long before the whole time is over."""
    guarded.put({"rateLimit": {"requests": 10, "per": "10s"}})
    first = guarded.count(30)
    assert first[200] >= 10
    assert first[429] >= 15
    wait_for(lambda: guarded.ask().status == 200, "a request passes again", 5)


def test_the_shortest_time(guarded: Guarded) -> None:
    """One request within 50 ms: a client that asks without end gets some answers and many refusals."""
    guarded.put({"rateLimit": {"requests": 1, "per": "50ms"}})
    given = guarded.count(500)
    assert given[200] >= 2
    assert given[429] >= 100
    assert set(given) == {200, 429}


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_beyond_the_bound_are_refused(guarded: Guarded, chunked: bool) -> None:  # noqa: FBT001 - a case
    """A body of the bound's size arrives whole, one of a byte more gets 413, with a length told or without."""
    guarded.put({"limits": {"maxBodySize": "64Ki"}})
    headers = {"transfer-encoding": "chunked"} if chunked else {}

    def sent(size: int) -> int | str:
        answer = guarded.ask(method="POST", body=b"x" * size, headers=headers)
        assert answer.status != 200 or f'"size": {size},'.encode() in answer.body
        return answer.status

    assert sent(64 * 1024) == 200
    assert sent(64 * 1024 + 1) == 413
    assert sent(1 << 20) == 413


def test_the_bound_on_bodies_leaves_grpc_and_metrics_alone(guarded: Guarded) -> None:
    """A message of gRPC larger than the bound arrives."""
    guarded.put({"limits": {"maxBodySize": "1Ki"}})
    assert guarded.call(body=b"x" * (1 << 20)).status == "OK"
    assert guarded.ask(method="POST", body=b"x" * 4096, port=METRICS).status == 200
    assert guarded.ask(method="POST", body=b"x" * 4096).status == 413
