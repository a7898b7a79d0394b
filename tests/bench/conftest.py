"""What benchmarks share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder in memory, so that no disk decides."""
    path = Path(f"/dev/shm/pantala-bench-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)
