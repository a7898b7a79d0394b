"""What Prometheus knows: what it counted of the requests of all models, and samples of any query. Imported only where it is needed.

The library is synchronous: everything here blocks and belongs into a thread. One asking is bounded in time and in size; an
answer of any other form than documented is an `Unmeasured`, and none of its words holds a credential.
"""

from __future__ import annotations

import io
import json
import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.auth import AuthBase
from typing_extensions import override

from pantala.planner.measured import WINDOW, Counted, Measurement, Service, Unmeasured
from pantala.traffic import queries

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""
_HOST = re.compile(r"([^.]+)[.]([^.]+)[.]svc[.].+")
_OK = 200
_TOLD = 200
"""Characters of Prometheus' own words about an error."""


@dataclass(frozen=True)
class Limits:
    """What one asking, of all queries, may take."""

    connect: float = 3.0
    """Seconds."""
    read: float = 10.0
    """Seconds between two pieces of an answer, and what Prometheus may think about a query."""
    whole: float = 25.0
    """Seconds."""
    size: int = 16 * 1024 * 1024
    """Bytes of an answer."""


class Prometheus:
    """A Prometheus, or what speaks its API; for one thread at a time."""

    def __init__(
        self,
        url: str,
        token_file: str | None = None,
        window: timedelta = WINDOW,
        limits: Limits = Limits(),
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: Its address, such as `http://prometheus.monitoring:9090`, with the path before `/api` if there is one.
            token_file: File with a bearer token, read for each request: mounted tokens change.
            window: The time that all figures are about.
            limits: What an asking may take.
        """
        self._window, self._limits = window, limits
        self._closed = False
        self._session = _Session(limits)
        self._session.trust_env = True  # proxies, and REQUESTS_CA_BUNDLE for a private authority
        self._client = PrometheusConnect(
            url=url.rstrip("/"),
            retry=urllib3.Retry(0, read=False),  # the next round is the retry
            auth=cast("tuple[Any, ...]", _Bearer(token_file) if token_file else None),
            session=self._session,
            timeout=cast("int", (limits.connect, limits.read)),  # requests takes both times
            method="POST",  # some queries are longer than the URLs that proxies let through
        )
        self.address = urlsplit(url).netloc.rpartition("@")[2]
        """Host and port, for people."""

    def measure(self, namespaces: Collection[str]) -> Mapping[Service, Counted]:
        """Ask for every Service of these namespaces that has counters.

        Raises:
            Unmeasured: Something is missing; then nothing of this round counts.
        """
        self._session.deadline = time.monotonic() + self._limits.whole
        istio = {figure: self._ask(text) for figure, text in queries.istio(self._window, namespaces).items()}
        envoy = {figure: self._ask(text) for figure, text in queries.envoy(self._window, namespaces).items()}
        sent, came, plain = _group(istio, _sent), _group(istio, _came), _group(envoy, _plain)
        return {
            service: Counted(
                users=_better(sent.get(service), plain.get(service)),
                arrived=_better(came.get(service), plain.get(service)),
            )
            for service in {*sent, *came, *plain}
        }

    def ask(self, query: str) -> list[Sample]:
        """The samples of one instant query: labels and value, those that are no numbers left out.

        Raises:
            Unmeasured: There is no answer, or not in time, or it is too large.
        """
        if self._closed:
            raise Unmeasured("unreachable", f"{self.address} is not asked any more")
        self._session.deadline = time.monotonic() + self._limits.whole
        return self._ask(query)

    def close(self) -> None:
        """Let go of the connections; a query under way ends at its next piece."""
        self._closed = True
        self._session.deadline = -math.inf
        self._session.close()

    def _ask(self, query: str) -> list[Sample]:
        """The samples of an instant query within the deadline that is set."""
        try:
            answer: Any = self._client.custom_query(query, params={"timeout": f"{self._limits.read:g}s"})
            return [(dict(one["metric"]), float(one["value"][1])) for one in answer]
        except requests.exceptions.SSLError:
            raise Unmeasured("tls", f"{self.address} has no certificate that is trusted, or speaks no TLS") from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise Unmeasured("timeout", f"{self.address} did not answer in time") from None
        except requests.exceptions.JSONDecodeError:
            raise Unmeasured("garbage", f"{self.address} answered with something that is no JSON") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Not the error's own words: they may hold the whole address.
            raise Unmeasured("unreachable", f"{self.address} does not answer ({type(error).__name__})") from None
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise Unmeasured("garbage", f"{self.address} answered with something that is no vector") from None


class _Bearer(AuthBase):
    """Adds the token; also keeps ~/.netrc from putting its own in the place."""

    def __init__(self, file: str) -> None:
        self._file = file

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            token = Path(self._file).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise Unmeasured("token", f"the token of Prometheus cannot be read from {self._file}") from None
        if not token or not token.isprintable():
            raise Unmeasured("token", f"there is no token of Prometheus in {self._file}")
        r.headers["Authorization"] = f"Bearer {token}"
        return r


class _Session(requests.Session):
    """requests without what makes an answer endless: redirects, bodies of any size, and drops that never stop."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self.deadline = math.inf
        # Unpacking waits for as many drops as it needs, beyond any deadline of ours.
        self.headers["Accept-Encoding"] = "identity"

    @override
    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        # As a form: the library puts the query of a POST into the URL.
        request.data, request.params = request.params, {}
        return super().prepare_request(request)

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise requests.exceptions.Timeout
        connect, read = kwargs["timeout"]
        # A token goes where it was meant to go, so redirects are not followed.
        kwargs |= {"timeout": (min(connect, left), min(read, left)), "stream": True, "allow_redirects": False}
        with super().send(request, **kwargs) as response:
            body = self._body(response)
        if response.status_code != _OK:
            raise Unmeasured(*_refusal(response, body), response.status_code)
        response.raw = io.BytesIO(body)
        return response

    def _body(self, response: requests.Response) -> bytes:
        """The whole body, without requests' way of keeping it: `response.content` shall read it again."""
        body = bytearray()
        while True:
            # read1 gives what is there: a server that sends drops must not hold us for as long as it likes.
            piece = response.raw.read1(64 * 1024, decode_content=False)
            if not piece:
                return bytes(body)
            body += piece
            if len(body) > self._limits.size:
                where = urlsplit(response.url).netloc.rpartition("@")[2]
                raise Unmeasured("oversized", f"{where} answered with more than {self._limits.size} bytes")
            if time.monotonic() > self.deadline:
                raise requests.exceptions.Timeout


def _refusal(response: requests.Response, body: bytes) -> tuple[str, str]:
    """A word for the metric, and the status with Prometheus' own words if it is Prometheus that answers; never a page, never our token."""
    text = f"{urlsplit(response.url).netloc.rpartition('@')[2]} answered HTTP {response.status_code}"
    try:
        told = json.loads(body)
        words = str(told["error"])
    except (ValueError, KeyError, TypeError):
        return "refused", text
    token = str(response.request.headers.get("Authorization", "")).rpartition(" ")[2]
    words = " ".join((words.replace(token, "***") if token else words).split())
    # A query that takes too long ends with 503, as a Prometheus that cannot answer does (v3, web/api/v1: errorTimeout).
    return "timeout" if told.get("errorType") == "timeout" else "refused", f"{text}: {words[:_TOLD]}"


def _group(
    figures: Mapping[str, Iterable[Sample]], service: Callable[[Mapping[str, str]], Service | None]
) -> dict[Service, Measurement]:
    """Measurements by Service; one without a number of requests is none."""
    found: dict[Service, dict[str, float]] = {}
    for figure, samples in figures.items():
        for labels, value in samples:
            key = service(labels)
            if key is not None and math.isfinite(value) and value >= 0:
                found.setdefault(key, {})[figure] = value
    return {key: _measurement(one) for key, one in found.items() if "requests" in one}


def _measurement(one: Mapping[str, float]) -> Measurement:
    # Prometheus answers one query after the other: the errors may be a moment newer than the requests.
    errors = min(one.get("errors", 0.0), one["requests"])
    return Measurement(one["requests"], errors, _latency(one.get("p50")), _latency(one.get("p99")))


def _latency(milliseconds: float | None) -> timedelta | None:
    try:
        return None if milliseconds is None else timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _better(istio: Measurement | None, plain: Measurement | None) -> Measurement | None:
    """Istio's own metrics where they count something: they tell requests from copies."""
    counting = [one for one in (istio, plain) if one is not None and one.requests > 0]
    known: Iterator[Measurement | None] = iter([*counting, istio, plain])
    return next((one for one in known if one is not None), None)


def _sent(labels: Mapping[str, str]) -> Service | None:
    return _service(labels.get("destination_service", "")) if labels.get("reporter") == "source" else None


def _came(labels: Mapping[str, str]) -> Service | None:
    place = labels.get("destination_workload_namespace"), labels.get("destination_workload")
    return cast("Service", place) if labels.get("reporter") == "destination" and all(place) else None


def _plain(labels: Mapping[str, str]) -> Service | None:
    return _service(labels.get(queries.HOST, ""))


def _service(host: str) -> Service | None:
    found = _HOST.fullmatch(host)
    return (found[2], found[1]) if found else None
