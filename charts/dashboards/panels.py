"""Panels of Grafana dashboards, in the JSON of schema version 39 (Grafana 10.4 and 11), and how they are laid out.

Only what differs from Grafana's own defaults is written, and nothing that a server would assign, such as an id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 39
"""schemaVersion of Grafana 10.4; newer ones migrate it when they load it."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
"""Columns of a dashboard."""
GREEN, YELLOW, RED = "green", "yellow", "red"


@dataclass(frozen=True)
class Query:
    """A question to Prometheus."""

    expr: str
    legend: str = ""
    instant: bool = False
    """Whether now alone is asked for, as a table."""


@dataclass(frozen=True)
class Panel:
    """One panel; `kind` and `options` are Grafana's."""

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 8
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ((None, GREEN),)
    """Thresholds: from which value on which colour; the first has none."""
    limits: tuple[float | None, float | None] = (None, None)
    """Ends of the axis."""
    mappings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Words and colours of values."""
    no_value: str = ""
    custom: Mapping[str, Any] = field(default_factory=dict)
    """How lines are drawn."""
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Mapping[str, Any]] = ()
    transformations: Sequence[Mapping[str, Any]] = ()

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana reads it."""
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "custom": dict(self.custom),
            "thresholds": {"mode": "absolute", "steps": [{"color": c, "value": v} for v, c in self.steps]},
        }
        defaults |= {name: end for name, end in zip(("min", "max"), self.limits, strict=True) if end is not None}
        if self.mappings:
            words = {
                value: {"text": text, "color": color, "index": index}
                for index, (value, (text, color)) in enumerate(self.mappings.items())
            }
            defaults["mappings"] = [{"type": "value", "options": words}]
        if self.no_value:
            defaults["noValue"] = self.no_value
        made = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [_target(ref, query) for ref, query in zip("ABCDEFGH", self.queries, strict=False)],
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": dict(self.options),
        }
        if self.transformations:
            made["transformations"] = list(self.transformations)
        return made


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


def lines(title: str, description: str, queries: Sequence[Query], **more: Any) -> Panel:
    """Values over time."""
    steps = more.get("steps", ())
    custom = {"lineWidth": 1, "fillOpacity": 0, "showPoints": "never", "spanNulls": False, **more.pop("custom", {})}
    if len(steps) > 1:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more.setdefault("limits", (0, None))
    return Panel("timeseries", title, description, queries, custom=custom, options=options, **more)


def stacked(title: str, description: str, queries: Sequence[Query], **more: Any) -> Panel:
    """Parts of a whole over time."""
    custom = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 60, "lineWidth": 0}
    return lines(title, description, queries, custom=custom, **more)


def stat(title: str, description: str, queries: Sequence[Query], **more: Any) -> Panel:
    """One number now, or a few; with `names` the legends in place of the numbers."""
    text = "name" if more.pop("names", False) else "value_and_name" if len(queries) > 1 else "value"
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    coloured = "background" if more.pop("filled", False) else "value"
    options = {"reduceOptions": reduced, "colorMode": coloured, "graphMode": "none", "textMode": text}
    return Panel("stat", title, description, queries, options=options, **{"width": 4, "height": 4, **more})


def timeline(title: str, description: str, queries: Sequence[Query], **more: Any) -> Panel:
    """States over time."""
    options = {"mergeValues": True, "showValue": "never", "rowHeight": 0.8}
    options |= {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
    return Panel("state-timeline", title, description, queries, custom={"fillOpacity": 80}, options=options, **more)


def table(title: str, description: str, queries: Sequence[Query], columns: Mapping[str, str], **more: Any) -> Panel:
    """Labels of series that are there now; `columns` are those that are shown, with their headings, in their order."""
    return Panel(
        "table",
        title,
        description,
        queries,
        options={"showHeader": True, "footer": {"show": False}},
        transformations=[
            {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
            {
                "id": "organize",
                "options": {
                    "indexByName": {name: index for index, name in enumerate(columns)},
                    "renameByName": dict(columns),
                },
            },
        ],
        **more,
    )


def dashboard(
    uid: str, title: str, description: str, rows: Sequence[Row], variables: Sequence[Mapping[str, Any]], span: str
) -> dict[str, Any]:
    """A whole dashboard; panels follow each other from left to right.

    Args:
        uid: By which others link to it.
        title: Its title.
        description: What it is for.
        rows: Its panels.
        variables: What can be chosen, besides the datasource.
        span: The time that it shows at first, such as 6h.
    """
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        number = len(panels) + 1
        panels.append(
            {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        )
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(panel.json(len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    chosen = {"name": "datasource", "label": "Datasource", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["pantala"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "",
        "time": {"from": f"now-{span}", "to": "now"},
        "templating": {"list": [chosen, *variables]},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Pantala",
                "tags": ["pantala"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": panels,
    }


def variable(name: str, label: str, query: str, *, many: bool = False) -> dict[str, Any]:
    """A choice among the values of a label; with `many` any number of them, at first all."""
    made = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "A"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
    }
    if many:
        made |= {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return made


def _target(ref: str, query: Query) -> dict[str, Any]:
    made = {
        "refId": ref,
        "datasource": DATASOURCE,
        "expr": query.expr,
        "editorMode": "code",
        "range": not query.instant,
    }
    if query.instant:
        return made | {"instant": True, "format": "table"}
    return made | {"legendFormat": query.legend}
