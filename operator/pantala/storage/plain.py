"""The way to a store by arguments and keys, which is that of every store but a claim."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from pantala.manifest.types import Invalid
from pantala.storage.base import EnvVar, Source, StorageAccess
from pantala.storage.uri import bad_endpoint, check_digest, check_endpoint


class Need(Enum):
    """What a field is to a kind of store."""

    REQUIRED = auto()
    OPTIONAL = auto()
    USELESS = auto()


@dataclass(frozen=True)
class Fields:
    """Which fields of `storage` a kind of store understands, and which keys the Secret holds."""

    shown: str
    """Its scheme, for messages: `oss://`."""
    endpoint: Need = Need.USELESS
    example: str = "https://s3.example.com"
    """An endpoint, for messages."""
    endpoint_path: bool = False
    """Whether the endpoint may have one part behind the host."""
    endpoint_port: bool = True
    """Whether the endpoint may have a port."""
    region: bool = False
    required_keys: tuple[str, ...] = ()
    """Keys that the Secret must have, so that the kubelet names a missing one before anything starts."""
    optional_keys: tuple[str, ...] = ()
    """Keys that the Secret may have."""
    public: bool = True
    """Whether it can be read without keys."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that the Secret may have."""
        return (*self.required_keys, *self.optional_keys)

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass what is no secret as arguments, the keys from the Secret."""
        if invalid := self.refusal(source):
            return invalid
        args = ["--uri", source.uri]
        for name, value in (("endpoint", source.endpoint), ("region", source.region), ("digest", source.digest)):
            if value is not None:
                args += [f"--{name}", value]
        env: tuple[EnvVar, ...] = ()
        if source.secret_name is not None:
            env = tuple(_secret_env(source.secret_name, key, optional=key in self.optional_keys) for key in self.keys)
        return StorageAccess(tuple(args), env)

    def refusal(self, source: Source) -> Invalid | None:
        """Say which field has no effect, is missing or cannot work."""
        given = (
            ("endpoint", source.endpoint, self.endpoint is not Need.USELESS),
            ("region", source.region, self.region),
            ("secretRef", source.secret_name, bool(self.keys)),
        )
        for field, value, useful in given:
            if value is not None and not useful:
                message = f"storage.{field} '{value}' has no effect on {_a(self.shown)} uri; remove it"
                return Invalid("InvalidStorage", message, f"storage.{field}")
        invalid = self.check_endpoint(source.endpoint)
        if invalid is None and source.secret_name is None:
            invalid = self.check_keys(())
        if invalid is None and source.digest is not None:
            invalid = check_digest(source.digest)
        return invalid

    def check_endpoint(self, endpoint: str | None) -> Invalid | None:
        """Say why an endpoint cannot work, or that it is missing."""
        if endpoint is None:
            if self.endpoint is not Need.REQUIRED:
                return None
            return bad_endpoint(f"{_a(self.shown)} uri needs storage.endpoint; write for example {self.example}")
        if invalid := check_endpoint(endpoint, example=self.example, path=self.endpoint_path):
            return invalid
        if not self.endpoint_port and endpoint.rpartition(":")[2].strip("/").isdecimal():
            # opendal takes the host alone (services cos and obs), and would ask another port than the one that is written
            return bad_endpoint(f"endpoint '{endpoint}' has a port, which has no effect for {self.shown}; remove it")
        return None

    def check_keys(self, found: Collection[str]) -> Invalid | None:
        """Say which of the keys are missing, if some are there or none can be done without."""
        missing = [key for key in self.required_keys if key not in found]
        if not missing or (not found and self.public):
            return None
        if found:
            message = f"{', '.join(missing)} is missing; add it to the Secret of storage.secretRef"
        else:
            message = f"{_a(self.shown)} uri needs storage.secretRef, a Secret with {' and '.join(missing)}"
        return Invalid("InvalidStorage", message, "storage.secretRef")


def _a(shown: str) -> str:
    return f"{'an' if shown[0] in 'aehos' else 'a'} {shown}"


def _secret_env(secret_name: str, key: str, *, optional: bool) -> EnvVar:
    """Make the variable `key` out of the key of the same name in a Secret."""
    ref: dict[str, Any] = {"name": secret_name, "key": key}
    if optional:
        ref["optional"] = True
    return {"name": key, "valueFrom": {"secretKeyRef": ref}}
