"""Stands in for NVIDIA's driver of DynamicResourceAllocation: its DeviceClasses, and what it would publish of nodes.

Nothing is prepared on a node. Scheduler and resource claim controller are the real ones.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster import Cluster

DRIVER = "gpu.nvidia.com"
API = "resource.k8s.io/v1"


def device_class(name: str, kind: str) -> dict[str, Any]:
    """A DeviceClass as the driver's chart has it: devices of one type (templates/deviceclass-*.yaml)."""
    expression = f"device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == '{kind}'"
    return {
        "apiVersion": API,
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": [{"cel": {"expression": expression}}]},
    }


def cards(count: int, product: str, architecture: str, memory: str) -> list[dict[str, Any]]:
    """Whole cards of one kind (cmd/gpu-kubelet-plugin/deviceinfo.go)."""
    return [
        {
            "name": f"gpu-{index}",
            "attributes": {
                "type": {"string": "gpu"},
                "productName": {"string": product},
                "architecture": {"string": architecture},
            },
            "capacity": {"memory": {"value": memory}},
        }
        for index in range(count)
    ]


def slices(count: int, profile: str, memory: str) -> list[dict[str, Any]]:
    """MIG slices of one profile of the first card (cmd/gpu-kubelet-plugin/deviceinfo.go)."""
    return [
        {
            "name": f"gpu-0-mig-{profile.replace('.', '')}-{index}",
            "attributes": {
                "type": {"string": "mig"},
                "productName": {"string": "NVIDIA A100-PCIE-40GB"},
                "profile": {"string": profile},
                "parentUUID": {"string": "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"},
            },
            "capacity": {"memory": {"value": memory}},
        }
        for index in range(count)
    ]


def resource_slice(node: str, devices: list[dict[str, Any]]) -> dict[str, Any]:
    """What the driver publishes of a node."""
    return {
        "apiVersion": API,
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node}-{DRIVER}"},
        "spec": {
            "driver": DRIVER,
            "nodeName": node,
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": devices,
        },
    }


@contextmanager
def installed(cluster: Cluster, nodes: dict[str, list[dict[str, Any]]]) -> Iterator[None]:
    """The driver is there, with these devices by node; afterwards it is gone."""
    objects = [
        device_class("gpu.nvidia.com", "gpu"),
        device_class("mig.nvidia.com", "mig"),
        *(resource_slice(node, devices) for node, devices in nodes.items()),
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", "-f", "-", stdin=text)
    try:
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
