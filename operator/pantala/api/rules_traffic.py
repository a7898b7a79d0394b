"""Rules on traffic: which versions it names, and what of it has an effect; and on the hosts of a model."""

import ipaddress
from collections.abc import Callable, Iterable

from pantala.api import durations, quantity
from pantala.api.rules import Node, Rule, search

HEADER = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Pattern of the name of an HTTP header."""
FRAMING = "(?i)^(host|connection|content-length|transfer-encoding|te|upgrade|keep-alive|proxy-connection)$"
"""Names of the headers that carry the request itself: a proxy that changed them would break it, and Envoy refuses to."""
DOTS = "/[.]{1,2}(/|$)"
"""A part of a path that climbs, or stands still."""
RESERVED = "^(nodeport|loadbalancer)$"
"""Names of versions whose Services would have the names of others of the model's."""


def _unique(values: Iterable[str]) -> bool:
    found = list(values)
    return len(set(found)) == len(found)


def _versions(spec: Node) -> set[str]:
    return {version["name"] for version in spec["versions"]}


def _names(spec: Node, block: str) -> list[str]:
    return [item["version"] for item in spec.get("traffic", {}).get(block, ())]


def _known(block: str) -> Callable[[Node], bool]:
    return lambda spec: set(_names(spec, block)) <= _versions(spec)


def _apart(spec: Node) -> bool:
    """Whether no version gets requests and copies of requests."""
    traffic = spec.get("traffic", {})
    mirrors = _names(spec, "mirrors")
    if "target" in traffic:
        return traffic["target"] not in mirrors
    if "split" in traffic:
        return {share["version"] for share in traffic["split"] if share["weight"] > 0}.isdisjoint(mirrors)
    return not mirrors or len(spec["versions"]) > 1


def _addresses(block: Node, field: str) -> bool:
    return all(map(_is_address, block.get(field, ())))


def _is_address(text: str) -> bool:
    """As the API server's `isIP` and `isCIDR` read it: no masks, zones and leading zeros, no IPv4 inside of IPv6."""
    address, slash, bits = text.partition("/")
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return False
    mapped = found.version == 6 and found.ip.ipv4_mapped is not None  # noqa: PLR2004 -- IPv6
    whole = not slash or (bits.isdecimal() and (bits == "0" or not bits.startswith("0")))
    return whole and "%" not in address and not mapped


def _body_fits(limits: Node) -> bool:
    size = quantity.parse(str(limits.get("maxBodySize", "1Ki")))
    return size is None or 1 << 10 <= size <= 1 << 30


def _between(field: str, least: str, most: str) -> tuple[str, Callable[[Node], bool]]:
    """A condition in CEL and in Python on a duration; a malformed one is told by its pattern alone."""
    cel = (
        f"!has(self.{field}) || !self.{field}.matches('{durations.PATTERN}')"
        f" || (duration(self.{field}) >= duration('{least}') && duration(self.{field}) <= duration('{most}'))"
    )

    def holds(it: Node) -> bool:
        return field not in it or durations.parse(least) <= durations.parse(it[field]) <= durations.parse(most)

    return cel, holds


def _duration(block: str, field: str, least: str, most: str) -> Rule:
    cel, holds = _between(field, least, most)
    return Rule(
        block, cel, holds, f"{field} must lie between {least} and {most}: write a duration such as 30s", f".{field}"
    )


def _ranges(block: str, field: str) -> Rule:
    return Rule(
        block,
        f"!has(self.{field}) || self.{field}.all(it, it.contains('/') ? isCIDR(it) : isIP(it))",
        lambda it: _addresses(it, field),
        f"{field} must hold IP addresses or ranges: write for example 10.0.0.0/8",
        f".{field}",
    )


def _some(block: str, *fields: str) -> Rule:
    conditions = " || ".join(f"has(self.{field})" for field in fields)
    words = ", ".join(fields[:-1]) + f" and {fields[-1]}"
    return Rule(
        block,
        conditions,
        lambda it: any(field in it for field in fields),
        f"an empty block has no effect: set one of {words}, or remove it",
    )


