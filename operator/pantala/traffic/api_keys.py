"""`traffic.authentication.apiKeys`: keys in a header, told by their checksums, so that no object holds a secret."""

import re
from importlib.resources import files

from pantala.api.traffic import ApiKeys
from pantala.manifest.types import Manifest
from pantala.traffic.envoy_filter import Place, envoy_filter
from pantala.traffic.route import Route

CLIENT = "x-pantala-client"
"""Header of a request that tells the server whose key it brought; one that a client sends is removed."""

_TYPE = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_CHECK = files("pantala.traffic").joinpath("api_keys.lua").read_text()
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_CLIENT = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HEADER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def api_keys(route: Route, wanted: ApiKeys) -> Manifest:
    """The filter that answers 401 to requests without a known key, or gRPC's UNAUTHENTICATED.

    It is Envoy's Lua filter. Envoy's own filters do not fit: `api_key_auth` holds the keys in clear text, and `basic_auth`
    passwords as SHA-1 without salt; both want them in the sidecar's configuration, that is, in an object that everybody
    reads who may read EnvoyFilters.

    Raises:
        ValueError: A name, a checksum or the header is not what the API's patterns let through.
    """
    config = {
        "@type": _TYPE,
        "stat_prefix": "pantala_api_keys",
        "default_source_code": {"inline_string": script(wanted)},
    }
    filter_ = {"name": "envoy.filters.http.lua", "typed_config": config}
    return envoy_filter(route, "api-keys", Place.API_KEYS, route.client_ports, filter_)


def script(wanted: ApiKeys) -> str:
    """The Lua script that knows these keys.

    Raises:
        ValueError: A name, a checksum or the header is not what the API's patterns let through.
    """
    header = _safe(_HEADER, wanted.header.lower())
    scheme = "Bearer" if header == "authorization" else "ApiKey"
    pairs = sorted((_safe(_CHECKSUM, key.sha256), _safe(_CLIENT, key.name)) for key in wanted.keys)
    clients = "".join(f'  ["{checksum}"] = "{name}",\n' for checksum, name in pairs)
    return f'local HEADER = "{header}"\nlocal CHALLENGE = "{scheme}"\nlocal CLIENTS = {{\n{clients}}}\n\n{_CHECK}'


def _safe(pattern: re.Pattern[str], text: str) -> str:
    """A text that means nothing to Lua inside of quotes: the API's patterns say so, and nothing else may come this far."""
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} cannot be written into a script: it must match {pattern.pattern}")
    return text
