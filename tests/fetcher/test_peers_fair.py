"""Fetches of one node share its dfdaemon."""

import os

import pytest

from tests.cluster.addons.dragonfly import Dragonfly
from tests.fetcher.through import Bucket
from tests.fetcher.tools import MIB, wait_until

pytestmark = pytest.mark.p2p
LARGE, SMALL = 96 * MIB, 12 * MIB


def test_a_small_model_does_not_wait_for_a_large_one(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """With a slow store, a small model that comes later is there while the large one is still on its way."""
    folder = [os.urandom(LARGE // 4) for _ in range(4)]
    for number, content in enumerate(folder):
        bucket_p2p.put(f"large/{number}", content)
    bucket_p2p.put("small", os.urandom(SMALL))
    bucket_p2p.origin.limit = 10 * MIB
    try:
        large = bucket_p2p.start(dragonfly["n1"], "large/", "large")
        wait_until(lambda: bucket_p2p.origin.given("/large/") > 8 * MIB)
        small = bucket_p2p.fetch(dragonfly["n1"], "small")
        assert small.code == 0, small.log
        assert large.poll() is None
        rest = LARGE - bucket_p2p.origin.given("/large/")
        assert rest > LARGE // 4, "the large one took nearly all of the link"
    finally:
        bucket_p2p.origin.limit = None
        large.communicate(timeout=60)
    assert large.returncode == 0
