"""When a model has a ServiceMonitor, and what it reads."""

from typing import Any

import pytest

from pantala.manifest.settings import MonitorSettings, Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import Availability
from tests.planner.world import World, model, version

ON = Settings(service_monitor=MonitorSettings(labels={"release": "prometheus"}))
REF = Ref("ServiceMonitor", "vision", "resnet")


def custom(path: str | None = None, port: int = 8080, metrics: int | None = 9090) -> Manifest:
    """A custom server's block `runtime`."""
    fields = {"port": port, "metricsPort": metrics, "metricsPath": path}
    return {"name": "custom", "custom": {key: value for key, value in fields.items() if value is not None}} | {
        "image": "example.com/server:1",
        "startupTimeout": "10m",
    }


def read(world: World) -> list[tuple[str, str, str | None]]:
    """Port and path of each endpoint, with the expression for the versions that it is for."""
    return [
        (it["port"], it["path"], next((rule["regex"] for rule in it["relabelings"] if rule["action"] == "keep"), None))
        for it in world.children[REF]["spec"]["endpoints"]
    ]


def test_one_for_a_model() -> None:
    """All versions of a server have their metrics at one place; once written there is nothing more to do."""
    world = World(model(version(), version("v2")), ON)
    assert f"create {REF}" in world.settle()
    made = world.children[REF]
    assert read(world) == [("metrics", "/metrics", None)]
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert made["metadata"]["ownerReferences"][0]["name"] == "resnet"
    world.roll_out("v1")
    assert world.step() == []


@pytest.mark.parametrize(
    ("settings", "there"),
    [(Settings(), Availability.SERVED), (ON, Availability.ABSENT), (ON, Availability.FORBIDDEN)],
    ids=["switched off", "no kind", "no right"],
)
def test_none(settings: Settings, there: Availability) -> None:
    """Without the setting, the kind or the right there is none, and the model is as it would be."""
    world = World(model(), settings)
    world.service_monitors = there
    world.settle()
    assert world.names("ServiceMonitor") == set()
    assert world.names("Deployment") == {"resnet-v1"}


def test_switched_off() -> None:
    """It goes when the installation does not want it any more, and nothing else does."""
    world = World(model(), ON)
    world.settle()
    world.settings = Settings()
    assert world.settle() == [f"delete {REF}"]


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ({"name": "torchserve", "startupTimeout": "10m"}, ("metrics", "/metrics", None)),
        (custom("/prom"), ("metrics", "/prom", None)),
        (custom(port=9090), ("http", "/metrics", None)),
    ],
    ids=["torchserve", "custom", "metrics on the main port"],
)
def test_where_the_metrics_are(runtime: Manifest, expected: Any) -> None:
    """The port is named as in the Service: metrics that are answered on the main port have its name."""
    world = World(model(runtime=runtime), ON)
    world.settle()
    assert read(world) == [expected]
    assert expected[0] in {
        port["name"] for port in world.children[Ref("Service", "vision", "resnet-v1")]["spec"]["ports"]
    }


def test_a_server_without_metrics() -> None:
    """A model whose server has none gets no monitor."""
    world = World(model(runtime=custom(metrics=None)), ON)
    world.settle()
    assert world.names("ServiceMonitor") == set()


def test_versions_that_differ() -> None:
    """Each path is read at those versions alone that have it, and one without metrics is not read at all."""
    world = World(
        model(
            version("v1", runtime=custom("/m")),
            version("v2"),
            version("v3", runtime=custom(metrics=None)),
            version("v4"),
        ),
        ON,
    )
    world.settle()
    assert read(world) == [("metrics", "/m", "v1"), ("metrics", "/metrics", "v2|v4")]


def test_a_version_that_left_the_spec() -> None:
    """It is read where its pods have their metrics for as long as it is there; then the monitor is for the new one alone."""
    world = World(model(runtime=custom("/old")), ON)
    world.settle()
    world.roll_out("v1")
    world.edit(model(version("v2"), runtime=custom("/new")))
    world.settle()
    assert read(world) == [("metrics", "/new", "v2"), ("metrics", "/old", "v1")]
    world.roll_out("v2")
    world.settle()
    assert world.names("Deployment") == {"resnet-v2"}
    assert read(world) == [("metrics", "/new", None)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("path", "/m", [("metrics", "/m", None)]), ("scrape", "false", None), ("port", "15020", None)],
)
def test_annotations_of_the_user(name: str, value: str, expected: Any) -> None:
    """What the user's annotations say counts, as for a scrape job; a port that the Service does not have cannot be read by it."""
    world = World(model(template={"metadata": {"annotations": {f"prometheus.io/{name}": value}}}), ON)
    world.settle()
    assert (read(world) if REF in world.children else None) == expected


def test_a_version_that_cannot_have_pods() -> None:
    """Where the only version cannot be rendered any more, its pods are still read."""
    world = World(model(), ON)
    world.settle()
    world.edit(model(version("v1", accelerator={"provider": "dra", "count": 1})))
    world.claim_templates = Availability.ABSENT
    world.settle()
    assert read(world) == [("metrics", "/metrics", None)]
