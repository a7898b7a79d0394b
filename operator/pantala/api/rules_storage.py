"""Rules on URIs, and on what of `storage` has an effect with them."""

from collections.abc import Iterator

from pantala.api.rules import Node, Rule, search

SCHEME = "^(s3|gs|abs|oss|obs|cos|hf|modelscope|hdfs|https?|pvc)://"
"""Beginning of a URI."""
BUCKET = "^((s3|abs|oss|obs|cos)://[a-z0-9][a-z0-9._-]{1,61}|gs://[a-z0-9][a-z0-9._-]{1,220})[a-z0-9](/|$)"
"""Beginning of the URI of an object store."""
OBJECTS = "^(s3|gs|abs|oss|obs|cos)://"
"""Object stores."""
REPOSITORY = "^(hf|modelscope)://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9][^/@]*)?(/|$)"
"""Beginning of the URI of a repository on a hub."""
HUBS = "^(hf|modelscope)://"
"""Model hubs."""
NAME_NODE = "^hdfs://[A-Za-z0-9.-]+(:[0-9]{1,5})?/"
"""Beginning of a URI in HDFS."""
CLAIM = "^pvc://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(/|$)"
"""Beginning of the URI of a claim."""
SITE = "^https?://[^/?#]+/[^?#]*$"
"""URI on a web server."""
CREDENTIALS = "^[a-z0-9]+://[^/]*@"
"""Beginning of a URI with user-info."""
CLIMBS = r"[[:cntrl:]\\x5c]|[^:/]//|/[.]{1,2}(/|$)"
"""What a plain path does not hold (5c is the backslash; twice escaped for CEL)."""
ENDPOINT = "^https?://[^/@?#[:space:]]+/?$"
"""Pattern of the URL of a service: no path, no credentials."""
NAMES_ITS_HOST = "^(https?|hdfs|pvc)://"
"""Stores that have no endpoint beside their URI."""
NEEDS_ENDPOINT = "^(abs|oss|obs|cos)://"
"""Stores that have no default endpoint."""
NEEDS_KEYS = "^(obs|cos)://"
"""Stores that are read with keys alone."""


def inheriting(spec: Node, block: str) -> Iterator[Node]:
    """The versions that use a shared block."""
    return (version for version in spec["versions"] if block not in version)


def off_claims(version: Node) -> bool:
    """Whether a version does not lie in a claim."""
    uri: str = version["uri"]
    return not uri.startswith("pvc://")


def _has(block: Node, field: str) -> bool:
    """Whether the storage of a version, or the shared one, has a field."""
    return field in block.get("storage", {})


def _on_s3(version: Node) -> bool:
    uri: str = version["uri"]
    return uri.startswith("s3://")


def _takes_endpoint(version: Node) -> bool:
    return not search(NAMES_ITS_HOST, version["uri"])


_USEFUL = (
    ("endpoint", f"!@.uri.matches('{NAMES_ITS_HOST}')", _takes_endpoint, "https://, hdfs:// or pvc://"),
    ("region", "@.uri.startsWith('s3://')", _on_s3, "not s3://"),
    ("secretRef", "!@.uri.startsWith('pvc://')", off_claims, "pvc://, which needs no keys"),
)
"""A field of `storage`, the versions for which it has an effect (in CEL and in Python), and what the others are."""


def _rules_on_effects() -> Iterator[Rule]:
    for field, cel, holds, other in _USEFUL:
        yield Rule(
            "Spec",
            f"!has(self.storage) || !has(self.storage.{field})"
            f" || self.versions.all(v, has(v.storage) || {cel.replace('@', 'v')})",
            lambda it, field=field, holds=holds: (  # type: ignore[misc]
                not _has(it, field) or all(map(holds, inheriting(it, "storage")))
            ),
            f"storage.{field} has no effect on a version whose uri is {other}: remove it, or give that version a storage of its own",
            f".storage.{field}",
        )
        yield Rule(
            "Version",
            f"!has(self.storage) || !has(self.storage.{field}) || {cel.replace('@', 'self')}",
            lambda it, field=field, holds=holds: not _has(it, field) or holds(it),  # type: ignore[misc]
            f"storage.{field} has no effect, as the uri of the version is {other}: remove it",
            f".storage.{field}",
        )


