"""`pantala refresh`: take today's default images and templates for a model that was rendered with older ones."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import click

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.cli import access, difference, options, output
from pantala.cli.failures import Failure
from pantala.cluster.apply import stamped
from pantala.cluster.client import Client
from pantala.cluster.resources import DEPLOYMENT, MODEL
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner import plan as planning
from pantala.planner.observed import Observed

DECLINED = 1
"""Exit code: the question was answered with no."""
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class ImageChange:
    """Another image of one container."""

    container: str
    before: str
    after: str


@dataclass(frozen=True)
class Effect:
    """What a refresh does to one version."""

    version: str
    images: tuple[ImageChange, ...]
    other: bool
    """Whether something else of the pod template changes as well."""
    pods: int
    """Pods that are replaced."""

    @property
    def line(self) -> str:
        """The effect in words."""
        if not self.images and not self.other:
            return f"version {self.version}: nothing changes"
        parts = [f"{image.container} {image.before} -> {image.after}" for image in self.images]
        parts += ["other parts of the pod template"] if self.other else []
        return f"version {self.version}: {', '.join(parts)}; {self.pods} pod{'' if self.pods == 1 else 's'} replaced"


def effects(live: access.Live, settings: Settings, value: str, now: datetime) -> tuple[Effect, ...]:
    """What the operator will change once the model's refresh annotation is `value`. Pure."""
    meta = live.seen.model["metadata"]
    annotations = {**(meta.get("annotations") or {}), naming.ANNOTATION_REFRESH: value}
    obj = {**live.seen.model, "metadata": {**meta, "annotations": annotations}}
    seen = Observed(obj, live.seen.children, live.seen.pods)
    plan = planning.plan(InferenceModel.read(obj), seen, settings, now)
    wanted = (stamped(manifest) for manifest in plan.apply if manifest["kind"] == DEPLOYMENT.kind)
    found = ((manifest, live.raw.get(Ref.of(manifest))) for manifest in wanted)
    return tuple(_effect(manifest, raw, seen) for manifest, raw in found if raw is not None)


def _effect(desired: Manifest, raw: Manifest, seen: Observed) -> Effect:
    version = desired["metadata"]["labels"][naming.LABEL_VERSION]
    before = difference.own_part(raw, desired)["spec"]["template"]
    after = desired["spec"]["template"]
    old, new = _images(before), _images(after)
    images = tuple(
        ImageChange(name, old.get(name, "none"), image) for name, image in new.items() if image != old.get(name)
    )
    other = _imageless(before) != _imageless(after)
    pods = len(seen.pods_of(version)) if images or other else 0
    return Effect(version, images, other, pods)


_LISTS = ("initContainers", "containers")


def _images(template: Manifest) -> dict[str, str]:
    return {item["name"]: item.get("image", "") for key in _LISTS for item in template["spec"].get(key, ())}


def _imageless(template: Manifest) -> Manifest:
    lists = {key: [{**item, "image": ""} for item in template["spec"].get(key, ())] for key in _LISTS}
    return {**template, "spec": {**template["spec"], **lists}}


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace. Default: the context's.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would change; the API server checks the write and drops it.")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@options.installation
@options.cluster
def refresh(
    name: str,
    namespace: str | None,
    yes: bool,  # noqa: FBT001 -- click's way
    dry_run: bool,  # noqa: FBT001
    form: str,
    settings: Settings,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Let the operator render a model anew, with its present default images and templates.

    An upgrade of the operator changes no running pod: each version keeps what it was first rendered with. This takes the
    new defaults for all versions of NAME; pods are replaced by the versions' update strategy. What will change is told
    before, for an operator with the defaults of this command: if yours was given other images, give them here as well.

    Exit code: 0 done, 1 you said no, 2 error.
    """
    job = _Job(name, namespace, settings, lambda: datetime.now(UTC), yes=yes, dry_run=dry_run, form=form)
    sys.exit(asyncio.run(_run(job, kubeconfig, context)))


@dataclass(frozen=True)
class _Job:
    name: str
    namespace: str | None
    settings: Settings
    now: Callable[[], datetime]
    yes: bool
    dry_run: bool
    form: str


async def _run(job: _Job, kubeconfig: str | None, context: str | None) -> int:
    async with access.connect(kubeconfig, context) as place:
        namespace = job.namespace or place.namespace
        live = await access.observe(place.client, namespace, job.name)
        if live is None:
            raise Failure(
                f"There is no {naming.KIND} {job.name} in namespace {namespace}. `pantala status -A` lists what there is."
            )
        # To the microsecond, so that two in one second are two.
        value = job.now().isoformat().replace("+00:00", "Z")
        found = effects(live, job.settings, value, job.now())
        _tell(job, live, namespace, found, value)
        if not job.yes and not job.dry_run:
            await asyncio.to_thread(sys.stdout.flush)
            if not await asyncio.to_thread(click.confirm, f"Refresh {namespace}/{job.name}?", err=True):
                click.echo("Nothing was changed.", err=True)
                return DECLINED
        await annotate(place.client, live.seen.model, value, dry_run=job.dry_run)
        done = "would be refreshed (dry run)" if job.dry_run else "refreshed; `pantala status` shows how it goes"
        click.echo(f"{namespace}/{job.name} {done}.", err=True)
    return 0


async def annotate(client: Client, model: Manifest, value: str, *, dry_run: bool = False) -> None:
    """Write the annotation that makes the operator render anew; refused if the name now belongs to another object."""
    meta = model["metadata"]
    params = {"fieldManager": "pantala-refresh", **({"dryRun": "All"} if dry_run else {})}
    body = {"metadata": {"uid": meta["uid"], "annotations": {naming.ANNOTATION_REFRESH: value}}}
    path = MODEL.path(meta["namespace"], meta["name"])
    await client.request("PATCH", path, params=params, body=body, content_type=_MERGE_PATCH)


def _tell(job: _Job, live: access.Live, namespace: str, found: tuple[Effect, ...], value: str) -> None:
    if job.form == "json":
        click.echo(
            output.as_json(
                {
                    "namespace": namespace,
                    "name": job.name,
                    "refresh": value,
                    "dryRun": job.dry_run,
                    "versions": [asdict(effect) for effect in found],
                },
                sort=False,
            )
        )
    else:
        for effect in found:
            click.echo(effect.line)
        if not found:
            click.echo("No version has a Deployment yet: nothing changes.")
    if live.seen.model["spec"].get("paused"):
        click.echo("spec.paused is set: the operator changes nothing before it is not.", err=True)
