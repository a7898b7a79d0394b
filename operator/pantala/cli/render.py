"""`pantala render`: the plan for resources in files, by itself or beside what a cluster holds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.cli import access, difference, options, output, resources
from pantala.cli.failures import ERROR
from pantala.cluster.apply import stamped
from pantala.cluster.resources import wave
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner import plan as planning
from pantala.planner import scaling
from pantala.planner.observed import Mesh, Observed
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

NEW_UID = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid of a model that no cluster has seen yet."""
_UNKNOWN_MESH = (
    "routes are not shown, because without a cluster it is not known what carries them out. Choose with --mesh istio or "
    "--mesh gateway-api, or with --mesh none."
)
DIFFERENT = 1
"""Exit code of `--diff`: the operator would write something."""


@dataclass(frozen=True)
class Rendered:
    """The plan for one resource."""

    apply: tuple[Manifest, ...]
    """Children as they are written, in that order."""
    delete: tuple[Manifest, ...]
    notes: tuple[str, ...] = ()
    """What a person should know that is no error."""
    problems: tuple[str, ...] = ()
    """What cannot be rendered."""


def rendered(
    obj: Manifest,
    live: Observed | None,
    settings: Settings,
    now: datetime,
    around: access.Surroundings | None = None,
) -> Rendered:
    """What the operator would write for a checked resource of a file. Pure.

    Args:
        obj: The resource, with its namespace.
        live: What the cluster holds of it; None for a new model.
        settings: Those of the operator.
        now: The time.
        around: What the cluster has for routes. Default: there is no cluster, and every version counts as ready.
    """
    if live is None:
        obj = {**obj, "metadata": {**obj["metadata"], "uid": NEW_UID}}
        if around is None:
            mesh = Mesh.NONE if settings.mesh == "auto" else Mesh(settings.mesh)
            live = Observed(model=obj, mesh=mesh, assume_ready=True)
        else:
            live = Observed(
                model=obj,
                mesh=around.mesh,
                gateways=around.gateways,
                claim_templates=around.claim_templates,
                scaled_objects=around.scaled_objects,
                service_monitors=around.service_monitors,
            )
    else:
        # As after an apply of the file: the identity is the cluster's, annotations are merged.
        meta, stored = obj["metadata"], live.model["metadata"]
        annotations = {**(stored.get("annotations") or {}), **(meta.get("annotations") or {})}
        obj = {**obj, "metadata": {**stored, "annotations": annotations}}
    model = InferenceModel.read(obj)
    made = planning.plan(model, live, settings, now)
    where = f"{model.metadata.namespace}/{model.metadata.name}"
    notes = [f"{where}: spec.paused is set, so the operator writes nothing."] if made.paused else []
    notes += [f"{where}: {words}" for words in _warnings(model, made)]
    notes += [f"{where}: version {name}: {_held(it)}" for name, it in sorted(made.held.items())]
    problems = [f"{where}: version {name}: {bad.field}: {bad.message}" for name, bad in sorted(made.invalid.items())]
    for problem in () if made.paused else made.routing.problems:
        if problem.reason is Reason.MESH_MISSING and around is None and settings.mesh == "auto":
            notes.append(f"{where}: {_UNKNOWN_MESH}")
        else:
            (problems if problem.reason is Reason.NOT_SUPPORTED else notes).append(f"{where}: {problem.message}")
    # What a pod needs goes before its Deployment, and what a route names before the route (cluster.apply).
    apply = sorted((stamped(manifest) for manifest in made.apply), key=lambda item: wave(item["kind"]))
    return Rendered(tuple(apply), made.delete, tuple(notes), tuple(problems))


def _held(problem: Problem) -> str:
    """Why there is no autoscaler, with what stands here for the values of the chart that the words name."""
    here = " Here: --keda-prometheus-url URL." if problem.reason is Reason.TRIGGER_FAILED else ""
    return f"{problem.message}{here}"


def _warnings(model: InferenceModel, made: planning.Plan) -> list[str]:
    """What is to be known of cards, and of measures of them that no autoscaler gets, each once, with the versions."""
    found: dict[str, list[str]] = {}
    for name, cards in made.cards.items():
        version = resolve.find(model, name)
        resolved = None if version is None else resolve.resolve(model, name)
        never = () if resolved is None else scaling.warnings(resolved, cards.provider, made.autoscaling)
        for words in (*cards.claim.warnings, *(words for _, words in never)):
            found.setdefault(words, []).append(name)
    return [f"version {', '.join(names)}: warning: {words}" for words, names in found.items()]


