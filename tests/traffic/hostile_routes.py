"""Routes that nobody would write but somebody who means harm: everything in them is what the API allows, and no more."""

import random
import string
from dataclasses import replace
from typing import Any, TypeVar

from pantala import naming
from pantala.api.check import check
from pantala.api.traffic import Traffic
from pantala.traffic.route import Route, Split
from tests.traffic.istio_cases import GATEWAY, PLAIN, V1, V2, V3, route

_T = TypeVar("_T")
_BITS = (
    *('"', "'", "`", "\\", "\\n", "%", "%%", "%REQ(x)%", "%ENVIRONMENT(HOME)%", "%HOSTNAME%", "$(id)", "${jndi:x}"),
    *("{{ .Values }}", "*", "**", "?", "[", "]", "(", ")", "{", "}", "|", "^", "$", ".", ".*", "+", ",", ";", ":", "#"),
    *(
        " ",
        "  ",
        "- a: b",
        "&x",
        "*x",
        "!!python/object",
        "<script>",
        "../",
        "/",
        "//",
        "~",
        "=",
        "null",
        "true",
        "1e3",
    ),
    *(
        "x-evil: 1",
        "\\r\\nx-evil: 1",
        "@request.auth.claims[a]",
        "v2",
        "mesh",
        "cluster.local",
        "\\x00",
        "\\Q",
        "@type",
    ),
)
GOOD_REGEX = (
    "v[0-9]+",
    ".*",
    "^a$",
    "(?i)yes|no",
    "[\\x20-\\x7e]{1,64}",
    "a.b\\.c",
    "(a|b)*c",
    "\\Qa.b\\E",
    "\\d\\w\\s",
)
BAD_REGEX = ("*", "(", "[a", "a{2,1}", "(?=a)", "\\1", "a**", "(?P<n", "\\", "a{1001}")
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_RETRY = ("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "refused-stream", "retriable-4xx")
_RETRY += (
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "unavailable",
    "internal",
    "429",
    "503",
    "499",
    "599",
)
_DURATIONS = ("1ms", "250ms", "1s", "1m30s", "1h30m", "24h", "1s999ms", "86399s999ms")


class Hostile:
    """Makes routes out of a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.discarded = 0
        """How many were thrown away, since the API server would not have stored them."""

    def make(self, number: int, namespace: str) -> Route:
        """A route of a model of its own, which the API server would store."""
        while True:
            traffic = self.traffic()
            expose = {"hosts": [f"{self.label(20)}.h{number}.example.com"]}
            expose |= {"prefix": self.prefix()} if self.flip() else {}
            if not check(resource(traffic, expose)):
                break
            self.discarded += 1
        name = f"m{number:04}"
        ends = tuple(replace(it, service=f"{name}-{it.version}") for it in (V1, V2, V3, PLAIN))
        read = Traffic.model_validate(traffic)
        by = {end.version: end for end in ends}
        split = Split(
            tuple((by[it.version], it.weight) for it in read.split or ()),
            tuple((by[it.version], it.percent) for it in read.mirrors or ()),
            tuple((rule, by[rule.version]) for rule in read.rules or ()),
        )
        exposed = {"gateway": GATEWAY, "hosts": tuple(expose["hosts"]), "prefix": expose.get("prefix")}
        given = {"name": name, "namespace": namespace, "labels": naming.labels(name), "owner": ()}
        return replace(route(split, traffic, **exposed), backends=ends, **given)

    def traffic(self) -> dict[str, Any]:
        """A block `traffic`."""
        share = self.random.randint(1, 99)
        made = {
            "split": [{"version": "v1", "weight": share}, {"version": "v2", "weight": 100 - share}],
            "mirrors": [{"version": "v3", "percent": self.random.randint(1, 100)}],
            "rules": [self.rule(number) for number in range(self.random.randint(1, 4))],
            "timeout": self.pick(_DURATIONS),
            "retries": self.retries(),
            "cors": self.cors(),
            "headers": {"request": self.changes(), "response": self.changes()},
            "limits": {"maxConnections": self.random.choice([1, 1_000_000]), "maxRequests": 7},
            "outlierDetection": {"interval": self.pick(_DURATIONS), "maxEjectionPercent": self.random.randint(1, 100)},
        }
        return {name: value for name, value in made.items() if name == "split" or self.flip()}

    def rule(self, number: int) -> dict[str, Any]:
        """A rule, by headers, by path or by both."""
        kind = self.random.randrange(3)
        made: dict[str, Any] = {"name": f"{self.label(20)}{number}", "version": self.pick(("v1", "v2", "v3", "v4"))}
        if kind != 0:
            found = {it["name"].lower(): it for it in (self.condition() for _ in range(self.random.randint(1, 4)))}
            made["headers"] = list(found.values())  # two on one header are another test's
        if kind != 1:
            made["prefix"] = self.prefix()
        return made

    def condition(self) -> dict[str, str]:
        """A condition on a header."""
        kind = self.pick(("Exact", "Prefix", "RegularExpression"))
        value = self.text(256) or "x"
        if kind == "RegularExpression":
            value = self.pick(GOOD_REGEX if self.random.random() < 0.9 else (*BAD_REGEX, value))
        return {"name": self.pick((self.name(), "content-type", "Authority")), "type": kind, "value": value}

    def retries(self) -> dict[str, Any]:
        """Retries with conditions of all kinds."""
        on = ",".join(self.random.sample(_RETRY, self.random.randint(1, 5)))
        more = {"retryOn": on, "perTryTimeout": self.pick(_DURATIONS)}
        attempts = self.random.randint(0, 10)
        return {"attempts": attempts, **({key: it for key, it in more.items() if self.flip()} if attempts else {})}

    def cors(self) -> dict[str, Any]:
        """Origins with all characters that are allowed in them."""
        origin = "http" + self.pick(("", "s")) + "://" + self.chars(string.ascii_letters + "0123456789.:[]-", 60)
        made: dict[str, Any] = {"allowOrigins": [self.pick((origin, "*"))], "maxAge": self.pick(_DURATIONS[2:6])}
        made |= {"allowMethods": list(self.random.sample(_METHODS, 3)), "allowHeaders": [self.name(), self.name()]}
        return made | {"exposeHeaders": [self.name()]}

    def changes(self) -> dict[str, Any]:
        """Changes of headers."""
        made: dict[str, Any] = {
            "set": {self.name(): self.text(512) for _ in range(3)},
            "add": {self.name(): self.text(60) for _ in range(3)},
            "remove": [self.name()],
        }
        return made

    def name(self) -> str:
        """The name of a header."""
        return self.chars(string.ascii_letters, 1) + self.chars(string.ascii_letters + string.digits + "-_", 62)

    def prefix(self) -> str:
        """A path."""
        parts = [
            self.chars(string.ascii_letters + string.digits + "._~-", 20) for _ in range(self.random.randint(1, 4))
        ]
        return "".join(f"/{part}" for part in parts)

    def label(self, length: int) -> str:
        """A DNS label."""
        return "l" + self.chars(string.ascii_lowercase + string.digits + "-", length - 1) + "l"

    def text(self, length: int) -> str:
        """A value of printable ASCII, sometimes of the greatest length, sometimes empty."""
        if self.random.random() < 0.1:
            return self.chars("%" + string.ascii_letters + string.punctuation + " ", length, length)
        return "".join(self.random.choices(_BITS, k=self.random.randint(0, 6)))[:length]

    def chars(self, out_of: str, most: int, least: int = 1) -> str:
        """Characters at random."""
        return "".join(self.random.choices(out_of, k=self.random.randint(least, most)))

    def pick(self, values: tuple[_T, ...]) -> _T:
        """One of the values."""
        return self.random.choice(values)

    def flip(self) -> bool:
        """Heads or tails."""
        return self.random.random() < 0.5


def resource(traffic: dict[str, Any], expose: dict[str, Any]) -> dict[str, Any]:
    """The user's resource with these blocks, as the API server would check it."""
    versions = [{"name": name, "uri": f"s3://models/{name}/"} for name in ("v1", "v2", "v3", "v4")]
    spec = {"runtime": {"name": "triton"}, "versions": versions, "traffic": traffic, "expose": expose}
    meta = {"name": "resnet", "namespace": "vision"}
    return {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": meta, "spec": spec}
