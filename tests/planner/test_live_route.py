"""What a live route leads to, whoever wrote it."""

from typing import Any

import pytest

from pantala.planner.live_route import Live, leads_to, read
from pantala.planner.observed import Mesh
from tests.planner.world import World, model


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        pytest.param(
            {
                "http": [
                    {
                        "route": [{"destination": {"host": "a.vision.svc.cluster.local"}, "weight": 90}],
                        "mirrors": [{"destination": {"host": "b"}}],
                    },
                    {"mirror": {"host": "c"}},  # the older field
                ]
            },
            ["a", "b", "c"],
            id="VirtualService",
        ),
        pytest.param(
            {
                "rules": [
                    {
                        "backendRefs": [{"name": "a", "port": 8000}, {"name": "b", "port": 8000}],
                        "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "c"}}}],
                    }
                ]
            },
            ["a", "b", "c"],
            id="HTTPRoute",
        ),
        pytest.param({"http": [{"route": [{"destination": "odd"}]}], "rules": ["odd"]}, [], id="odd"),
        pytest.param(None, [], id="no spec"),
    ],
)
def test_ends(spec: Any, found: list[str]) -> None:
    """Shares and copies count, of both APIs; what cannot be read leads nowhere."""
    assert list(leads_to(spec)) == found


@pytest.mark.parametrize("mesh", list(Mesh))
def test_no_route(mesh: Mesh) -> None:
    """Without a route nobody gets anything by one."""
    made = World(model())
    made.mesh = mesh
    assert read(made.seen()) == Live()
