"""The words and lines of `pantala status`, from summaries. Pure: rich draws them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pantala.cli.coldstart import PHASES, Replica
from pantala.cli.summary import Condition, Summary, Version

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
_STEPS = {
    "schedule": "waits for a node",
    "prepare": "prepares",
    "fetch": "fetches",
    "image": "gets the server's image",
    "load": "loads the model",
    "leaving": "leaves",
    "failed": "failed",
}
_KIBI = 1024


def human(count: int) -> str:
    """A number of bytes as people say it."""
    size, unit = float(count), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < _KIBI:
            break
        size, unit = size / _KIBI, bigger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def tree(model: Summary, *, ascii_only: bool = False) -> Tree:
    """All that is told of one model."""
    head = _state(model, ascii_only=ascii_only)
    head.append(f" {model['namespace']}/{model['name']}", style="bold")
    if model["version"]:
        head.append(f", version {model['version']} answers" if model["ready"] else f", version {model['version']}")
    root = Tree(head, guide_style="dim")
    if hint := _HINTS.get(model["state"]):
        root.add(Text(hint))
    if model["url"]:
        root.add(Text(f"inside   {model['url']}"))
    if model["addresses"]:
        root.add(Text("outside  " + ", ".join(f"{address} ({name})" for name, address in model["addresses"].items())))
    for condition in model["conditions"]:
        root.add(_condition(condition))
    told = {condition["message"] for condition in model["conditions"]}
    for version in model["versions"]:
        _version(root, version, model, told)
    return root


def table(models: Iterable[Summary], *, ascii_only: bool = False) -> RenderableType:
    """A line for each model."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("MODEL", "STATE", "VERSION", "REPLICAS", "FETCHED"):
        found.add_column(title, overflow="fold")
    found.add_column("IN THE WAY", ratio=1, overflow="fold")
    for model in models:
        version = _answering(model)
        replicas = f"{version['readyReplicas']}/{version['replicas']}" if version else ""
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


def page(models: list[Summary], *, whole: bool, ascii_only: bool = False) -> RenderableType:
    """A tree for each model, or a table of them."""
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


def _version(root: Tree, version: Version, model: Summary, told: set[str]) -> None:
    state = version["state"] or "Unknown"
    line = Text(f"version {version['name']}: ", style="bold")
    line.append(state, style=_VERSION_COLOURS.get(state, "default"))
    line.append(f", {version['readyReplicas']} of {version['replicas']} replicas ready", style="not bold")
    if version["name"] == model["target"] != model["version"] and model["version"]:
        line.append(", to have the traffic", style="not bold")
    branch = root.add(line)
    if version["image"]:
        branch.add(Text(f"image    {version['image']}", overflow="fold"))
    if fetched := _fetched(version):
        branch.add(Text(f"fetched  {fetched}"))
    if version["message"] and version["message"] not in told:
        branch.add(Text(version["message"], style="yellow"))
    for pod in version["pods"]:
        branch.add(_replica(pod))


def _fetched(version: Version) -> str:
    fetch = version["fetch"]
    if fetch is None:
        return ""
    parts = [] if fetch["bytes"] is None else [human(fetch["bytes"])]
    parts += [] if fetch["seconds"] is None else [f"in {fetch['seconds']:.1f} s"]
    return " ".join(parts)


def _replica(pod: Replica) -> Text:
    line = Text(f"replica  {pod['name']}")
    if pod["node"]:
        line.append(f" on {pod['node']}")
    if pod["step"] == "ready":
        line.append(": ready", style="green")
        if pod["totalSeconds"] is not None:
            line.append(f" after {pod['totalSeconds']} s", style="green")
    else:
        line.append(f": {_STEPS[pod['step']]}", style="yellow")
        if pod["stepSeconds"] is not None:
            line.append(f", for {pod['stepSeconds']} s")
    if pod["waiting"]:
        line.append(f", {pod['waiting']}", style="red")
    if pod["restarts"]:
        line.append(f", {pod['restarts']} restart{'s' if pod['restarts'] > 1 else ''}", style="red")
    if pod["phases"]:
        line.append(
            "\nphases   " + ", ".join(f"{name} {pod['phases'][name]} s" for name in PHASES if name in pod["phases"])
        )
    sources = {name: count for name, count in (pod["bytes"] or {}).items() if count}
    if sources:
        line.append("\nbytes    " + ", ".join(f"{human(count)} from {name}" for name, count in sources.items()))
    return line
