"""`pantala top`, from objects to lines."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from pantala.cli import usage
from pantala.cli.custom_metrics import Answer
from pantala.cli.figures import Usage, summarize
from pantala.cli.top_lines import ORDERS, lines, ordered, remarks
from pantala.cli.usage import Found, questions
from tests.cli import busy
from tests.golden import assert_golden

NOW = datetime(2026, 1, 5, 10, 30, 0, tzinfo=UTC)
SECTION = re.search(
    r"^## `pantala top`$(.*?)^## ", (Path(__file__).parents[2] / "docs/cli.md").read_text(), re.MULTILINE | re.DOTALL
)


def drawn(models: list[Usage]) -> str:
    """The lines without colour."""
    return "".join(click.unstyle(line) + "\n" for line in lines(models, NOW))


def one(model: busy.Object) -> list[Usage]:
    """What is told of a model by its name."""
    name = model["metadata"]["name"]
    pods = [pod for pod in busy.PODS if pod["metadata"]["labels"]["pantala.dev/model"] == name]
    return summarize(replace(busy.FOUND, models=[model], pods=pods), whole=True)


def test_table() -> None:
    """A line for each version that runs: figures in the user's units, what the autoscaler wants and why, and what is missing."""
    assert_golden("cli-top/table.txt", drawn(summarize(busy.FOUND, whole=False)))


def test_one_model() -> None:
    """With a name, also its pods, and what holds the autoscaler back in words."""
    found = one(busy.RESNET)
    told = "".join(f"{line}\n" for line in remarks(found))
    assert_golden("cli-top/model.txt", drawn(found) + told)


def test_missing() -> None:
    """The condition's message is told where one looks at the model; its reason is in the table."""
    assert list(remarks(one(busy.LOST))) == [f"vision/lost: {busy.LOST['status']['conditions'][0]['message']}"]
    assert "NoSeries (GPUUtilization)" in drawn(one(busy.LOST))


def test_missing_of_one_version() -> None:
    """Where the status says which version lacks a measure, the reason is told of no other."""
    told = busy.version("v2", 1, 1, autoscaler={"engine": "HPA", "desiredReplicas": 1})
    spec = {**busy.LOST["spec"], "versions": [{"name": name, "uri": "s3://m/m/"} for name in ("v1", "v2")]}
    status = {**busy.LOST["status"], "versions": [*busy.LOST["status"]["versions"], told]}
    (found,) = one({**busy.LOST, "spec": spec, "status": status})
    reasons = [version["autoscaler"] and version["autoscaler"]["reason"] for version in found["versions"]]
    assert reasons == ["NoSeries", None]


def test_percent_of_what_is_granted() -> None:
    """A model with 40 percent of a card that uses 16 percent of it uses 40 percent of what it has; so does its target."""
    (found,) = one(busy.BERT)
    (version,) = found["versions"]
    assert version["gpuUtilization"] == 40
    assert version["autoscaler"] is not None
    assert version["autoscaler"]["measures"] == [
        {"name": "CPUUtilization", "value": 20, "target": 80},
        {"name": "GPUUtilization", "value": 40, "target": 50},
        {"name": "tokens", "value": 1200, "target": 1000},
    ]
    assert (version["autoscaler"]["engine"], version["autoscaler"]["decisive"]) == ("KEDA", "tokens")


def test_figures_of_the_autoscaler() -> None:
    """Where the metrics API has no figure, the autoscaler's own is told: a mean as it is, a total of all its replicas."""
    found = busy.autoscaler(
        "vision",
        "keda-hpa-resnet-v2",
        busy.metric("external", "s0-prometheus", ("Value", "70"), "35500m"),
        busy.metric("external", "s1-prometheus", ("AverageValue", "4"), "2500m"),
        desiredReplicas=3,
        currentReplicas=4,
    )
    (told,) = summarize(Found([busy.RESNET], [], [found], Answer()), whole=False)
    version = told["versions"][1]
    assert (version["gpuUtilization"], version["queueLength"], version["requestsPerSecond"]) == (35.5, 10, None)
    (told,) = summarize(Found([busy.RESNET], busy.PODS, [found], busy.ANSWER), whole=False)
    assert told["versions"][1]["queueLength"] == 1.5, "the younger figure counts"


def test_younger_than_the_status() -> None:
    """A scaling that the operator has not told of yet is told with its time alone."""
    (found,) = one(busy.BERT)
    scaler = found["versions"][0]["autoscaler"]
    assert scaler is not None
    assert scaler["lastScale"] == {
        "time": "2026-01-05T10:29:30Z",
        "fromReplicas": None,
        "toReplicas": None,
        "why": None,
    }


def test_json() -> None:
    """The JSON form has the documented fields, and survives being written and read."""
    found = [*summarize(busy.FOUND, whole=False), *one(busy.RESNET)]
    assert json.loads(json.dumps(found)) == found
    assert_golden("cli-top/all.json", json.dumps(found, indent=2) + "\n")


