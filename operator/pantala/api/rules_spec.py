"""Rules on the resource, its versions and its cache."""

from collections.abc import Iterator

from pantala.api import rules_scaling, rules_storage, rules_traffic
from pantala.api.rules import Node, Rule, search
from pantala.api.rules_storage import CLIMBS, inheriting, off_claims

NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""Pattern of the names of Services (DNS-1035)."""
DIGEST = "^sha256:[0-9a-f]{64}$"
"""Pattern of a checksum."""
HEADER = "^[A-Za-z0-9-]{1,63}$"
"""Pattern of the name of an HTTP header."""
OWN_HEADERS = "(?i)^(authorization|host|if-match|range|x-dragonfly-tag)$"
"""Names of the headers that say which bytes are meant, and by whose right: the fetcher's alone."""
FOLDER = "^/[^/]+/.*[^/]$"
"""Pattern of a folder of a node; the root and its direct children are the node's own."""
ARCHIVE = "([.]mar|/|/index[.]json)$"
"""A TorchServe archive, or a folder that may hold one."""
FOREIGN = "[.](pt|pth|onnx|zip|tar|gz|tgz|safetensors|bin|pb|h5|plan|gguf)$"
"""Files that are certainly no TorchServe archive."""


def _runtimes(spec: Node) -> Iterator[tuple[Node, Node]]:
    """Each version with its runtime."""
    return ((version, version.get("runtime", spec["runtime"])) for version in spec["versions"])


def _archives(spec: Node) -> bool:
    return all(
        search(ARCHIVE, version["uri"]) or not search("^https?://|" + FOREIGN, version["uri"])
        for version, runtime in _runtimes(spec)
        if runtime["name"] == "torchserve"
    )


def _grpc_answers(spec: Node) -> bool:
    return "grpc" not in spec.get("expose", {}).get("nodePort", {}) or any(
        runtime["name"] != "custom" or "grpcPort" in runtime.get("custom", {"grpcPort": 0})
        for _, runtime in _runtimes(spec)
    )


_GRPC = "@.name != 'custom' || !has(@.custom) || has(@.custom.grpcPort)"

_ROOT = (
    Rule(
        "InferenceModel",
        f"self.metadata.name.size() <= 40 && self.metadata.name.matches('{NAME}')",
        lambda it: len(it["metadata"]["name"]) <= 40 and search(NAME, it["metadata"]["name"]),  # noqa: PLR2004
        "metadata.name must be at most 40 characters out of a-z, 0-9 and -, and begin with a letter, because Services"
        " are named after it: choose another name, and put the name for clients into spec.modelName",
    ),
)

_SPEC = (
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
        f"!has(self.digest) || self.digest.matches('{DIGEST}')",
        lambda it: "digest" not in it or search(DIGEST, it["digest"]),
        "digest must be sha256: and 64 hexadecimal digits in lower case: `pantala digest URI` prints it",
        ".digest",
    ),
)

_CACHE = (
    Rule(
        "Cache",
        "[has(self.emptyDir), has(self.pvc), has(self.hostPath)].filter(it, it).size() == 1",
        lambda it: sum(name in it for name in ("emptyDir", "pvc", "hostPath")) == 1,
        "cache needs exactly one of emptyDir, pvc and hostPath: keep one of them",
    ),
    Rule(
        "HostPathCache",
        f"self.path.matches('{FOLDER}') && !self.path.matches('{CLIMBS}')",
        lambda it: search(FOLDER, it["path"]) and not search(CLIMBS, it["path"]),
        "path must be a folder of at least two names without . and ..: write for example /var/lib/pantala",
        ".path",
    ),
)

_DISTRIBUTION = (
    Rule(
        "Proxy",
        f"!has(self.headers) || self.headers.all(name, name.matches('{HEADER}'))",
        lambda it: all(search(HEADER, name) for name in it.get("headers", ())),
        "headers must have names of at most 63 letters, digits and -: write for example X-Dragonfly-Priority",
        ".headers",
    ),
    Rule(
        "Proxy",
        f"!has(self.headers) || !self.headers.exists(name, name.matches('{OWN_HEADERS}'))",
        lambda it: not any(search(OWN_HEADERS, name) for name in it.get("headers", ())),
        "headers must not have Authorization, Host, If-Match, Range or X-Dragonfly-Tag, by which the fetcher says which bytes"
        " it means: remove them, and put keys into the Secret of storage.secretRef",
        ".headers",
    ),
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
        lambda it: it["distribution"]["mode"] != "Dragonfly" or any(map(off_claims, inheriting(it, "distribution"))),
        "distribution.mode Dragonfly has no effect, as every version that uses it lies in a claim, which no peer can read: remove it",
        ".distribution.mode",
    ),
)

RULES = (
    _ROOT + _SPEC + _VERSION + rules_scaling.RULES + rules_storage.RULES + rules_traffic.RULES + _CACHE + _DISTRIBUTION
)
"""All rules on the resource but those on the pod."""
