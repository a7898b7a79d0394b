"""An issuer of JSON Web Tokens (RS256) for tests of request authentication; keys and signatures are openssl's."""

import base64
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self


class Issuer:
    """A key pair with the name of an issuer; a context manager that forgets the key."""

    def __init__(self, name: str = "https://issuer.example.com") -> None:
        """Make the key."""
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-issuer-")
        self._key = Path(self._folder.name) / "key.pem"
        _openssl("genrsa", "-out", str(self._key), "2048")
        modulus = _openssl("rsa", "-in", str(self._key), "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": "one",
            "n": _encoded(bytes.fromhex(modulus)),
            "e": "AQAB",
        }
        self.jwks = json.dumps({"keys": [key]})
        """The public key as a JSON Web Key Set."""

    def token(self, subject: str = "alice", *, seconds: float = 600, **claims: Any) -> str:
        """Return a signed token.

        Args:
            subject: the claim `sub`.
            seconds: how long it is valid; negative: it has expired (Envoy grants another minute).
            claims: further ones, for instance `aud`; one that is None is left out.
        """
        now = int(time.time())
        given = {"iss": self.name, "sub": subject, "iat": now - 3600, "exp": int(now + seconds), **claims}
        body = {name: value for name, value in given.items() if value is not None}
        head = {"alg": "RS256", "typ": "JWT", "kid": "one"}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, body))
        return f"{text}.{_encoded(_openssl('dgst', '-sha256', '-sign', str(self._key), stdin=text.encode()))}"

    def __enter__(self) -> Self:
        """Return the issuer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the key."""
        self._folder.cleanup()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout
