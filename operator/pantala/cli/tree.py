"""The words and lines of `pantala status`, from summaries. Pure: rich draws them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pantala.cli import scaled
from pantala.cli.coldstart import Replica
from pantala.cli.summary import Cards, Condition, Summary, Version
from pantala.cli.traffic import drawn
from pantala.cli.waterfall import STEPS, human, seconds, sources, starts

_STATES = {
    "Ready": ("✔", "+", "green"),
    "Starting": ("…", "~", "yellow"),
    "Outdated": ("…", "~", "yellow"),
    "Deleting": ("…", "~", "yellow"),
    "Failed": ("✘", "!", "red"),
    "Unseen": ("?", "?", "red"),
}
_VERSION_COLOURS = {"Serving": "green", "Starting": "yellow", "Failed": "red", "Frozen": "cyan"}
_HINTS = {
    "Outdated": "the operator has not looked at the last change yet",
    "Unseen": "no operator has looked at it: is one running?",
    "Deleting": "it is being deleted",
}


def tree(model: Summary, *, ascii_only: bool = False) -> Tree:
    """All that is told of one model."""
    root = _root(model, ascii_only=ascii_only)
    if hint := _HINTS.get(model["state"]):
        root.add(Text(hint))
    if model["url"]:
        root.add(Text(f"url      {model['url']}"))
    if model["example"]:
        root.add(Text(f"try      {model['example']}"))
    if model["addresses"]:
        root.add(Text("outside  " + ", ".join(f"{address} ({name})" for name, address in model["addresses"].items())))
    for condition in model["conditions"]:
        root.add(_condition(condition))
    told = {condition["message"] for condition in model["conditions"]}
    for version in model["versions"]:
        _version(root, version, model, told)
    if model["traffic"]:
        root.add(drawn(model["traffic"], model["version"]))
    return root


def cold_starts(model: Summary, *, ascii_only: bool = False) -> Tree:
    """How the replicas of one model started."""
    root = _root(model, ascii_only=ascii_only)
    for condition in model["conditions"]:
        if "Distributed" in condition["types"]:
            root.add(_condition(condition))
    for version in model["versions"]:
        found = starts(version, ascii_only=ascii_only)
        if found or version["desiredReplicas"]:
            branch = root.add(_title(version, model))
            for start in found:
                branch.add(start)
    return root


def table(models: Iterable[Summary], *, ascii_only: bool = False) -> RenderableType:
    """A line for each model."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("MODEL", "STATE", "VERSION", "REPLICAS", "FETCHED"):
        found.add_column(title, overflow="fold")
    found.add_column("IN THE WAY", ratio=1, overflow="fold")
    for model in models:
        version = _answering(model)
        replicas = f"{version['readyReplicas']}/{version['desiredReplicas']}" if version else ""
        cause = next((item["message"] for item in model["conditions"]), _HINTS.get(model["state"], ""))
        found.add_row(
            f"{model['namespace']}/{model['name']}",
            _state(model, ascii_only=ascii_only),
            model["version"] or "",
            replicas,
            _fetched(version) if version else "",
            Text(cause),
        )
    return found


def page(models: list[Summary], *, whole: bool, ascii_only: bool = False, cold_start: bool = False) -> RenderableType:
    """A tree for each model, or a table of them, or how their replicas started."""
    if cold_start:
        return Group(*(cold_starts(model, ascii_only=ascii_only) for model in models))
    if whole:
        return Group(*(tree(model, ascii_only=ascii_only) for model in models))
    return table(models, ascii_only=ascii_only)


def _answering(model: Summary) -> Version | None:
    name = model["version"] or model["target"]
    return next((version for version in model["versions"] if version["name"] == name), None)


def _state(model: Summary, *, ascii_only: bool) -> Text:
    symbol, plain, colour = _STATES[model["state"]]
    word = f"{plain if ascii_only else symbol} {model['state']}"
    return Text().append(f"{word} (paused)" if model["paused"] else word, style=colour)


