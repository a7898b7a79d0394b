"""What can go wrong, as values that the parts of Pantala exchange.

The fetcher is its own process: all that the operator sees of a failure is an exit code and a termination message. Both
carry one of the reasons below, so that the operator can name the cause without reading logs.
"""

from enum import StrEnum


class FetchFailure(StrEnum):
    """Why the weights did not arrive; the value is the `reason` in the termination message.

    The numbers are the exit codes of `pantala fetch`. 0 is success and 143 an orderly stop by SIGTERM; click itself
    leaves with 2 when an option is unknown.
    """

    NOT_FOUND = "NotFound"
    """The bucket, the claim, the folder or the object does not exist."""
    DENIED = "Denied"
    """The store refused the credentials, or asked for some."""
    DISK_FULL = "DiskFull"
    """The volume cannot hold the weights (also: a quota, or a limit on the size of a file)."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The bytes are not those that `digest`, the index file or the announced size promise."""
    CHANGED_WHILE_READING = "ChangedWhileReading"
    """An object was replaced or removed between being listed and being read."""
    INVALID = "Invalid"
    """The URI, an argument or the shape of the model cannot work, however often it is tried."""
    UNAVAILABLE = "Unavailable"
    """The store did not answer, or kept failing, for as long as retries are made."""
    PEERS_UNSUPPORTED = "PeersUnsupported"
    """Only peers may be asked, and they cannot be asked for this store, however often it is tried."""
    PEERS_UNAVAILABLE = "PeersUnavailable"
    """The peers did not deliver, and the origin may not be read."""

    @property
    def exit_code(self) -> int:
        """The exit code of `pantala fetch` for this reason."""
        return _EXIT_CODES[self]

    @classmethod
    def from_exit_code(cls, code: int) -> "FetchFailure | None":
        """The reason behind an exit code, or None if the fetcher does not use that code."""
        return next((failure for failure, number in _EXIT_CODES.items() if number == code), None)


_EXIT_CODES = {
    FetchFailure.NOT_FOUND: 10,
    FetchFailure.DENIED: 11,
    FetchFailure.DISK_FULL: 12,
    FetchFailure.DIGEST_MISMATCH: 13,
    FetchFailure.CHANGED_WHILE_READING: 14,
    FetchFailure.INVALID: 15,
    FetchFailure.UNAVAILABLE: 16,
    FetchFailure.PEERS_UNAVAILABLE: 17,
    FetchFailure.PEERS_UNSUPPORTED: 18,
}


class ApiError(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        """HTTP status code."""
        self.reason = reason
        """Kubernetes' reason, such as `AlreadyExists` or `Forbidden`."""
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the server wants to be asked again, if it said so."""

    @property
    def namespace_ends(self) -> bool:
        """Whether nothing can be made any more because the namespace is being deleted."""
        return self.status == 403 and "being terminated" in self.message  # noqa: PLR2004 -- HTTP


class Unavailable(Exception):  # noqa: N818 -- reads as what it says: the other side is unavailable
    """The other side did not answer; the request may or may not have had its effect."""