def _climbs(block: str, field: str) -> Rule:
    return Rule(
        block,
        f"!has(self.{field}) || !self.{field}.matches('{DOTS}')",
        lambda it: field not in it or not search(DOTS, it[field]),
        f"{field} must not have the parts . and ..: write the path without them",
        f".{field}",
    )


_SPEC = (
    Rule(
        "Spec",
        "self.versions.size() <= 1 || (has(self.traffic) && (has(self.traffic.target) || has(self.traffic.split)))",
        lambda it: len(it["versions"]) <= 1 or bool(it.get("traffic", {}).keys() & {"target", "split"}),
        "traffic.target or traffic.split is required with more than one version: name the version that gets the traffic, or the shares",
        ".traffic",
    ),
    Rule(
        "Spec",
        "!has(self.traffic) || !has(self.traffic.target) || self.versions.exists(v, v.name == self.traffic.target)",
        lambda it: "target" not in it.get("traffic", {}) or it["traffic"]["target"] in _versions(it),
        "traffic.target names no version: write the name of one of spec.versions",
        ".traffic.target",
    ),
    *(
        Rule(
            "Spec",
            f"!has(self.traffic) || !has(self.traffic.{block})"
            f" || self.traffic.{block}.all(it, self.versions.exists(v, v.name == it.version))",
            _known(block),
            f"traffic.{block} names a version that is not there: write names of spec.versions",
            f".traffic.{block}",
        )
        for block in ("split", "mirrors", "rules")
    ),
    Rule(
        "Spec",
        "!has(self.traffic) || !has(self.traffic.mirrors) || self.traffic.mirrors.all(it,"
        " has(self.traffic.target) ? it.version != self.traffic.target"
        " : has(self.traffic.split) ? !self.traffic.split.exists(s, s.version == it.version && s.weight > 0)"
        " : self.versions.size() > 1)",
        _apart,
        "traffic.mirrors names a version that gets requests of its own: mirror to one without a share, so that its figures are those of copies",
        ".traffic.mirrors",
    ),
    Rule(
        "Version",
        f"!self.name.matches('{RESERVED}')",
        lambda it: not search(RESERVED, it["name"]),
        "name must not be nodeport or loadbalancer, after which other Services of the model are named: choose another",
        ".name",
    ),
)

