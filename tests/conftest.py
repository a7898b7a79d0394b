"""Fixtures of all tests."""

import importlib.util

pytest_plugins = [
    "tests.cluster.fixtures",
    *(["tests.cluster.addons.fixtures"] if importlib.util.find_spec("tests.cluster.addons.fixtures") else []),
]
