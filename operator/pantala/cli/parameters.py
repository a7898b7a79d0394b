"""Types of option values: each checks what is typed, and says what to write in place of it.

An empty value is as none, so that an environment variable or a chart can leave one out.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import click
from typing_extensions import override

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
LONGEST_NAME = 253
"""Characters of a DNS name, and of the name of an object (RFC 1035; Kubernetes, "Object Names and IDs")."""


def is_domain(text: str) -> bool:
    """Whether a text is a DNS name in lower case, of any number of labels, without a dot at its end."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


class Domain(click.ParamType["str | None"]):
    """A DNS name."""

    name = "domain"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """Read it, in lower case."""
        text = str(value).lower()
        if text and not is_domain(text):
            self.fail(f"{value!r} is no DNS name: write for example models.example.com", param, ctx)
        return text or None


class ObjectPath(click.ParamType["tuple[str, str] | None"]):
    """The namespace and the name of an object."""

    name = "namespace/name"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str] | None:
        """Read it as a pair."""
        if not value:
            return None
        namespace, _, name = str(value).partition("/")
        if not _NAMESPACE.fullmatch(namespace) or not is_domain(name):
            self.fail(f"{value!r} is no NAMESPACE/NAME: write for example istio-system/ingress", param, ctx)
        return namespace, name


class AllowedDomain(click.ParamType[tuple[str, str]]):
    """A namespace, or * for those that are not named, and a domain that its models may use; an empty domain: none."""

    name = "namespace=domain"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read it as a pair."""
        namespace, separator, domain = str(value).partition("=")
        named = namespace == "*" or _NAMESPACE.fullmatch(namespace)
        if not (named and separator and (not domain or is_domain(domain.lower()))):
            self.fail(
                f"{value!r} is no NAMESPACE=DOMAIN: write for example vision=models.example.com, with * for"
                " the namespaces that are not named, and with nothing behind the = if they may use none",
                param,
                ctx,
            )
        return namespace, domain.lower()


_PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_VALUE = re.compile(rf"({_PART})?")
_QUALIFIED = re.compile(_PART)


def is_qualified(text: str, *, prefixed: bool = False) -> bool:
    """Whether a text can be the key of a label, or, with a prefix, the name of an extended resource."""
    prefix, slash, name = text.rpartition("/")
    return bool(_QUALIFIED.fullmatch(name)) and (is_domain(prefix) if slash else not prefixed)


class Pool(click.ParamType[tuple[dict[str, str], str]]):
    """Labels of nodes, and who hands out their cards."""

    name = "pool"

    def __init__(self, providers: tuple[str, ...]) -> None:
        """Know the providers."""
        self._providers = providers

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[dict[str, str], str]:
        """Read it as a pair."""
        words, _, provider = str(value).rpartition(":")
        pairs = [word.partition("=") for word in words.split(",")]
        labels = {key: text for key, _, text in pairs}
        good = all(sign and is_qualified(key) and _LABEL_VALUE.fullmatch(text) for key, sign, text in pairs)
        if not good or len(labels) < len(pairs):
            self.fail(
                f"{value!r} is no LABEL=VALUE[,LABEL=VALUE]:PROVIDER: write for example pool=shared:hami", param, ctx
            )
        if provider not in self._providers:
            known = ", ".join(self._providers)
            self.fail(f"{value!r} ends with a provider that is not known: write one of {known}", param, ctx)
        return labels, provider


class ExtendedResource(click.ParamType["str | None"]):
    """The name of an extended resource, which has a domain in front."""

    name = "resource"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """Read it."""
        text = str(value)
        if text and not is_qualified(text, prefixed=True):
            self.fail(f"{value!r} is no name of a resource: write for example nvidia.com/gpu", param, ctx)
        return text or None


class ResourceName(click.ParamType[tuple[str, str]]):
    """A vendor's name of a resource, and what it is called in this installation."""

    name = "resource=name"

    def __init__(self, known: tuple[str, ...]) -> None:
        """Know the vendors' names."""
        self._known = known

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read it as a pair."""
        vendors, _, own = str(value).partition("=")
        if not (is_qualified(vendors, prefixed=True) and is_qualified(own, prefixed=True)):
            self.fail(f"{value!r} is no RESOURCE=NAME: write for example nvidia.com/gpu=hami.io/gpu", param, ctx)
        if vendors not in self._known:
            self.fail(
                f"{value!r} begins with a resource that cannot be renamed: known are {', '.join(self._known)}",
                param,
                ctx,
            )
        return vendors, own


class HttpUrl(click.ParamType["str | None"]):
    """Where Prometheus answers; what is wrong is told without the value, which may hold a password.

    Its API lies below the path of a URL, so a query would be in the way; what is in one is mostly a token, and every
    ScaledObject would show it.
    """

    name = "url"

    def __init__(self, *, public: bool = False) -> None:
        """Know whether others will read all of it, also a name and a password in front of the host."""
        self._public = public

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """Read it."""
        text = str(value)
        try:
            parts = urlsplit(text)
            good = not text or (parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0)
            secret = "@" in parts.netloc
        except ValueError:
            good = secret = False
        if not good:
            self.fail("write it as http://HOST:PORT or https://HOST:PORT/PATH", param, ctx)
        if "?" in text or "#" in text:
            option = "--keda-authentication" if self._public else "--prometheus-token-file"
            self.fail(
                "it holds a ? or a #, and everybody who can see a ScaledObject would see what follows: end it before that, and"
                f" give a token by {option}",
                param,
                ctx,
            )
        if secret and self._public:
            self.fail(
                "it holds a password, which everybody who can see a ScaledObject would see: leave it out, and name an"
                " authentication with --keda-authentication",
                param,
                ctx,
            )
        return text or None


class Label(click.ParamType[tuple[str, str]]):
    """A label of an object."""

    name = "label=value"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read it as a pair."""
        key, sign, text = str(value).partition("=")
        if not (sign and is_qualified(key) and _LABEL_VALUE.fullmatch(text)):
            self.fail(f"{value!r} is no LABEL=VALUE: write for example release=prometheus", param, ctx)
        return key, text
