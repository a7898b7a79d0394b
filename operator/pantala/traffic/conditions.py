"""Conditions of Istio's routes: Istio has one per header, a rule has a list of them."""

from collections.abc import Iterable, Mapping

from pantala.api.traffic import HeaderMatch
from pantala.manifest.types import Manifest

GRPC = {"content-type": HeaderMatch(name="content-type", type="Prefix", value="application/grpc")}
"""The mark of gRPC: every such request has it (gRPC over HTTP/2, Requests), `application/grpc+proto` among them."""

_KINDS = {"Exact": "exact", "Prefix": "prefix", "RegularExpression": "regex"}


class NeverError(ValueError):
    """No request can meet the conditions."""


class TwoOnOneError(ValueError):
    """Two conditions on one header that cannot be one."""


def headers(matches: Iterable[HeaderMatch], also: Mapping[str, HeaderMatch] | None = None) -> dict[str, HeaderMatch]:
    """All conditions by the name of the header, in lower case as Istio wants it.

    Args:
        matches: The conditions, all of which must hold.
        also: Further ones by name.

    Raises:
        NeverError: Two conditions on one header exclude each other.
        TwoOnOneError: Two conditions on one header, one of them a regular expression, which RE2 cannot join.
    """
    found = dict(also or {})
    for match in matches:
        name = match.name.lower()
        found[name] = _both(found[name], match) if name in found else match
    return found


def rendered(matches: Mapping[str, HeaderMatch]) -> Manifest:
    """The conditions as the field `headers` of a match has them."""
    return {name: {_KINDS[match.type]: match.value} for name, match in matches.items()}


def below(path: str) -> list[Manifest]:
    """The conditions, one of which a path meets that is this one or lies below it: whole parts only."""
    return [{"uri": {"exact": path}}, {"uri": {"prefix": f"{path}/"}}]


def _both(one: HeaderMatch, other: HeaderMatch) -> HeaderMatch:
    if (one.type, one.value) == (other.type, other.value):
        return one
    if "RegularExpression" in {one.type, other.type}:
        raise TwoOnOneError(one.name)
    narrow, wide = sorted((one, other), key=lambda it: (it.type != "Exact", -len(it.value)))
    if wide.type == "Prefix" and narrow.value.startswith(wide.value):
        return narrow
    raise NeverError(one.name)
