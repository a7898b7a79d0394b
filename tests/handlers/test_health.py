"""The HTTP endpoint of the operator."""

from aiohttp.test_utils import TestClient, TestServer

import pantala.handlers.operator  # noqa: F401 - registers the metrics of all parts
from pantala.handlers import health


async def test_endpoints() -> None:
    """Liveness fails with the words of what is wrong, readiness while the caches are filled, metrics always answer."""
    problems: list[str] = []
    ready = [False]
    app = health.application(lambda: problems, lambda: ready[0])
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 503
        ready[0] = True
        assert (await client.get("/readyz")).status == 200
        problems += ["the watch of pods has been silent for 400 s", "the lease is lost"]
        answer = await client.get("/healthz")
        assert answer.status == 503
        assert await answer.text() == "; ".join(problems)
        text = await (await client.get("/metrics")).text()
        for name in (
            "queue_depth",
            "reconcile_seconds",
            "api_calls_total",
            "leader",
            "watch_restarts_total",
            "api_present",
        ):
            assert f"pantala_{name}" in text
