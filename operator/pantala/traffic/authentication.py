"""`traffic.authentication.jwt`: tokens of known issuers, checked by Istio."""

import base64
import json
import re

from pantala.api.traffic import Jwt
from pantala.manifest.types import Manifest
from pantala.traffic.access import authorization_policy, texts
from pantala.traffic.envoy_filter import metadata, selector
from pantala.traffic.route import Refusal, Route

FIELD = "traffic.authentication.jwt"
"""Path of the field below `spec`."""

_CURVES = {"P-256": 32, "P-384": 48, "P-521": 66}
"""Bytes of a coordinate (RFC 7518, 6.2.1.2)."""
_URL = re.compile(
    r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"([/?]([A-Za-z0-9._~:/?@!$&()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
"""An absolute URL (RFC 3986) without user and fragment."""
_ED25519 = 32
_LEAST_MODULUS = 256
"""Bytes of the smallest RSA modulus (RFC 7518, 3.3: 2048 bits)."""


def jwt(route: Route, issuers: tuple[Jwt, ...]) -> list[Manifest]:
    """What checks tokens, then what refuses requests without one.

    The first opens nothing: a request without a token passes it, one with a bad token gets 401. The second answers 403 to
    what no token of these issuers vouches for, and that only at the ports for clients. A rule for the claim `iss` and not
    `notRequestPrincipals: ["*"]`: that would take tokens of issuers that someone lets in for the whole namespace, and it
    refuses tokens without `sub`, which RFC 7519 does not ask for.
    """
    rules = [_rule(issuer) for issuer in issuers]
    checked = {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": metadata(route, "jwt"),
        "spec": {"selector": {"matchLabels": selector(route)}, "jwtRules": rules},
    }
    stranger = {
        "to": [{"operation": {"ports": texts(route.client_ports)}}],
        "when": [{"key": "request.auth.claims[iss]", "notValues": [issuer.issuer for issuer in issuers]}],
    }
    return [checked, authorization_policy(route, "jwt", "DENY", [stranger])]


def _rule(issuer: Jwt) -> Manifest:
    given = {"jwksUri": issuer.jwks_uri, "jwks": issuer.jwks}
    audiences = {"audiences": list(issuer.audiences)} if issuer.audiences else {}
    return {"issuer": issuer.issuer, **audiences, **{name: value for name, value in given.items() if value}}


def refusals(issuers: tuple[Jwt, ...]) -> list[Refusal]:
    """What the API's patterns let through and istiod's validation does not: it would refuse the whole object."""
    return [
        Refusal(f"{FIELD}[{index}].{name}", message)
        for index, issuer in enumerate(issuers)
        for name, message in _wrong(issuer)
    ]


def _wrong(issuer: Jwt) -> list[tuple[str, str]]:
    found = []
    if issuer.jwks_uri and not _is_address(issuer.jwks_uri):
        found.append(("jwksUri", "is no address: write for example https://accounts.example.com/jwks.json"))
    if issuer.jwks and not _is_key_set(issuer.jwks):
        found.append(
            (
                "jwks",
                'is no JSON Web Key Set (RFC 7517): write {"keys": [...]} with public keys of the kinds RSA (2048 bits), EC or OKP',
            )
        )
    return found


def _is_address(text: str) -> bool:
    found = _URL.fullmatch(text)
    return found is not None and int(found["port"] or 443) in range(1, 1 << 16)


def _is_key_set(text: str) -> bool:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return False
    keys = read.get("keys") if isinstance(read, dict) else None
    return isinstance(keys, list) and bool(keys) and all(map(_is_key, keys))


def _is_key(key: object) -> bool:
    """Whether Envoy can read a key; one that it cannot makes it refuse its whole configuration, other policies too.

    Whether a point is on its curve is not looked at.
    """
    if not isinstance(key, dict):
        return False
    sizes = {name: _size(key.get(name)) for name in ("n", "e", "x", "y")}
    match key.get("kty"):
        case "RSA":
            return sizes["n"] >= _LEAST_MODULUS and sizes["e"] > 0
        case "EC":
            return sizes["x"] == sizes["y"] == _CURVES.get(str(key.get("crv")), -1)
        case "OKP":
            return key.get("crv") == "Ed25519" and sizes["x"] == _ED25519
        case _:
            return False


def _size(text: object) -> int:
    """Bytes of a number in base64url without padding (RFC 7518, 2); 0 where it is none."""
    if not isinstance(text, str) or not re.fullmatch("[A-Za-z0-9_-]*", text):
        return 0
    try:
        return len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return 0