def _condition(condition: Condition) -> Text:
    found = Text(f"{', '.join(condition['types'])}: {condition['reason']}", style="yellow")
    return found.append(f"\n{condition['message']}", style="default")


def _root(model: Summary, *, ascii_only: bool) -> Tree:
    head = _state(model, ascii_only=ascii_only)
    head.append(f" {model['namespace']}/{model['name']}", style="bold")
    if model["version"]:
        head.append(f", version {model['version']} answers" if model["ready"] else f", version {model['version']}")
    return Tree(head, guide_style="dim")


def _title(version: Version, model: Summary) -> Text:
    state = version["state"] or "Unknown"
    line = Text(f"version {version['name']}: ", style="bold")
    line.append(state, style=_VERSION_COLOURS.get(state, "default"))
    line.append(f", {version['readyReplicas']} of {version['desiredReplicas']} replicas ready", style="not bold")
    if version["name"] == model["target"] != model["version"] and model["version"]:
        line.append(", to have the traffic", style="not bold")
    return line


def _version(root: Tree, version: Version, model: Summary, told: set[str]) -> None:
    branch = root.add(_title(version, model))
    if version["image"]:
        branch.add(Text(f"image    {version['image']}", overflow="fold"))
    if cards := version["accelerator"]:
        branch.add(Text(f"cards    {_asked(cards)}"))
    if autoscaler := version["autoscaler"]:
        for line in scaled.lines(autoscaler):
            branch.add(Text(line, style="yellow" if line.startswith("missing") else ""))
    if fetched := _fetched(version):
        branch.add(Text(f"fetched  {fetched}"))
    if (fetch := version["fetch"]) and fetch["replicas"] > 1 and (carried := sources(fetch["bytes"])):
        branch.add(Text(f"in all   {carried}, by {fetch['replicas']} replicas"))
    if version["message"] and version["message"] not in told:
        branch.add(Text(version["message"], style="yellow"))
    for warning in cards["warnings"] if cards else ():
        branch.add(Text(f"warning  {warning}", style="yellow"))
    for pod in version["pods"]:
        branch.add(_replica(pod))


def _asked(cards: Cards) -> str:
    """What was asked of the provider, and what is granted where that is more."""
    parts = [
        f"{grant['resource']} {grant['asked']}"
        + ("" if grant["granted"] == grant["asked"] else f" -> {grant['granted']}")
        for grant in cards["grants"]
    ]
    return f"{cards['provider']}: {', '.join(parts)}" if parts else cards["provider"]


def _fetched(version: Version) -> str:
    """What the newest replica fetched."""
    if not version["replicas"]:
        return ""
    newest = version["replicas"][-1]
    parts = [] if newest["bytes"] is None else [human(sum(newest["bytes"].values()))]
    parts += [f"in {seconds(newest['phases']['fetch'])}"] if "fetch" in newest["phases"] else []
    return " ".join(parts)


def _replica(pod: Replica) -> Text:
    line = Text(f"replica  {pod['name']}")
    if pod["node"]:
        line.append(f" on {pod['node']}")
    if pod["step"] == "ready":
        line.append(": ready", style="green")
        if pod["totalSeconds"] is not None:
            line.append(f" after {seconds(pod['totalSeconds'])}", style="green")
    else:
        line.append(f": {STEPS[pod['step']]}", style="yellow")
        if pod["stepSeconds"] is not None:
            line.append(f", for {pod['stepSeconds']} s")
    if pod["waiting"]:
        line.append(f", {pod['waiting']}", style="red")
    if pod["restarts"]:
        line.append(f", {pod['restarts']} restart{'s' if pod['restarts'] > 1 else ''}", style="red")
    if pod["phases"]:
        spans = [f"{name} {seconds(span)}" for name, span in pod["phases"].items() if span or name != "ready"]
        line.append("\nphases   " + ", ".join(spans))
    if carried := sources(pod["bytes"] or {}):
        line.append(f"\nbytes    {carried}")
    return line
