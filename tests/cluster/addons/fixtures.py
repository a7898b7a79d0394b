"""pytest fixtures of the add-ons: `s3`, `prometheus`."""

from collections.abc import Iterator

import pytest

from tests.cluster.addons.s3 import S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server of this session; tests use buckets of their own."""
    with S3Server() as server:
        yield server
