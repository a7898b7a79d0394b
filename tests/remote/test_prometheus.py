"""A real Prometheus judges the queries: over text as Istio's proxies write it, and over a real Envoy under load."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from pantala.planner.measured import Counted, Measurement, Unmeasured
from pantala.remote.prometheus import Limits, Prometheus
from tests.cluster.addons.faults import FaultProxy, Rule
from tests.cluster.addons.prometheus import Prometheus as Server
from tests.cluster.addons.service import http
from tests.cluster.process import free_port, wait_for
from tests.remote.plain_envoy import PlainEnvoy
from tests.remote.recorded import Recorded, came, job, sent

WINDOW = timedelta(seconds=8)


@dataclass(frozen=True)
class Asked:
    """A Prometheus that has watched a proxy for longer than the window."""

    recorded: Recorded
    server: Server
    client: Prometheus

    def of(self, service: str) -> Counted:
        """What is counted of a Service of the namespace vision."""
        return self.client.measure(["vision"]).get(("vision", service), Counted())

    def until(self, service: str, accept: Callable[[Counted], bool]) -> Counted:
        """Ask until the answer is acceptable: scrapes take their time."""
        wait_for(lambda: accept(self.of(service)), f"figures of {service}", 20, every=0.2)
        return self.of(service)

    def scraped(self) -> None:
        """Wait until everything that was moved has been read."""
        seen = self.recorded.scrapes
        wait_for(lambda: self.recorded.scrapes >= seen + 3, "scrapes", 10)


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    """Prometheus over recorded text; each test has Services of its own."""
    with Recorded() as recorded:
        server = Server({"scrape_configs": [job(recorded.target)]})
        client = Prometheus(server.url, window=WINDOW)
        try:
            server.wait_for(f"up offset {WINDOW.seconds}s == 1")
            yield Asked(recorded, server, client)
        finally:
            client.close()
            server.stop()


def requests(measurement: Measurement | None) -> float:
    """The number of requests; -1 where nothing was counted."""
    return -1 if measurement is None else measurement.requests


def test_users_and_copies(asked: Asked) -> None:
    """Errors of a shadow are told of what arrived there, and are nobody's requests."""
    asked.recorded.requests(100, 8, **sent("split-v1"))
    asked.recorded.requests(100, 8, **came("split-v1"))
    asked.recorded.requests(40, 8, **came("split-v3"))
    asked.recorded.requests(60, 8, **came("split-v3", "500"))
    shadow = asked.until("split-v3", lambda one: requests(one.arrived) >= 100)
    assert shadow.users is None
    assert shadow.arrived is not None
    assert (shadow.arrived.requests, shadow.arrived.errors) == (100, 60)
    users = asked.of("split-v1").users
    assert users is not None
    assert (users.requests, users.errors) == (100, 0)


def test_errors_without_an_endpoint(asked: Asked) -> None:
    """Requests that found no replica count as errors, though Istio does not know their namespace; so do the first ones."""
    unknown = {"destination_service_namespace": "unknown", "destination_workload": "unknown", "response_flags": "UH"}
    asked.recorded.requests(90, 8, **sent("gone-v1"))
    asked.recorded.requests(10, 1, **(sent("gone-v1", "503") | unknown))
    users = asked.until("gone-v1", lambda one: requests(one.users) >= 100).users
    assert users is not None
    assert (users.requests, users.errors) == (100, 10)


def test_grpc(asked: Asked) -> None:
    """A gRPC code that blames the server is an error though HTTP says 200; one that blames the client is none."""
    for count, code in ((80, "0"), (15, "14"), (5, "5")):
        asked.recorded.requests(
            count, 8, **(sent("grpc-v1") | {"request_protocol": "grpc", "grpc_response_status": code})
        )
    # A refusal of the proxy itself has both codes, and counts once.
    both = sent("grpc-v1", "503") | {"request_protocol": "grpc", "grpc_response_status": "14"}
    asked.recorded.requests(4, 8, **both)
    users = asked.until("grpc-v1", lambda one: requests(one.users) >= 104).users
    assert users is not None
    assert (users.requests, users.errors) == (104, 19)


