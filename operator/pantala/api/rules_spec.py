"""Rules on the resource, its versions, its store and its scaling."""

import re
from collections.abc import Iterator

from pantala.api.rules import Node, Rule

NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""Pattern of the names of Services (DNS-1035)."""
DIGEST = "^sha256:[0-9a-f]{64}$"
"""Pattern of a checksum."""
BUCKET = "^s3://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/|$)"
"""Beginning of an S3 URI."""
CLAIM = "^pvc://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(/|$)"
"""Beginning of the URI of a claim."""
CLIMBS = r"[[:cntrl:]\\x5c]|[^:/]//|/[.]{1,2}(/|$)"
"""What a plain path does not hold (5c is the backslash; twice escaped for CEL)."""
ENDPOINT = "^https?://[^/@?#[:space:]]+/?$"
"""Pattern of the URL of an S3 service: no path, no credentials."""
FOLDER = "^/[^/]+/.*[^/]$"
"""Pattern of a folder of a node; the root and its direct children are the node's own."""
ARCHIVE = "([.]mar|/|/index[.]json)$"
"""A TorchServe archive, or a folder that may hold one."""
FOREIGN = "[.](pt|pth|onnx|zip|tar|gz|tgz|safetensors|bin|pb|h5|plan|gguf)$"
"""Files that are certainly no TorchServe archive."""


def _search(pattern: str, text: str) -> bool:
    """Match as CEL does (RE2): ``$`` is the end of the text, classes are POSIX's, a backslash is escaped for CEL."""
    for ours, pythons in (("[:space:]", r"\s"), ("[:cntrl:]", r"\x00-\x1f\x7f"), (r"\\", "\\"), ("$", r"\Z")):
        pattern = pattern.replace(ours, pythons)
    return re.search(pattern, text) is not None


def _inheriting(spec: Node, block: str) -> Iterator[Node]:
    """The versions that use a shared block."""
    return (version for version in spec["versions"] if block not in version)


def _has(block: Node, field: str) -> bool:
    """Whether the storage of a version, or the shared one, has a field."""
    return field in block.get("storage", {})


def _on_s3(version: Node) -> bool:
    uri: str = version["uri"]
    return uri.startswith("s3://")


def _off_claims(version: Node) -> bool:
    uri: str = version["uri"]
    return not uri.startswith("pvc://")


def _runtimes(spec: Node) -> Iterator[tuple[Node, Node]]:
    """Each version with its runtime."""
    return ((version, version.get("runtime", spec["runtime"])) for version in spec["versions"])


def _archives(spec: Node) -> bool:
    return all(
        _search(ARCHIVE, version["uri"]) or not _search("^https?://|" + FOREIGN, version["uri"])
        for version, runtime in _runtimes(spec)
        if runtime["name"] == "torchserve"
    )


def _grpc_answers(spec: Node) -> bool:
    return "grpc" not in spec.get("expose", {}).get("nodePort", {}) or any(
        runtime["name"] != "custom" or "grpcPort" in runtime.get("custom", {"grpcPort": 0})
        for _, runtime in _runtimes(spec)
    )


def _cpu_is_requested(spec: Node) -> bool:
    def fine(version: Node) -> bool:
        if "metrics" not in version.get("scaling", spec["scaling"]):
            return True
        resources = version.get("resources", spec.get("resources", {}))
        return any("cpu" in resources.get(part, {}) for part in ("requests", "limits"))

    return all(fine(version) for version in spec["versions"])


def _effective(block: str, condition: str) -> str:
    """A condition in CEL on a version's own block, or else on the shared one, which may be absent too."""
    own, shared = (condition.replace("@", f"{holder}.{block}") for holder in ("v", "self"))
    return f"(has(v.{block}) ? ({own}) : (has(self.{block}) && ({shared})))"


_CPU = "(has(@.requests) && 'cpu' in @.requests) || (has(@.limits) && 'cpu' in @.limits)"

_GRPC = "@.name != 'custom' || !has(@.custom) || has(@.custom.grpcPort)"

_ROOT = (
    Rule(
        "InferenceModel",
        f"self.metadata.name.size() <= 40 && self.metadata.name.matches('{NAME}')",
        lambda it: len(it["metadata"]["name"]) <= 40 and _search(NAME, it["metadata"]["name"]),  # noqa: PLR2004
        "metadata.name must be at most 40 characters out of a-z, 0-9 and -, and begin with a letter, because Services"
        " are named after it: choose another name, and put the name for clients into spec.modelName",
    ),
)

