"""Fixtures of all tests."""

pytest_plugins = [
    "tests.golden",
    "tests.lanes",
    "tests.cluster.fixtures",
    "tests.cluster.addons.fixtures",
    "tests.cluster.addons.mesh_fixtures",
]
