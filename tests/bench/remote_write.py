"""A real Prometheus and samples of any time: its remote-write protocol, as far as gauges need it.

Source: Prometheus, prompb/types.proto and remote.proto; the block format of snappy, of which literals alone are used.
"""

import json
import shutil
import struct
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from tests.cluster.addons.service import Service, http
from tests.cluster.process import free_port

Sample = tuple[Mapping[str, str], float | None]
"""Labels, the name as `__name__` among them, and a value; None ends the series, as a scrape does that misses it."""

_STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN by which Prometheus knows that a series has ended (model/value)."""
_LITERAL_3_BYTES = 62 << 2
_CHUNK = 1 << 20


@contextmanager
def prometheus() -> Iterator[str]:
    """A Prometheus that is written to; its address."""
    program = shutil.which("prometheus")
    assert program, "no prometheus on PATH; Debian's package is called prometheus"
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="pantala-windows-") as folder:
        config = f"{folder}/prometheus.yml"
        with open(config, "w") as file:  # noqa: PTH123 - one line
            file.write("{}")
        flags = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", "--web.enable-remote-write-receiver"]
        with Service([program, *flags, f"--web.listen-address={url.removeprefix('http://')}"], f"{url}/-/ready"):
            yield url


def ask(url: str, query: str, at: float) -> dict[str, dict[str, float]]:
    """What a query answers at a time: values by namespace and pod."""
    parameters = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}"})
    status, _, body = http("GET", f"{url}/api/v1/query?{parameters}")
    assert status == 200, body
    found: dict[str, dict[str, float]] = {}
    for one in json.loads(body)["data"]["result"]:
        found.setdefault(one["metric"]["namespace"], {})[one["metric"]["pod"]] = float(one["value"][1])
    return found


def write(url: str, seconds: float, samples: Iterable[Sample]) -> None:
    """Send samples of one moment.

    Args:
        url: Prometheus, started with `--web.enable-remote-write-receiver`.
        seconds: The moment, since 1970; not before what was sent of the same series.
        samples: One for each series.
    """
    request = b"".join(_field(1, _timeseries(labels, value, round(seconds * 1000))) for labels, value in samples)
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    status, _, body = http("POST", f"{url}/api/v1/write", _snappy(request), headers)
    assert status in {200, 204}, body


def _timeseries(labels: Mapping[str, str], value: float | None, milliseconds: int) -> bytes:
    named = b"".join(
        _field(1, _field(1, key.encode()) + _field(2, text.encode())) for key, text in sorted(labels.items())
    )
    number = _STALE if value is None else struct.pack("<d", value)
    return named + _field(2, b"\x09" + number + b"\x10" + _varint(milliseconds))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _snappy(content: bytes) -> bytes:
    chunks = [content[at : at + _CHUNK] for at in range(0, len(content), _CHUNK)]
    literals = [bytes([_LITERAL_3_BYTES]) + struct.pack("<I", len(one) - 1)[:3] + one for one in chunks]
    return _varint(len(content)) + b"".join(literals)
