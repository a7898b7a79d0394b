"""A server process beside the tests: started on a free port, waited for, stopped, and dead when the tests are."""

import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tests.cluster.errors import ClusterError
from tests.cluster.process import die_with_parent, wait_for

Answer = tuple[int, Mapping[str, str], bytes]
"""Status code, headers and body of an HTTP response."""


def http(
    method: str,
    url: str,
    body: bytes | IO[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 30,
) -> Answer:
    """Send one HTTP request; an answer of any status is returned, not raised.

    A body that is a file is sent piece by piece; its length is in the headers then.

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


_READY_SECONDS = 90.0
"""Limit for a process to answer; most take less than 5 s on an idle machine."""


class Service:
    """A process that serves HTTP; use it as a context manager or call `stop`."""

    def __init__(
        self, command: Sequence[str], ready_url: str, env: Mapping[str, str] | None = None, *, wait: bool = True
    ) -> None:
        """Start the process and wait until `ready_url` answers 200, unless `ready` is to be called later.

        Raises:
            ClusterError: it ended or did not answer within 90 s; the message holds the end of its output.
        """
        self._ready_url = ready_url
        self._log = tempfile.NamedTemporaryFile(prefix="pantala-", suffix=".log")  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            command,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until it is; one that does not get there is stopped.

        Raises:
            ClusterError: it ended or did not answer within 90 s; the message holds the end of its output.
        """
        try:
            wait_for(lambda: _answers(self._ready_url), str(self._process.args), _READY_SECONDS, self._check)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def peak_memory(self) -> int:
        """Bytes of memory that it ever held at once."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    @property
    def log(self) -> str:
        """What the process has printed."""
        return Path(self._log.name).read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL: what a crash is like; `log` stays readable until `stop`."""
        self._process.kill()
        self._process.wait()

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
