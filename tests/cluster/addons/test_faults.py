import asyncio
import http.client
import threading
import time
from collections.abc import Iterator

import pytest
from opendal import AsyncOperator
from opendal.exceptions import PermissionDenied

from tests.cluster.addons.faults import FaultProxy, Rule, key_is_not
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http as send


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    s3.create_bucket("faults")
    s3.put("faults", "weights", b"w" * 300_000)
    with FaultProxy(s3.endpoint) as started:
        yield started


def _operator(proxy: FaultProxy, access_key: str) -> AsyncOperator:
    return AsyncOperator(
        "s3",
        bucket="faults",
        endpoint=proxy.endpoint,
        region="us-east-1",
        access_key_id=access_key,
        secret_access_key="secret",
        disable_config_load="true",
        disable_ec2_metadata="true",
    )


async def test_without_rules_it_changes_nothing(proxy: FaultProxy) -> None:
    """A client sees the real store, whole objects and listings, and the proxy remembers the requests."""
    operator = _operator(proxy, "ANY")
    assert await operator.read("weights") == b"w" * 300_000
    assert [entry.path async for entry in await operator.list("")] == ["weights"]
    assert [request.method for request in proxy.requests][:1] == ["GET"]


async def test_a_status_as_often_as_told(proxy: FaultProxy) -> None:
    """A rule answers in the server's place, so many times and with its headers; then the store is healthy."""
    rule = proxy.add(Rule(path="weights", status=503, code="SlowDown", headers={"Retry-After": "1"}, times=2))
    for _ in range(2):
        status, headers, body = send("GET", f"{proxy.endpoint}/faults/weights")
        assert (status, headers["Retry-After"], b"<Code>SlowDown</Code>" in body) == (503, "1", True)
    assert send("GET", f"{proxy.endpoint}/nothing/else")[0] == 404
    assert await _operator(proxy, "ANY").read("weights") == b"w" * 300_000
    assert rule.hits == 2


async def test_only_one_key_is_allowed(proxy: FaultProxy) -> None:
    """A rule can deny all but one access key, for listings too: `denied` that heals when the Secret is corrected."""
    proxy.add(Rule(when=key_is_not("GOOD"), status=403, code="AccessDenied"))
    with pytest.raises(PermissionDenied, match="AccessDenied"):
        await _operator(proxy, "BAD").read("weights")
    assert [entry.path async for entry in await _operator(proxy, "GOOD").list("")] == ["weights"]


def test_a_body_is_cut_and_an_etag_changed(proxy: FaultProxy) -> None:
    """A cut body ends before the length that was promised; an object can seem to be another one."""
    proxy.add(Rule(path="weights", truncate=1000, times=1))
    proxy.add(Rule(path="weights", method="HEAD", etag='"other"'))
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=ANY/20260101/us-east-1/s3/aws4_request"}
    with pytest.raises(http.client.IncompleteRead) as error:
        send("GET", f"{proxy.endpoint}/faults/weights", headers=headers)
    assert len(error.value.partial) == 1000
    assert send("HEAD", f"{proxy.endpoint}/faults/weights", headers=headers)[1]["ETag"] == '"other"'


async def test_slow_and_held(proxy: FaultProxy) -> None:
    """A body comes at the rate asked for, and a held request waits for its event."""
    proxy.add(Rule(path="weights", rate=600_000, times=1))
    operator = _operator(proxy, "ANY")
    start = time.monotonic()
    await operator.read("weights")
    assert time.monotonic() - start > 0.4
    gate = threading.Event()
    proxy.add(Rule(path="weights", wait=gate))
    reading = asyncio.ensure_future(operator.read("weights"))
    assert not (await asyncio.wait([reading], timeout=0.2))[0]
    gate.set()
    assert len(await asyncio.wait_for(reading, 10)) == 300_000


def test_what_was_given_is_counted(proxy: FaultProxy) -> None:
    """Content counts by object, of cut answers as far as it went; refusals, HEAD and other objects do not."""
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=ANY/20260101/us-east-1/s3/aws4_request"}
    send("GET", f"{proxy.endpoint}/faults/weights", headers=headers)
    send("HEAD", f"{proxy.endpoint}/faults/weights", headers=headers)
    send("GET", f"{proxy.endpoint}/faults/weights", headers={**headers, "Range": "bytes=0-99"})
    send("GET", f"{proxy.endpoint}/faults/none", headers=headers)
    proxy.add(Rule(truncate=1000))
    with pytest.raises(http.client.IncompleteRead):
        send("GET", f"{proxy.endpoint}/faults/weights?x=1", headers=headers)
    assert proxy.given("/faults/weights$") == proxy.given() == 300_000 + 100 + 1000
    assert (proxy.count("GET", "weights"), proxy.count("HEAD"), proxy.count("GET", r"x=1")) == (3, 1, 1)
    proxy.forget()
    assert (proxy.given(), proxy.count("GET")) == (0, 0)


async def test_one_link_for_all(proxy: FaultProxy) -> None:
    """Two readers share the limit: both need as long as one alone with half of it."""
    proxy.limit = 600_000
    operator = _operator(proxy, "ANY")
    start = time.monotonic()
    await asyncio.gather(operator.read("weights"), operator.read("weights"))
    assert 0.5 < time.monotonic() - start < 5


async def test_later_answers_are_hurt(proxy: FaultProxy, s3: S3Server) -> None:
    """A rule can let requests pass first, change a byte, and let a test replace the object in between."""
    proxy.add(Rule(path="weights", method="GET", skip=1, times=1, corrupt=True))
    proxy.add(Rule(path="other", call=lambda: s3.put("faults", "other", b"new")))
    s3.put("faults", "other", b"old")
    operator = _operator(proxy, "ANY")
    assert [(await operator.read("weights"))[:2] for _ in range(3)] == [b"ww", bytes([ord("w") ^ 0xFF]) + b"w", b"ww"]
    assert await operator.read("other") == b"new"
