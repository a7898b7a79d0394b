"""What can go wrong with the local cluster, in words that name the next step."""


class ClusterError(Exception):
    """A cluster could not be built, started, reached or removed; the message says what to do."""


class ToolMissingError(ClusterError):
    """A program that this tier needs is not on this machine; the message names its package."""