_SPEC = (
    Rule(
        "Spec",
        "has(self.traffic) || self.versions.size() <= 1",
        lambda it: "traffic" in it or len(it["versions"]) <= 1,
        "traffic.target is required with more than one version: name the version that gets the traffic",
        ".traffic",
    ),
    Rule(
        "Spec",
        "!has(self.traffic) || self.versions.exists(v, v.name == self.traffic.target)",
        lambda it: "traffic" not in it or any(v["name"] == it["traffic"]["target"] for v in it["versions"]),
        "traffic.target names no version: write the name of one of spec.versions",
        ".traffic.target",
    ),
    *(
        Rule(
            "Spec",
            f"!has(self.storage) || !has(self.storage.{field})"
            " || self.versions.all(v, has(v.storage) || v.uri.startsWith('s3://'))",
            lambda it, field=field: not _has(it, field) or all(map(_on_s3, _inheriting(it, "storage"))),  # type: ignore[misc]
            f"storage.{field} has no effect on a version whose uri is not s3://: remove it, or give that version a storage of its own",
            f".storage.{field}",
        )
        for field in ("endpoint", "region")
    ),
    Rule(
        "Spec",
        "!has(self.storage) || !has(self.storage.secretRef)"
        " || self.versions.all(v, has(v.storage) || !v.uri.startsWith('pvc://'))",
        lambda it: not _has(it, "secretRef") or all(map(_off_claims, _inheriting(it, "storage"))),
        "storage.secretRef has no effect on a version whose uri is pvc://, which needs no keys: remove it, or give that version a storage of its own",
        ".storage.secretRef",
    ),
    Rule(
        "Spec",
        f"self.versions.all(v, !{_effective('scaling', 'has(@.metrics)')} || {_effective('resources', _CPU)})",
        _cpu_is_requested,
        "CPUUtilization is a share of the requested CPU, and none is requested: set resources.requests.cpu",
        ".scaling.metrics",
    ),
    Rule(
        "Spec",
        "self.versions.all(v, (has(v.runtime) ? v.runtime.name : self.runtime.name) != 'torchserve'"
        f" || v.uri.matches('{ARCHIVE}') || !v.uri.matches('^https?://|{FOREIGN}'))",
        _archives,
        "versions holds a URI that TorchServe cannot load: write that of one .mar file, or of a folder that holds one (with / at its end on a web server)",
        ".versions",
    ),
    Rule(
        "Spec",
        "!has(self.expose) || !has(self.expose.nodePort) || !has(self.expose.nodePort.grpc)"
        f" || self.versions.exists(v, has(v.runtime) ? ({_GRPC.replace('@', 'v.runtime')}) : ({_GRPC.replace('@', 'self.runtime')}))",
        _grpc_answers,
        "expose.nodePort.grpc has no effect: the custom runtime has no gRPC port; set runtime.custom.grpcPort, or remove it",
        ".expose.nodePort.grpc",
    ),
    Rule(
        "NodePorts",
        "!has(self.http) || !has(self.grpc) || self.http != self.grpc",
        lambda it: "http" not in it or it["http"] != it.get("grpc"),
        "grpc must differ from http: a node port leads to one port of the server",
        ".grpc",
    ),
    Rule(
        "Scaling",
        "!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas",
        lambda it: it.get("maxReplicas", it["minReplicas"]) >= it["minReplicas"],
        "maxReplicas must not be less than minReplicas: raise it, or lower minReplicas",
        ".maxReplicas",
    ),
    Rule(
        "Scaling",
        "!has(self.maxReplicas) || self.maxReplicas <= self.minReplicas || has(self.metrics)",
        lambda it: it.get("maxReplicas", it["minReplicas"]) <= it["minReplicas"] or "metrics" in it,
        "maxReplicas above minReplicas has no effect without metrics: add a metric, such as CPUUtilization",
        ".metrics",
    ),
    Rule(
        "Scaling",
        "!has(self.metrics) || has(self.maxReplicas)",
        lambda it: "metrics" not in it or "maxReplicas" in it,
        "metrics have no effect without maxReplicas: set maxReplicas",
        ".maxReplicas",
    ),
)

