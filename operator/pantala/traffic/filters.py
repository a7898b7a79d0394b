"""What a VirtualService of Istio does to a request on its way: the same for every route of a model."""

from collections.abc import Mapping

from pantala.api import durations
from pantala.api.traffic import Cors, HeaderChanges, Headers, Retries, Traffic
from pantala.manifest.types import Manifest
from pantala.traffic.destination import duration
from pantala.traffic.route import DEFAULT_RETRIES, DEFAULT_RETRY_ON

_CODES = {*range(400, 419), *range(421, 427), 428, 429, 431, 451, *range(500, 509), 510, 511}
"""Status codes of errors that have a name in Go (`net/http.StatusText`): istiod refuses any other."""


def rendered(traffic: Traffic) -> Manifest:
    """The fields of an HTTP route that all routes of the model have."""
    found: Manifest = {"timeout": duration(traffic.timeout)} if traffic.timeout else {}
    found["retries"] = _retries(traffic.retries)
    if traffic.cors:
        found["corsPolicy"] = _cors(traffic.cors)
    if changes := _headers(traffic.headers):
        found["headers"] = changes
    return found


def unknown_codes(retries: Retries | None) -> list[str]:
    """The status codes of `retryOn` that Istio does not know."""
    words = (retries.retry_on or "").split(",") if retries else []
    return [word for word in words if word.isdigit() and int(word) not in _CODES]


def _retries(asked: Retries | None) -> Manifest:
    """Always there: Istio's own default also repeats what a server may have begun to process."""
    if asked is None:
        return {"attempts": DEFAULT_RETRIES, "retryOn": DEFAULT_RETRY_ON}
    unknown = unknown_codes(asked)
    conditions = [word for word in (asked.retry_on or DEFAULT_RETRY_ON).split(",") if word not in unknown]
    if asked.attempts == 0 or not conditions:
        return {"attempts": 0}  # istiod refuses any other field beside this
    found: Manifest = {"attempts": asked.attempts, "retryOn": ",".join(conditions)}
    if asked.per_try_timeout:
        found["perTryTimeout"] = duration(asked.per_try_timeout)
    return found


def _cors(cors: Cors) -> Manifest:
    found: Manifest = {
        "allowOrigins": [{"regex": ".*"} if origin == "*" else {"exact": origin} for origin in cors.allow_origins],
        # A preflight of another origin ends here: the model server's own word about it does not count.
        "unmatchedPreflights": "IGNORE",
    }
    lists = {
        "allowMethods": cors.allow_methods,
        "allowHeaders": _lower(cors.allow_headers),
        "exposeHeaders": _lower(cors.expose_headers),
    }
    found |= {name: list(values) for name, values in lists.items() if values}
    if cors.max_age:
        found["maxAge"] = f"{int(durations.parse(cors.max_age).total_seconds())}s"  # istiod refuses fractions
    if cors.allow_credentials:
        found["allowCredentials"] = True
    return found


def _lower(names: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(name.lower() for name in names or ())


def _headers(headers: Headers | None) -> Manifest:
    sides = {"request": headers.request, "response": headers.response} if headers else {}
    found = {side: _changes(changes) for side, changes in sides.items() if changes}
    return {side: changes for side, changes in found.items() if changes}


def _changes(changes: HeaderChanges) -> Manifest:
    """Changes of headers; Envoy removes, sets and adds, in this order.

    It leaves a header as it is that shall be set to nothing (`keep_empty_value`, which Istio does not offer): that is taken
    away, which says the same to a server.
    """
    emptied = [name for name, value in (changes.set or {}).items() if not value]
    found: Manifest = {"set": _values(changes.set), "add": _values(changes.add)}
    found["remove"] = list(dict.fromkeys(_lower((*(changes.remove or ()), *emptied))))
    return {name: value for name, value in found.items() if value}


def _values(values: Mapping[str, str] | None) -> dict[str, str]:
    """Values of headers as they stand: in Envoy a single % begins a command such as %REQ(...)% or %ENVIRONMENT(...)%."""
    return {name.lower(): value.replace("%", "%%") for name, value in (values or {}).items() if value}