def _tell(results: Sequence[Rendered]) -> bool:
    """Write notes and problems to stderr; whether there was a problem."""
    for result in results:
        for line in (*result.notes, *result.problems):
            click.echo(line, err=True)
    return any(result.problems for result in results)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@click.option("--diff", is_flag=True, help="Show what the operator would change in the cluster, as a unified diff.")
@click.option("--brief", is_flag=True, help="Leave out the operator's own annotations.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of resources that name none.")
@click.option("-o", "--output", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@options.installation
@options.cluster
def render(
    files: tuple[str, ...],
    diff: bool,  # noqa: FBT001 -- click's way
    brief: bool,  # noqa: FBT001
    namespace: str | None,
    form: str,
    settings: Settings,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Print the objects that InferenceModels become, in the order in which the operator writes them.

    FILE is YAML or JSON, several documents are fine, and - reads standard input. No cluster is needed: the objects are
    those of a new model, whose uid in the owner references is all zeros. The routes are those of --mesh, as they are once
    every version is ready; with auto there are none, since a cluster alone could tell what it has.

    With --diff they are those that the operator would write now, beside what the cluster holds. Only reads are needed.
    Images in force at a version's first rendering stay, as the operator keeps them.

    Exit code: 0 done, or nothing to change; 1 with --diff: something would change; 2 error.
    """
    objects = resources.load(files)
    if diff:
        sys.exit(asyncio.run(_diff(objects, namespace, settings, kubeconfig, context, brief=brief, form=form)))
    results = [
        rendered(resources.place(obj, namespace, "default"), None, settings, datetime.now(UTC)) for obj in objects
    ]
    manifests = [manifest for result in results for manifest in result.apply]
    if brief:
        manifests = [output.without(manifest, output.OPERATORS_OWN) for manifest in manifests]
    click.echo(output.manifests(manifests, form), nl=False)
    if _tell(results):
        sys.exit(ERROR)


async def _diff(
    objects: list[Manifest],
    namespace: str | None,
    settings: Settings,
    kubeconfig: str | None,
    context: str | None,
    *,
    brief: bool,
    form: str,
) -> int:
    results: list[Rendered] = []
    changes: list[difference.Change] = []
    async with access.connect(kubeconfig, context) as place:
        around = await access.surroundings(place.client, settings)
        for obj in objects:
            here = resources.place(obj, namespace, place.namespace)
            meta = here["metadata"]
            live = await access.observe(place.client, meta["namespace"], meta["name"], around)
            result = rendered(here, live.seen if live else None, settings, datetime.now(UTC), around)
            strangers = []
            for manifest in result.apply:
                ref = Ref.of(manifest)
                raw = live.raw.get(ref) if live else None
                raw = raw or await access.taken(place.client, ref)
                if raw is not None and not (live and live.seen.owns(raw)):
                    strangers.append(f"{ref} exists already and is not this model's; the operator leaves it as it is.")
                elif found := difference.change(manifest, raw):
                    changes.append(found)
            changes += [difference.deletion(live.raw[Ref.of(gone)]) for gone in result.delete if live]
            results.append(Rendered(result.apply, result.delete, result.notes, (*result.problems, *strangers)))
    _show(changes, brief=brief, form=form)
    if _tell(results):
        return ERROR
    return DIFFERENT if changes else 0


_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def _show(changes: list[difference.Change], *, brief: bool, form: str) -> None:
    if form == "json":
        found = [
            {"action": item.action, "object": str(item.ref), "before": item.before, "after": item.after}
            for item in changes
        ]
        click.echo(output.as_json(found))
        return
    for item in changes:
        lines = difference.unified(item, brief=brief)
        if not lines:
            click.echo(f"{item.ref}: only the operator's own annotations change.", err=True)
        for line in lines:
            heading = line.startswith(("+++", "---"))
            click.echo(click.style(line, fg=_COLOURS.get(line[:1]), bold=heading), color=access.no_color())