_VERSION = (
    Rule(
        "Version",
        "self.uri == oldSelf.uri",
        lambda _: True,
        "uri cannot change under the name of a version: add a version with the new uri and let traffic.target name it",
        ".uri",
        transition=True,
    ),
    Rule(
        "Version",
        "has(self.digest) == has(oldSelf.digest) && (!has(self.digest) || self.digest == oldSelf.digest)",
        lambda _: True,
        "digest cannot change under the name of a version: add a version with the new digest and let traffic.target name it",
        ".digest",
        transition=True,
    ),
    Rule(
        "Version",
        "self.uri.matches('^(s3|https?|pvc)://')",
        lambda it: _search("^(s3|https?|pvc)://", it["uri"]),
        "uri must begin with s3://, https:// or pvc://: write s3://BUCKET/PATH, https://HOST/FILE or pvc://CLAIM/PATH",
        ".uri",
    ),
    Rule(
        "Version",
        f"!self.uri.startsWith('s3://') || self.uri.matches('{BUCKET}')",
        lambda it: not it["uri"].startswith("s3://") or _search(BUCKET, it["uri"]),
        "uri must name a bucket of 3 to 63 characters, and the path in it: write s3://BUCKET/PATH",
        ".uri",
    ),
    Rule(
        "Version",
        f"!self.uri.startsWith('pvc://') || self.uri.matches('{CLAIM}')",
        lambda it: not it["uri"].startswith("pvc://") or _search(CLAIM, it["uri"]),
        "uri must name a claim, and the path in it: write pvc://CLAIM/PATH",
        ".uri",
    ),
    Rule(
        "Version",
        "!self.uri.startsWith('http') || self.uri.matches('^https?://[^/?#]+/[^?#]*$')",
        lambda it: not it["uri"].startswith("http") or _search("^https?://[^/?#]+/[^?#]*$", it["uri"]),
        "uri must name a host and a path without ? and #: write https://HOST/FILE; signed links expire, use storage.secretRef",
        ".uri",
    ),
    Rule(
        "Version",
        "!self.uri.matches('^[a-z0-9]+://[^/]*@')",
        lambda it: not _search("^[a-z0-9]+://[^/]*@", it["uri"]),
        "uri must not hold credentials, which everybody could read: put them into a Secret and name it in storage.secretRef",
        ".uri",
    ),
    Rule(
        "Version",
        f"!self.uri.matches('{CLIMBS}')",
        lambda it: not _search(CLIMBS, it["uri"]),
        "uri must hold no empty part, no . or .. part, no backslash and no control character: write the plain path",
        ".uri",
    ),
    Rule(
        "Version",
        f"!has(self.digest) || self.digest.matches('{DIGEST}')",
        lambda it: "digest" not in it or _search(DIGEST, it["digest"]),
        "digest must be sha256: and 64 hexadecimal digits in lower case: `pantala digest URI` prints it",
        ".digest",
    ),
    *(
        Rule(
            "Version",
            f"!has(self.storage) || !has(self.storage.{field}) || self.uri.startsWith('s3://')",
            lambda it, field=field: not _has(it, field) or _on_s3(it),  # type: ignore[misc]
            f"storage.{field} has no effect, as the uri of the version is not s3://: remove it",
            f".storage.{field}",
        )
        for field in ("endpoint", "region")
    ),
    Rule(
        "Version",
        "!has(self.storage) || !has(self.storage.secretRef) || !self.uri.startsWith('pvc://')",
        lambda it: not _has(it, "secretRef") or _off_claims(it),
        "storage.secretRef has no effect, as the uri of the version is pvc://, which needs no keys: remove it",
        ".storage.secretRef",
    ),
)

_STORAGE = (
    Rule(
        "Storage",
        f"!has(self.endpoint) || self.endpoint.matches('{ENDPOINT}')",
        lambda it: "endpoint" not in it or _search(ENDPOINT, it["endpoint"]),
        "endpoint must be the URL of the service without path and credentials: write https://HOST or https://HOST:PORT",
        ".endpoint",
    ),
    Rule(
        "Cache",
        "[has(self.emptyDir), has(self.pvc), has(self.hostPath)].filter(it, it).size() == 1",
        lambda it: sum(name in it for name in ("emptyDir", "pvc", "hostPath")) == 1,
        "cache needs exactly one of emptyDir, pvc and hostPath: keep one of them",
    ),
    Rule(
        "HostPathCache",
        f"self.path.matches('{FOLDER}') && !self.path.matches('{CLIMBS}')",
        lambda it: _search(FOLDER, it["path"]) and not _search(CLIMBS, it["path"]),
        "path must be a folder of at least two names without . and ..: write for example /var/lib/pantala",
        ".path",
    ),
)

_DISTRIBUTION = (
    *(
        Rule(
            "Distribution",
            f"!has(self.{field}) || self.mode == 'Dragonfly'",
            lambda it, field=field: field not in it or it["mode"] == "Dragonfly",  # type: ignore[misc]
            f"{field} has no effect with mode Direct: set mode: Dragonfly, or remove it",
            f".{field}",
        )
        for field in ("fallback", "fallbackAfter", "proxy")
    ),
    Rule(
        "Spec",
        "self.distribution.mode != 'Dragonfly'"
        " || self.versions.exists(v, !has(v.distribution) && !v.uri.startsWith('pvc://'))",
        lambda it: it["distribution"]["mode"] != "Dragonfly" or any(map(_off_claims, _inheriting(it, "distribution"))),
        "distribution.mode Dragonfly has no effect, as every version that uses it lies in a claim, which no peer can read: remove it",
        ".distribution.mode",
    ),
)

RULES = _ROOT + _SPEC + _VERSION + _STORAGE + _DISTRIBUTION
"""All rules on the resource but those on the pod."""
