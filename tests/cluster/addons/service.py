"""A server process beside the tests: started on a free port, waited for, stopped, and dead when the tests are."""

import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.cluster.errors import ClusterError
from tests.cluster.process import die_with_parent, wait_for

Answer = tuple[int, Mapping[str, str], bytes]
"""Status code, headers and body of an HTTP response."""


def http(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, seconds: float = 30
) -> Answer:
    """Send one HTTP request; an answer of any status is returned, not raised.

    Raises:
        OSError: there was no answer.
    """
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # local servers are never behind a proxy
    try:
        with opener.open(request, timeout=seconds) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


class Service:
    """A process that serves HTTP; use it as a context manager or call `stop`."""

    def __init__(self, command: Sequence[str], ready_url: str, env: Mapping[str, str] | None = None) -> None:
        """Start the process and wait until `ready_url` answers 200.

        Raises:
            ClusterError: it ended or did not answer within 30 s; the message holds the end of its output.
        """
        self._log = tempfile.NamedTemporaryFile(prefix="pantala-", suffix=".log")  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            command,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        try:
            wait_for(lambda: _answers(ready_url), command[0], 30, self._check)
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> str:
        """What the process has printed."""
        return Path(self._log.name).read_text(errors="replace")

    def stop(self) -> None:
        """End the process, at once after 5 s; harmless when called again."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def _check(self) -> None:
        if self._process.poll() is not None:
            raise ClusterError(f"{self._process.args} ended with {self._process.returncode}:\n{self.log[-2000:]}")


def _answers(url: str) -> bool:
    try:
        return http("GET", url, seconds=2)[0] == 200
    except OSError:
        return False