_TRAFFIC = (
    Rule(
        "Traffic",
        "!has(self.target) || !has(self.split)",
        lambda it: "target" not in it or "split" not in it,
        "target and split exclude each other: keep target for all traffic to one version, or split for shares",
        ".split",
    ),
    Rule(
        "Traffic",
        "!has(self.split) || self.split.map(it, it.weight).sum() == 100",
        lambda it: "split" not in it or sum(share["weight"] for share in it["split"]) == 100,  # noqa: PLR2004 -- percent
        "split must make 100: the weights are percent of the requests",
        ".split",
    ),
    *(
        Rule(
            "Traffic",
            f"!has(self.{block}) || self.{block}.all(it, self.{block}.exists_one(other, other.{key} == it.{key}))",
            lambda it, block=block, key=key: _unique(item[key] for item in it.get(block, ())),  # type: ignore[misc]
            f"{block} holds a {key} twice: keep one of them",
            f".{block}",
        )
        for block, key in (("split", "version"), ("mirrors", "version"), ("rules", "name"))
    ),
    _duration("Traffic", "timeout", "1ms", "24h"),
    _duration("Retries", "perTryTimeout", "1ms", "24h"),
    _duration("RateLimit", "per", "50ms", "24h"),
    _duration("Cors", "maxAge", "1s", "168h"),
    _duration("OutlierDetection", "interval", "1ms", "24h"),
    _duration("OutlierDetection", "baseEjectionTime", "1ms", "24h"),
    _duration("Rollout", "keepStable", "0s", "720h"),
    Rule(
        "Retries",
        "self.attempts > 0 || (!has(self.retryOn) && !has(self.perTryTimeout))",
        lambda it: it["attempts"] > 0 or not it.keys() & {"retryOn", "perTryTimeout"},
        "retryOn and perTryTimeout have no effect with attempts 0: raise it, or remove them",
        ".attempts",
    ),
    Rule(
        "TrafficRule",
        "has(self.headers) || has(self.prefix)",
        lambda it: "headers" in it or "prefix" in it,
        "a rule needs headers or a prefix: without a condition it would take every request from the shares",
    ),
    Rule(
        "TrafficRule",
        "!has(self.headers)"
        " || self.headers.all(it, self.headers.exists_one(other, other.name.lowerAscii() == it.name.lowerAscii()))",
        lambda it: _unique(header["name"].lower() for header in it.get("headers", ())),
        "headers holds a name twice: write both conditions as one RegularExpression",
        ".headers",
    ),
    _climbs("TrafficRule", "prefix"),
    _some("Access", "allow", "deny"),
    _some("AccessEntry", "namespaces", "ipBlocks", "remoteIpBlocks", "paths", "methods"),
    _ranges("AccessEntry", "ipBlocks"),
    _ranges("AccessEntry", "remoteIpBlocks"),
    Rule(
        "Cors",
        "!has(self.allowCredentials) || !self.allowCredentials || !('*' in self.allowOrigins)",
        lambda it: not it.get("allowCredentials") or "*" not in it["allowOrigins"],
        "allowCredentials has no effect with the origin *, which browsers do not trust: name the origins",
        ".allowCredentials",
    ),
    _some("Headers", "request", "response"),
    _some("HeaderChanges", "set", "add", "remove"),
    *(
        Rule(
            "HeaderChanges",
            f"!has(self.{block}) || self.{block}.all(name, name.matches('{HEADER}') && !name.matches('{FRAMING}'))",
            lambda it, block=block: all(  # type: ignore[misc]
                search(HEADER, name) and not search(FRAMING, name) for name in it.get(block, ())
            ),
            f"{block} must have names out of letters, digits, - and _, but none that carries the request itself, such as Host"
            " and Content-Length: change expose.hosts for that",
            f".{block}",
        )
        for block in ("set", "add", "remove")
    ),
    *(
        Rule(
            "HeaderChanges",
            f"!has(self.{block}) || self.{block}.all(it, self.{block}.exists_one(o, o.lowerAscii() == it.lowerAscii()))",
            lambda it, block=block: _unique(name.lower() for name in it.get(block, ())),  # type: ignore[misc]
            f"{block} holds a header twice, since case does not matter in their names: keep one of them",
            f".{block}",
        )
        for block in ("set", "add", "remove")
    ),
    _some("Limits", "maxConnections", "maxPendingRequests", "maxRequests", "maxBodySize"),
    Rule(
        "Limits",
        "!has(self.maxBodySize) || !isQuantity(string(self.maxBodySize))"
        " || (quantity(string(self.maxBodySize)).compareTo(quantity('1Ki')) >= 0"
        " && quantity(string(self.maxBodySize)).compareTo(quantity('1Gi')) <= 0)",
        _body_fits,
        "maxBodySize must lie between 1Ki and 1Gi: the sidecar holds a body in memory until it is complete",
        ".maxBodySize",
    ),
    Rule(
        "Authentication",
        "has(self.jwt) != has(self.apiKeys)",
        lambda it: ("jwt" in it) != ("apiKeys" in it),
        "authentication needs exactly one of jwt and apiKeys: keep one of them",
    ),
    Rule(
        "Jwt",
        "!has(self.jwks) || !has(self.jwksUri)",
        lambda it: "jwks" not in it or "jwksUri" not in it,
        "jwks and jwksUri exclude each other: keep one of them",
        ".jwks",
    ),
    Rule(
        "ApiKeys",
        f"!has(self.header) || !self.header.matches('{FRAMING}')",
        lambda it: not search(FRAMING, it.get("header", "x-api-key")),
        "header carries the request itself: take another one, such as x-api-key",
        ".header",
    ),
)

_EXPOSE = (
    _climbs("Expose", "prefix"),
    Rule(
        "Expose",
        "!has(self.hosts) || self.hosts.all(it, self.hosts.exists_one(other, other == it))",
        lambda it: _unique(it.get("hosts", ())),
        "hosts holds a host twice: keep one of them",
        ".hosts",
    ),
    _ranges("LoadBalancer", "sourceRanges"),
)

RULES = _SPEC + _TRAFFIC + _EXPOSE
"""All rules on traffic and exposure."""
