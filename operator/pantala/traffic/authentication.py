"""`traffic.authentication.jwt`: tokens of known issuers, checked by Istio."""

import json
from urllib.parse import urlsplit

from pantala.api.traffic import Jwt
from pantala.manifest.types import Manifest
from pantala.traffic.access import authorization_policy, texts
from pantala.traffic.envoy_filter import metadata, selector
from pantala.traffic.route import Refusal, Route

FIELD = "traffic.authentication.jwt"


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
    if "*" in issuer.issuer:
        found.append(("issuer", "Istio takes * in an issuer for any text: name the issuer as its tokens do"))
    if issuer.jwks_uri and not _is_address(issuer.jwks_uri):
        found.append(("jwksUri", "is no address: write for example https://accounts.example.com/jwks.json"))
    if issuer.jwks and not _is_key_set(issuer.jwks):
        found.append(("jwks", 'is no JSON Web Key Set (RFC 7517): write {"keys": [...]} with keys that have kty'))
    return found


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_key_set(text: str) -> bool:
    try:
        read = json.loads(text)
    except ValueError:
        return False
    keys = read.get("keys") if isinstance(read, dict) else None
    return isinstance(keys, list) and all(isinstance(key, dict) and isinstance(key.get("kty"), str) for key in keys)
