"""What models ask of DynamicResourceAllocation in these tests, and what they got."""

from typing import Any

from tests.apiserver.operator_process import Space
from tests.apiserver.standin_dra_driver import cards, slices

TEMPLATE, CLAIM = "ResourceClaimTemplate", "ResourceClaim"
NODES = {
    "kwok-0": cards(4, "NVIDIA A100-PCIE-40GB", "Ampere", "40Gi"),
    "kwok-1": cards(2, "NVIDIA H100 80GB HBM3", "Hopper", "80Gi"),
    "kwok-2": cards(2, "Tesla T4", "Turing", "15Gi"),
    "kwok-3": [*slices(4, "1g.5gb", "4864Mi"), *slices(1, "3g.20gb", "19968Mi")],
}
TURING = "device.attributes['gpu.nvidia.com'].architecture == 'Turing'"


def block(**fields: Any) -> dict[str, Any]:
    """What a model asks for."""
    return {"provider": "dra", **fields}


def given(space: Space, name: str) -> list[tuple[str, str]]:
    """Node and device that the pods of a model were given."""
    owned = {
        pod["metadata"]["name"] for pod in space.list("Pod", model=name) if "deletionTimestamp" not in pod["metadata"]
    }
    return [
        (result["pool"], result["device"])
        for claim in space.list(CLAIM)
        if any(user["name"] in owned for user in claim.get("status", {}).get("reservedFor", ()))
        for result in claim["status"]["allocation"]["devices"]["results"]
    ]


def templates(space: Space, name: str) -> set[str]:
    """Names of a model's templates."""
    return {it["metadata"]["name"] for it in space.list(TEMPLATE, model=name)}


def remove(space: Space, name: str) -> None:
    """Delete a model; returns when its devices are free."""
    space.delete("InferenceModel", name)
    space.wait(lambda: not space.list("Pod", model=name), f"{name}: no pod")
    space.wait(
        lambda: not [it for it in space.list(CLAIM) if it["metadata"]["name"].startswith(f"{name}-")], "no claim"
    )


def message(space: Space, name: str, reason: str, kind: str = "Ready") -> str:
    """Wait until a condition is False for a reason; its message."""
    space.wait(lambda: space.condition(name, kind).get("reason") == reason, f"{name}: {kind} {reason}")
    found = space.condition(name, kind)
    assert found["status"] == "False"
    return str(found["message"])
