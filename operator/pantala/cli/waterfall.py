"""The start of each replica as a waterfall: its phases as bars to scale, and where its weights came from. Pure: rich draws it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from pantala.cli.coldstart import Entry, Replica
from pantala.cli.summary import Version
from pantala.planner.account import SOURCES

STEPS = {
    "scheduled": "waits for a node",
    "prepare": "prepares",
    "fetch": "fetches",
    "image": "gets the server's image",
    "load": "loads the model",
    "leaving": "leaves",
    "failed": "failed",
}
"""What a pod does that is not ready."""
_KIBI = 1024
_LEAST_SHARE = 0.001
_COLOURS = {
    "scheduled": "bright_black",
    "prepare": "blue",
    "fetch": "cyan",
    "image": "magenta",
    "load": "green",
    "ready": "bright_green",
}
_NAMES = 11
_FIGURES = 9
_LEAST_WIDTH = 8


def human(count: int) -> str:
    """A number of bytes as people say it."""
    size, unit = float(count), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < _KIBI:
            break
        size, unit = size / _KIBI, bigger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def sources(counts: Mapping[str, int], *, shares: bool = False) -> str:
    """Bytes by source, with percentages if asked; without the sources that gave nothing."""
    whole = sum(counts.values())
    # The API server sorts by name.
    given = {name: counts[name] for name in SOURCES if counts.get(name)}
    return ", ".join(
        f"{human(count)} from {name}" + (f" ({_percent(count / whole)})" if shares else "")
        for name, count in given.items()
    )


def seconds(span: float) -> str:
    """A time as people say it: Kubernetes' whole seconds as such, the fetcher's own with a tenth."""
    return f"{span:.0f} s" if span == int(span) else f"{span:.{1 if span > 1 else 2}f} s"


def _percent(share: float) -> str:
    if share < _LEAST_SHARE:
        return "< 0.1 %"
    return "100 %" if share == 1 else f"{min(99.9, round(100 * share, 1)):g} %"


def starts(version: Version, *, ascii_only: bool = False) -> list[Start]:
    """The starts of a version's replicas: those in the ledger, and those that are on their way to it."""
    told = {entry["pod"] for entry in version["replicas"]}
    coming = [pod for pod in version["pods"] if pod["name"] not in told]
    every = [*version["replicas"], *coming]
    longest = max([0.0, *(max(sum(item["phases"].values()), item["totalSeconds"] or 0.0) for item in every)])
    found = [
        Start(_of_entry(entry), entry["phases"], longest, _notes(entry), ascii_only) for entry in version["replicas"]
    ]
    return found + [Start(_of_pod(pod), pod["phases"], longest, (), ascii_only) for pod in coming]


@dataclass(frozen=True)
class Start:
    """One replica."""

    title: Text
    phases: Mapping[str, float]
    longest: float
    """Seconds that the whole width stands for: the same for all replicas of a version."""
    notes: tuple[tuple[str, str, str], ...]
    """Further lines: name, text, style."""
    ascii_only: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, as wide as there is room."""
        yield self.title
        yield from self._bars(max(_LEAST_WIDTH, options.max_width - _NAMES - _FIGURES))
        for name, text, style in self.notes:
            lines = Text(text, style=style).wrap(console, max(_LEAST_WIDTH, options.max_width - _NAMES))
            for number, line in enumerate(lines):
                yield Text(f"{'' if number else name:<{_NAMES}}", style="not bold").append_text(line)

    def _bars(self, width: int) -> Iterator[Text]:
        full, thin = ("#", "|") if self.ascii_only else ("█", "▏")
        offset = 0.0
        for name, span in self.phases.items():
            if name == "ready" and not span:
                continue  # without readiness gates there is nothing to see
            first, last = (round(at * width / self.longest) if self.longest else 0 for at in (offset, offset + span))
            offset += span
            first = min(first, width - 1)
            bar = full * (last - first) or thin
            line = Text(f"{name:<{_NAMES}}{' ' * first}", style="not bold")
            line.append(bar, style=_COLOURS[name])
            yield line.append(f"{' ' * (width - first - len(bar))}{seconds(span):>{_FIGURES}}")


def _of_entry(entry: Entry) -> Text:
    line = _named(entry["pod"], entry["node"])
    if entry["ready"] is None:
        return line.append(": not ready yet" if entry["exists"] else ": gone before it was ready", style="yellow")
    after = f" after {seconds(entry['totalSeconds'])}" if entry["totalSeconds"] is not None else ""
    if entry["exists"]:
        line.append(f": ready{after}", style="green")
    else:
        line.append(f": gone, it was ready{after}", style="bright_black")
    if entry["restarts"]:
        line.append(f", {entry['restarts']} restart{'s' if entry['restarts'] > 1 else ''} before", style="yellow")
    return line


def _of_pod(pod: Replica) -> Text:
    line = _named(pod["name"], pod["node"]).append(f": {STEPS.get(pod['step'], pod['step'])}", style="yellow")
    return line.append(f", {pod['waiting']}", style="red") if pod["waiting"] else line


def _named(pod: str, node: str | None) -> Text:
    line = Text().append(pod, style="bold")
    return line.append(f" on {node}") if node else line


def _notes(entry: Entry) -> tuple[tuple[str, str, str], ...]:
    found = []
    if carried := sources(entry["bytes"] or {}, shares=True):
        found.append(("bytes", carried, ""))
    if entry["direct"]:
        found.append(("direct", f"{human(entry['direct'])} of origin, read by the fetcher itself", ""))
    if entry["parents"]:
        most = sorted(entry["parents"].items(), key=lambda item: (item[0] == "others", -item[1]))
        found.append(("parents", ", ".join(f"{host} {human(count)}" for host, count in most), ""))
    if entry["retries"]:
        found.append(("retries", str(entry["retries"]), "yellow"))
    if entry["fallback"]:
        found.append(("fallback", entry["fallback"], "yellow"))
    return tuple(found)