def _rule_on_need(pattern: str, field: str, message: str) -> Rule:
    def holds(spec: Node) -> bool:
        return all(
            not search(pattern, version["uri"]) or _has(version if "storage" in version else spec, field)
            for version in spec["versions"]
        )

    return Rule(
        "Spec",
        f"self.versions.all(v, !v.uri.matches('{pattern}') || (has(v.storage) ? has(v.storage.{field})"
        f" : (has(self.storage) && has(self.storage.{field}))))",
        holds,
        message,
        ".versions",
    )


def _rule_on_uri(which: str, pattern: str, message: str) -> Rule:
    return Rule(
        "Version",
        f"!self.uri.matches('{which}') || self.uri.matches('{pattern}')",
        lambda it: not search(which, it["uri"]) or search(pattern, it["uri"]),
        message,
        ".uri",
    )


RULES = (
    Rule(
        "Version",
        f"self.uri.matches('{SCHEME}')",
        lambda it: search(SCHEME, it["uri"]),
        "uri must begin with s3://, gs://, abs://, oss://, obs://, cos://, hf://, modelscope://, hdfs://, https:// or"
        " pvc://: write for example s3://BUCKET/PATH, hf://OWNER/REPO, https://HOST/FILE or pvc://CLAIM/PATH",
        ".uri",
    ),
    _rule_on_uri(
        OBJECTS,
        BUCKET,
        "uri must name a bucket of 3 to 63 characters (a container of Azure), and the path in it: write s3://BUCKET/PATH",
    ),
    _rule_on_uri(
        HUBS,
        REPOSITORY,
        "uri must name owner and repository: write hf://OWNER/REPO, hf://OWNER/REPO@REVISION or either with /PATH behind it",
    ),
    _rule_on_uri("^hdfs://", NAME_NODE, "uri must name the name node, and the path in it: write hdfs://HOST:9870/PATH"),
    _rule_on_uri("^pvc://", CLAIM, "uri must name a claim, and the path in it: write pvc://CLAIM/PATH"),
    _rule_on_uri(
        "^http",
        SITE,
        "uri must name a host and a path without ? and #: write https://HOST/FILE; signed links expire, use storage.secretRef",
    ),
    Rule(
        "Version",
        f"!self.uri.matches('{CREDENTIALS}')",
        lambda it: not search(CREDENTIALS, it["uri"]),
        "uri must not hold credentials, which everybody could read: put them into a Secret and name it in storage.secretRef",
        ".uri",
    ),
    Rule(
        "Version",
        f"!self.uri.matches('{CLIMBS}')",
        lambda it: not search(CLIMBS, it["uri"]),
        "uri must hold no empty part, no . or .. part, no backslash and no control character: write the plain path",
        ".uri",
    ),
    Rule(
        "Storage",
        f"!has(self.endpoint) || self.endpoint.matches('{ENDPOINT}')",
        lambda it: "endpoint" not in it or search(ENDPOINT, it["endpoint"]),
        "endpoint must be the URL of the service without path and credentials: write https://HOST or https://HOST:PORT",
        ".endpoint",
    ),
    *_rules_on_effects(),
    _rule_on_need(
        NEEDS_ENDPOINT,
        "endpoint",
        "a version whose uri is abs://, oss://, obs:// or cos:// needs the URL of the service: set storage.endpoint,"
        " such as https://ACCOUNT.blob.core.windows.net or https://oss-cn-hangzhou.aliyuncs.com",
    ),
    _rule_on_need(
        NEEDS_KEYS,
        "secretRef",
        "a version whose uri is obs:// or cos:// cannot be read without keys: name the Secret that holds them in storage.secretRef",
    ),
)
"""All rules on URIs and `storage`."""
