"""The operator's HTTP endpoint: /healthz (alive), /readyz (able to work), /metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pantala.reconcile.exposition import EXPOSITION


def application(problems: Callable[[], list[str]], ready: Callable[[], bool]) -> web.Application:
    """The web application.

    Args:
        problems: What is so wrong that only a restart helps, in words; empty while all is well.
        ready: Whether the process is active, or standing by.
    """

    async def healthz(_: web.Request) -> web.Response:
        found = problems()
        return web.Response(status=503 if found else 200, text="; ".join(found) or "ok")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready() else web.Response(status=503, text="the caches are being filled")

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest() + EXPOSITION.text().encode()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