def test_latencies_and_silence(asked: Asked) -> None:
    """Latencies lie in the bucket of the requests; after a window without any there are no latencies, and no NaN."""
    asked.recorded.requests(1, 8, **sent("slow-v1"))
    asked.scraped()
    asked.recorded.requests(98, 8, **sent("slow-v1"))
    asked.recorded.requests(2, 800, **sent("slow-v1"))
    users = asked.until("slow-v1", lambda one: one.users is not None and one.users.p99 is not None).users
    assert users is not None
    assert users.p50 is not None
    assert users.p99 is not None
    assert timedelta(milliseconds=5) <= users.p50 <= timedelta(milliseconds=10)
    assert timedelta(milliseconds=500) <= users.p99 <= timedelta(seconds=1)
    idle = asked.until("slow-v1", lambda one: requests(one.users) == 0)
    assert idle.users == Measurement(0.0)


def test_restarted_proxy(asked: Asked) -> None:
    """A counter that falls back to nothing never makes requests negative, and goes on counting from there."""
    labels = sent("reset-v1")
    asked.recorded.requests(50, 8, **labels)
    asked.until("reset-v1", lambda one: requests(one.users) >= 50)
    asked.recorded.restart()
    asked.scraped()
    asked.recorded.requests(20, 8, **labels)
    assert requests(asked.until("reset-v1", lambda one: requests(one.users) >= 0).users) >= 20


def test_strange_labels(asked: Asked) -> None:
    """Series without the labels, and labels that are no host names, are of no Service, and break nothing."""
    before = set(asked.client.measure([]))
    asked.recorded.add("istio_requests_total", 5, reporter="source")
    asked.recorded.add("istio_requests_total", 5, reporter="destination", destination_workload="x")
    for host in ('a".b.svc.c', "\n.svc.", "x", "a.vision.svc", "..svc.x", "PassthroughCluster"):
        asked.recorded.requests(5, 8, **(sent("odd-v1") | {"destination_service": host}))
    asked.recorded.requests(5, 8, **sent("odd-v2"))
    asked.until("odd-v2", lambda one: requests(one.users) >= 5)
    found = set(asked.client.measure([])) - before
    assert found <= {("vision", "odd-v2"), ("b", 'a"')}


def test_namespaces(asked: Asked) -> None:
    """Only the namespaces that are asked for are answered; too many are asked for as all."""
    asked.recorded.requests(5, 8, **sent("spaces-v1"))
    asked.until("spaces-v1", lambda one: requests(one.users) >= 5)
    assert asked.client.measure(["other", "vision-2"]) == {}
    assert ("vision", "spaces-v1") in asked.client.measure([f"space-{number}" for number in range(101)])


def test_both_dialects(asked: Asked) -> None:
    """Where a Service has both kinds of counters, Istio's are believed: they know copies."""
    cluster = {"cluster_name": "outbound|8080||both-v1.vision.svc.cluster.local", "envoy_response_code_class": "2"}
    asked.recorded.add("envoy_cluster_upstream_rq_xx", 500, **cluster)
    asked.recorded.requests(100, 8, **sent("both-v1"))
    both = asked.until("both-v1", lambda one: requests(one.users) == 100 and requests(one.arrived) == 500)
    assert requests(both.users) == 100


def test_late_prometheus(asked: Asked) -> None:
    """A Prometheus that has just begun does not take what a proxy counted in its whole life for the last minutes."""
    asked.recorded.requests(100_000, 8, **sent("late-v1"))
    server = Server({"scrape_configs": [job(asked.recorded.target)]})
    client = Prometheus(server.url, window=WINDOW)
    try:
        server.wait_for('count_over_time(istio_requests_total{destination_service=~"late-v1.*"}[1m]) >= 3')
        users = client.measure(["vision"])["vision", "late-v1"].users
        assert requests(users) == 0
    finally:
        client.close()
        server.stop()


