"""What is seen while a fetch runs."""

import io
import json
import urllib.request
from pathlib import Path

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.progress import Progress
from pantala.fetcher.termination import LIMIT, failure
from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import free_port
from tests.fetcher.tools import MIB, Proxy, fetch, started, wait_until


def value(text: str, name: str) -> float | None:
    """A sample of a scrape."""
    found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0]) if found else None


def test_metrics_of_a_running_fetch(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """Prometheus sees phase, expected size and bytes by source while the bytes come."""
    s3.put(bucket, "w", bytes(48 * MIB))
    to.mkdir()
    proxy.fault = lambda method, _path, number: 503 if method == "GET" and number > 2 else None
    port = free_port()
    args = ["--uri", f"s3://{bucket}/w", "--to", str(to), "--endpoint", proxy.url, "--metrics-port", str(port)]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def scrape() -> str:
        try:
            with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
                return str(response.read(), "utf-8")
        except OSError:
            return ""

    with started(*args):
        wait_until(lambda: value(scrape(), 'pantala_fetch_bytes_total{source="origin"}') == 32 * MIB)
        text = scrape()
    assert value(text, "pantala_fetch_expected_bytes") == 48 * MIB
    assert value(text, 'pantala_fetch_phase{pantala_fetch_phase="downloading"}') == 1
    assert value(text, 'pantala_fetch_bytes_total{source="cache"}') == 0
    assert (value(text, "pantala_fetch_retries_total") or 0) > 0


def test_a_port_in_use_costs_only_the_metrics(s3: S3Server, bucket: str, to: Path) -> None:
    """The weights matter more."""
    s3.put(bucket, "w", b"x")
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--metrics-port", str(s3.port))
    assert result.code == 0
    assert "metrics are not served" in result.log


def test_json_lines(s3: S3Server, bucket: str, to: Path) -> None:
    """Every line is an object with time, level and message; progress has percent and rate."""
    s3.put(bucket, "w", bytes(MIB))
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--log-format", "json")
    lines = [json.loads(line) for line in result.log.splitlines()]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    assert [line["percent"] for line in lines if "mib_per_second" in line] == [100]


def test_a_termination_message_is_never_too_long() -> None:
    """1 KiB also with characters of several bytes."""
    for text in ("x" * 5000, "ü✓" * 3000, '"\\' * 4000):
        message = failure(FetchError(FetchFailure.NOT_FOUND, text), lambda words: words)
        assert len(message.encode()) <= LIMIT
        assert json.loads(message)["reason"] == "NotFound"


def test_the_exit_codes_are_a_contract() -> None:
    """The operator reads them; they never change their meaning."""
    assert {failure.value: failure.exit_code for failure in FetchFailure} == {
        "NotFound": 10,
        "Denied": 11,
        "DiskFull": 12,
        "DigestMismatch": 13,
        "ChangedWhileReading": 14,
        "Invalid": 15,
        "Unavailable": 16,
        "PeersUnavailable": 17,
        "PeersUnsupported": 18,
    }
    assert FetchFailure.from_exit_code(13) is FetchFailure.DIGEST_MISMATCH
    assert FetchFailure.from_exit_code(137) is None


def test_a_report_tells_percent_and_rate() -> None:
    """The rate is that since the last report."""
    stream = io.StringIO()
    progress = Progress(lambda text: text, stream=stream)
    progress.expect(4 * MIB)
    progress.add_bytes("origin", MIB)
    progress.report()
    assert "percent=25 mib=1 of_mib=4 mib_per_second=" in stream.getvalue()
