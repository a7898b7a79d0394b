"""The client of the API server, against a server that plays one (a stand-in)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from pantala.cluster.client import Client
from pantala.errors import ApiError


class StandinServer:
    """Refuses so many requests with a status, and answers the others."""

    def __init__(self) -> None:
        self.refuse = 0
        self.status = 429
        self.seen: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.seen.append(request.method)
        if len(self.seen) <= self.refuse:
            headers = {"Retry-After": "0"} if self.status == 429 else {}
            return web.json_response(
                {"reason": "TooManyRequests", "message": "busy"}, status=self.status, headers=headers
            )
        return web.json_response({"kind": "Fine"})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[StandinServer, Client]]:
    """The stand-in and a client of it."""
    standin, app = StandinServer(), web.Application()
    app.router.add_route("*", "/{path:.*}", standin.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "standin", "cluster": {"server": site.name}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "standin", "user": "me"}}],
        "current-context": "it",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with await Client.connect(str(path), user_agent="test") as client:
        yield standin, client
    await runner.cleanup()


async def test_a_busy_server_is_read_later(server: tuple[StandinServer, Client]) -> None:
    """It says when; a kind that was just installed is such a case (429, storage is (re)initializing)."""
    standin, client = server
    standin.refuse = 3
    assert await client.request("GET", "/apis") == {"kind": "Fine"}
    assert standin.seen == ["GET"] * 4


async def test_a_busy_server_is_not_written_to_again(server: tuple[StandinServer, Client]) -> None:
    """The queue of the operator decides when a write is tried again; nor is a read that is refused for good repeated."""
    standin, client = server
    standin.refuse = 1
    with pytest.raises(ApiError, match="429"):
        await client.request("PATCH", "/apis", body={})
    standin.seen, standin.status = [], 403
    with pytest.raises(ApiError, match="403"):
        await client.request("GET", "/apis")
    assert standin.seen == ["GET"]