@pytest.mark.parametrize(
    ("by", "first", "last"),
    [
        ("name", "bert", "unseen"),
        ("gpu", "resnet", "unseen"),
        ("memory", "resnet", "unseen"),
        ("requests", "resnet", "unseen"),
        ("queue", "resnet", "unseen"),
        ("wait", "whisper", "unseen"),
        ("replicas", "resnet", "unseen"),
    ],
)
def test_order(by: str, first: str, last: str) -> None:
    """The busiest model is first, and one of which nothing is known last; so it is with the pods of a model."""
    found = ordered(summarize(busy.FOUND, whole=False), by)
    assert (found[0]["name"], found[-1]["name"]) == (first, last)
    assert len(found) == len(busy.FOUND.models)


def test_order_of_pods() -> None:
    """The pods of a model are sorted like models: by name, or the busiest first and those without a figure last."""

    def suffixes(by: str) -> list[str]:
        (found,) = ordered(one(busy.RESNET), by)
        return [pod["name"][-1] for pod in found["versions"][1]["pods"] or ()]

    assert suffixes("name") == ["a", "b", "c", "d"]
    assert suffixes("gpu") == ["a", "b", "c", "d"]
    assert suffixes("memory") == ["b", "a", "c", "d"]
    assert set(ORDERS) == {"name", "gpu", "memory", "requests", "queue", "wait", "replicas"}


def test_nothing_known() -> None:
    """Without the metrics API, autoscalers and pods there is still a line for each model, and no figure is made up."""
    found = summarize(Found(busy.FOUND.models, [], [], Answer()), whole=False)
    figures = {version["gpuUtilization"] for model in found for version in model["versions"]}
    assert figures == {None}
    assert len(drawn(found).splitlines()) == 1 + len(busy.FOUND.models)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.04, "<0.1"), (0.25, "0.2"), (7.0, "7"), (99.96, "100"), (1234.5, "1234")]
)
def test_numbers(value: float, text: str) -> None:
    """Numbers have as many digits as one reads at a glance, and a little is not told as nothing."""
    answer = Answer({"pantala_requests_per_second": {("speech", "whisper-main-5d4f-aaaaa"): Decimal(str(value))}})
    found = summarize(replace(busy.FOUND, models=[busy.WHISPER], answer=answer), whole=False)
    assert drawn(found).splitlines()[1].split()[6] == text


def test_questions() -> None:
    """Each namespace is asked for what its models can have: cards where they have some, Services where no server counts."""
    found = list(questions(busy.FOUND.models, busy.PODS))
    told = {(item.namespace, item.kind, item.series.removeprefix("pantala_")): item.selector for item in found}
    assert len(told) == len(found)
    assert told == {
        **{
            ("vision", "pods", name): "pantala.dev/model in (resnet,lost)" for name in ("gpu_utilization", "gpu_memory")
        },
        **{("language", "pods", name): "pantala.dev/model in (bert)" for name in ("gpu_utilization", "gpu_memory")},
        **{
            (space, "pods", name): f"pantala.dev/model in ({models})"
            for space, models in (("vision", "resnet,lost,newer"), ("language", "bert"), ("speech", "whisper"))
            for name in ("requests_per_second", "queue_length", "queue_milliseconds")
        },
        ("language", "services", "service_requests_per_second"): "pantala.dev/model in (bert)",
    }


def test_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter is asked for so many pods at a time; a model is asked for at once, however many it has."""
    monkeypatch.setattr(usage, "PODS", 3)
    models = [busy.model("a", name, {}, busy.version("v1", 1, 1)) for name in ("one", "two", "many", "last")]
    counts = {"one": 1, "two": 2, "many": 5, "last": 1}
    pods = [busy.pod("a", name, "v1", str(index)) for name, count in counts.items() for index in range(count)]
    selectors = [item.selector for item in questions(models, pods) if item.series == "pantala_queue_length"]
    assert selectors == [f"pantala.dev/model in ({names})" for names in ("one,two", "many", "last")]


def test_nobody_is_asked_about_nobody() -> None:
    """Models without pods, and pods without a model, make no question."""
    assert list(questions([busy.UNSEEN], [busy.pod("vision", "gone", "v1", "a")])) == []


def test_documented_example() -> None:
    """The examples in docs/cli.md are what the command prints."""
    assert SECTION is not None
    models = [busy.RESNET, busy.BERT, busy.WHISPER, busy.LOST]
    assert f"```\n{drawn(summarize(replace(busy.FOUND, models=models), whole=False))}```" in SECTION[1]
    assert f"```\n{drawn(one(busy.RESNET))}" in SECTION[1]


def test_documented_fields() -> None:
    """Each field of the JSON form is in docs/cli.md."""
    assert SECTION is not None
    documented = set(re.findall(r"`(\w+)(?:\[\])?`", SECTION[1]))

    def fields(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for inner in value.values() for name in fields(inner)}
        return {name for inner in value for name in fields(inner)} if isinstance(value, list) else set()

    assert fields(one(busy.RESNET)) - documented == set()
