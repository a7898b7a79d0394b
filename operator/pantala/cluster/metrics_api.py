"""What the API server says of the APIs by which autoscalers read measures.

Discovery is open to everybody who is logged in (ClusterRole `system:discovery`), so this needs no right. A group is known from
its APIService, also while what serves it does not answer; the document of its version comes from the server itself (kube-aggregator
v0.36.1, pkg/apiserver/handler_apis.go and handler_proxy.go). Aggregated discovery would be one request for all, but it goes on
showing what it saw last of a server that does not answer, and looks for new metrics once a minute only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pantala.cluster.client import Client
from pantala.errors import ApiError, Unavailable
from pantala.planner.probed import Api

_NOT_FOUND, _FORBIDDEN = 404, frozenset({401, 403})


async def look(client: Client, groups: Iterable[str]) -> dict[str, Api]:
    """These API groups, as far as the API server tells of them; a group that it does not tell of is left out."""
    wanted = tuple(groups)
    found = await asyncio.gather(*(_look(client, group) for group in wanted))
    return {group: api for group, api in zip(wanted, found, strict=True) if api is not None}


async def _look(client: Client, group: str) -> Api | None:
    try:
        told = await client.request("GET", f"/apis/{group}")
    except ApiError as error:
        return Api(present=False) if error.status == _NOT_FOUND else None
    except Unavailable:
        return None  # the API server itself does not answer
    try:
        served = await client.request("GET", f"/apis/{told['preferredVersion']['groupVersion']}")
        return Api(offers=frozenset(str(it["name"]) for it in served.get("resources") or ()))
    except ApiError as error:
        return Api() if error.status in _FORBIDDEN else Api(answers=False)
    except Unavailable:
        return Api(answers=False)
    except (KeyError, TypeError, AttributeError, ValueError):
        return Api(answers=False)  # something else than an API answers there