class _Answers(grpc.GenericRpcHandler):
    """A gRPC server whose method is the code that it answers."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            code = grpc.StatusCode[details.method.rpartition("/")[2]]
            if code is not grpc.StatusCode.OK:
                context.abort(code, "asked for")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def backend(status: int) -> Iterator[int]:
    """An HTTP server that always answers so; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def plain() -> Iterator[tuple[PlainEnvoy, Prometheus, grpc.Server]]:
    """A real Envoy, a Prometheus that has watched it for a window, and the gRPC server behind it."""
    served = grpc.server(futures.ThreadPoolExecutor(2), handlers=(_Answers(),))
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    with backend(200) as users, backend(503) as copies, PlainEnvoy(users, copies, port) as proxy:
        server = Server({"scrape_configs": [job(proxy.admin, path="/stats/prometheus")]})
        client = Prometheus(server.url, window=timedelta(seconds=20))
        try:
            server.wait_for("up offset 20s == 1", seconds=60)
            yield proxy, client, served
        finally:
            client.close()
            server.stop()
            served.stop(0).wait()


def test_plain_envoy(plain: tuple[PlainEnvoy, Prometheus, grpc.Server]) -> None:
    """Of 200 requests with copies to a version that fails them all, users see 200 answers and no error."""
    proxy, client, served = plain
    for _ in range(200):
        assert http("GET", f"http://127.0.0.1:{proxy.port}/v1")[0] == 200

    def users(service: str) -> Measurement:
        return client.measure(["vision"]).get(("vision", service), Counted()).users or Measurement(-1)

    wait_for(lambda: users("resnet-v1").requests == users("resnet-v2").requests == 200, "200 of each", 15, every=0.2)
    assert users("resnet-v1").errors == 0
    assert users("resnet-v2").errors == 200
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:

        def call(code: str) -> None:
            with futures.ThreadPoolExecutor(1) as pool:
                pool.submit(lambda: channel.unary_unary(f"/a/{code}")(b"", timeout=5)).exception()

        for code in ["OK"] * 5 + ["UNAVAILABLE"] * 3 + ["NOT_FOUND"] * 2:
            call(code)
        served.stop(0).wait()
        for _ in range(4):  # Envoy's own refusals: 503 and code 14, which count once
            call("OK")
    # Envoy gives latencies to its statistics every five seconds.
    wait_for(lambda: users("resnet-v1").requests == 214 and users("resnet-v1").p99 is not None, "gRPC", 15, every=0.2)
    assert users("resnet-v1").errors == 7


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        (Rule(status=500), "refused"),
        (Rule(status=404), "refused"),
        (Rule(status=302, headers={"Location": "http://127.0.0.1:1/"}), "refused"),
        (Rule(status=200, headers={"Content-Type": "text/html"}), "garbage"),
        (Rule(corrupt=True), "garbage"),
        (Rule(truncate=20), "unreachable"),
        (Rule(rate=10), "timeout"),
        (Rule(wait=threading.Event()), "timeout"),
    ],
)
def test_bad_answers(asked: Asked, rule: Rule, result: str) -> None:
    """Each way to answer badly has a word of its own, in bounded time; the next round is good again."""
    with FaultProxy(asked.server.url) as proxy:
        client = Prometheus(proxy.endpoint, window=WINDOW, limits=Limits(connect=1, read=1, whole=2))
        client.measure(["vision"])
        proxy.add(rule)
        with pytest.raises(Unmeasured) as caught:
            client.measure(["vision"])
        assert caught.value.result == result
        if rule.wait is not None:
            rule.wait.set()
        proxy.clear()
        client.measure(["vision"])
        client.close()


