"""What one version is made of, once shared and own blocks are merged."""

from dataclasses import dataclass

from pantala.api.accelerator import Accelerator
from pantala.api.model import InferenceModel
from pantala.api.pod import Resources, Template, Update
from pantala.api.runtime import Runtime
from pantala.api.scaling import Scaling
from pantala.api.spec import Version
from pantala.api.storage import Distribution, Storage


@dataclass(frozen=True)
class ResolvedVersion:
    """One version with everything that decides its pods; `None` means that the user asked for nothing."""

    name: str
    uri: str
    digest: str | None
    model_name: str
    """The name that clients use."""
    runtime: Runtime
    resources: Resources | None
    accelerator: Accelerator | None
    template: Template | None
    update: Update | None
    storage: Storage | None
    distribution: Distribution
    scaling: Scaling


def find(model: InferenceModel, name: str) -> Version | None:
    """The version of that name in the spec, if there is one."""
    return next((version for version in model.spec.versions if version.name == name), None)


def target(model: InferenceModel) -> str:
    """The version that clients without a mesh are to reach: `traffic.target`, that with the largest share, or the only one."""
    return max(shares(model).items(), key=lambda item: item[1])[0]


def shares(model: InferenceModel) -> dict[str, int]:
    """The shares that the spec asks for, in percent by version, those without a share left out; they make 100."""
    traffic = model.spec.traffic
    if traffic is not None and traffic.split is not None:
        return {share.version: share.weight for share in traffic.split if share.weight}
    target = traffic.target if traffic is not None and traffic.target else model.spec.versions[0].name
    return {target: 100}


def asked(model: InferenceModel) -> frozenset[str]:
    """The versions that something asks for: a share, a copy of requests, or a rule. All others are parked."""
    return frozenset(shares(model)) | extras(model)


def extras(model: InferenceModel) -> frozenset[str]:
    """The versions that get requests or copies besides the shares: by a rule, or as a mirror."""
    traffic = model.spec.traffic
    if traffic is None:
        return frozenset()
    return frozenset(
        {mirror.version for mirror in traffic.mirrors or ()} | {rule.version for rule in traffic.rules or ()}
    )


def resolve(model: InferenceModel, version_name: str) -> ResolvedVersion:
    """Merge shared and own blocks of a version: an own block replaces the shared one whole.

    Raises:
        KeyError: The spec has no version of that name.
    """
    version = find(model, version_name)
    if version is None:
        raise KeyError(version_name)
    spec = model.spec
    return ResolvedVersion(
        name=version.name,
        uri=version.uri,
        digest=version.digest,
        model_name=model.served_name,
        runtime=version.runtime or spec.runtime,
        resources=version.resources or spec.resources,
        accelerator=version.accelerator or spec.accelerator,
        template=spec.template,
        update=spec.update,
        storage=version.storage or spec.storage,
        distribution=version.distribution or spec.distribution,
        scaling=version.scaling or spec.scaling,
    )