def test_refused_words(asked: Asked) -> None:
    """Prometheus' own words about an error are told, not more of them than a line."""
    client = Prometheus(f"{asked.server.url}/no/such/path", window=WINDOW)
    with pytest.raises(Unmeasured, match=r"answered HTTP 404$"):
        client.measure(["vision"])
    client.close()


@pytest.mark.parametrize(
    ("query", "timeout", "result", "status"),
    [
        ("sum(", "5s", "refused", 400),
        ("sum_over_time(vector(time())[1h:1ms])", "1ms", "timeout", 503),
    ],
)
def test_whose_fault_it_is(asked: Asked, query: str, timeout: str, result: str, status: int) -> None:
    """A query that cannot be read, and one that takes Prometheus too long, are told from a Prometheus that cannot answer."""
    client = Prometheus(asked.server.url, window=WINDOW)
    with pytest.raises(Unmeasured) as caught:
        client._client.custom_query(query, params={"timeout": timeout})
    assert (caught.value.result, caught.value.status) == (result, status)
    client.close()


def test_nobody_there() -> None:
    """No Prometheus, one that speaks no TLS, and an address that is none are told as what they are."""
    for url, result in ((f"http://127.0.0.1:{free_port()}", "unreachable"), ("nonsense", "unreachable")):
        with pytest.raises(Unmeasured) as caught:
            Prometheus(url).measure(["vision"])
        assert caught.value.result == result
    with backend(200) as port, pytest.raises(Unmeasured) as caught:
        Prometheus(f"https://127.0.0.1:{port}").measure(["vision"])
    assert caught.value.result == "tls"


def test_huge_answer(asked: Asked) -> None:
    """An answer beyond the limit is not read to its end."""
    asked.recorded.requests(5, 8, **sent("huge-v1"))
    asked.until("huge-v1", lambda one: requests(one.users) >= 5)
    client = Prometheus(asked.server.url, window=WINDOW, limits=Limits(size=50))
    with pytest.raises(Unmeasured) as caught:
        client.measure(["vision"])
    assert caught.value.result == "oversized"
    client.close()


def test_token(asked: Asked, tmp_path: Path) -> None:
    """The token is read anew for each request, is sent to nobody else, and is in no message."""
    file = tmp_path / "token"
    with FaultProxy(asked.server.url) as proxy:
        client = Prometheus(proxy.endpoint, str(file), WINDOW)
        with pytest.raises(Unmeasured) as caught:
            client.measure(["vision"])
        assert caught.value.result == "token"
        for token in ("first-secret", "second-secret"):
            file.write_text(f"{token}\n")
            client.measure(["vision"])
            assert proxy.requests[-1].headers["authorization"] == f"Bearer {token}"
        with FaultProxy(asked.server.url) as other:
            proxy.add(Rule(status=307, headers={"Location": f"{other.endpoint}/api/v1/query"}))
            with pytest.raises(Unmeasured) as caught:
                client.measure(["vision"])
            assert other.requests == []
        assert "secret" not in str(caught.value)
        client.close()


def test_credentials_in_the_address() -> None:
    """A password in the address is not in messages."""
    with backend(403) as port:
        client = Prometheus(f"http://user:geheim@127.0.0.1:{port}")
        with pytest.raises(Unmeasured) as caught:
            client.measure(["vision"])
    assert caught.value.result == "refused"
    assert "geheim" not in str(caught.value)
    assert "geheim" not in client.address
    client.close()


def test_closed_while_asking(asked: Asked) -> None:
    """Closing ends what is under way at its next piece, so that the operator's end waits for no slow answer."""
    held: dict[str, Any] = {}
    with FaultProxy(asked.server.url) as proxy:
        proxy.add(Rule(rate=10))
        client = Prometheus(proxy.endpoint, window=WINDOW)

        def ask() -> None:
            try:
                client.measure(["vision"])
            except Unmeasured as error:
                held["result"] = error.result

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: bool(proxy.requests), "the query", 5)
        client.close()
        thread.join(5)
        assert held == {"result": "timeout"}
