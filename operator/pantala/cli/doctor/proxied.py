"""How https goes through dfdaemon's HTTP proxy. Pure.

dfdaemon ends TLS itself, with a certificate that nobody can verify unless it has an authority (dragonfly-client 1.5.10,
proxy/). So Pantala's fetcher asks it for `http://` also where the store speaks https, and a rule with `useTLS` makes
dfdaemon ask the store by https. Without such a rule what is asked for, a signed URL, travels in the clear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pantala.cli.doctor import daemon
from pantala.cli.doctor.finding import Finding, error, ok, some
from pantala.cli.doctor.seen import Seen, Use, uses

_HOSTS = {"gs": "https://storage.googleapis.com"}
_BY_HOST = ("oss", "obs", "cos")
"""Stores whose bucket is part of the host's name."""


def rules(seen: Seen) -> Iterator[Finding]:
    """Whether dfdaemon asks the stores of models by https where they speak it."""
    going = [(use, url) for use in uses(seen.models) if use.by_proxy and (url := secure_url(use))]
    for config in daemon.configs(seen):
        if config.problem or not going:
            continue
        clear = [(use, url) for use, url in going if not _by_tls(config, url)]
        where = f"ConfigMap {config.name}"
        if clear:
            yield error(
                "proxy-rules",
                f"no rule with useTLS takes the files of {some(sorted({use.model for use, _ in clear}))}: dfdaemon would ask for"
                " their signed URLs in the clear",
                "Add a rule with useTLS: true for the host to client.config.proxy.rules of the Dragonfly chart, before those that"
                " match it too (manifests/dragonfly-values.yaml).",
                where,
                some(sorted({urlsplit(url).netloc for _, url in clear})),
            )
        else:
            yield ok("proxy-rules", "dfdaemon asks the stores of models by https", where)


def secure_url(use: Use) -> str:
    """How a file of a version is asked for through the proxy, if its store speaks https; else empty."""
    parts = urlsplit(use.uri)
    base = use.endpoint or _HOSTS.get(parts.scheme, "")
    if parts.scheme == "https":
        base, path = f"https://{parts.netloc}", parts.path
    elif parts.scheme in _BY_HOST and base:
        base, path = base.replace("://", f"://{parts.netloc}.", 1), parts.path
    elif parts.scheme == "s3":
        base, path = base or f"https://s3.{use.region or 'us-east-1'}.amazonaws.com", f"/{parts.netloc}{parts.path}"
    elif parts.scheme in {"gs", "abs"} and base:
        path = f"/{parts.netloc}{parts.path}"
    else:
        return ""  # the proxy is of no use for it
    return base.rstrip("/").replace("https://", "http://", 1) + path if base.startswith("https://") else ""


def _by_tls(config: daemon.Config, url: str) -> bool:
    """Whether the first rule that takes a URL says useTLS."""
    for rule in config.items("proxy.rules"):
        if isinstance(rule, Mapping) and _takes(rule, url):
            return bool(rule.get("useTLS"))
    return False


def _takes(rule: Mapping[str, Any], url: str) -> bool:
    try:
        return re.search(str(rule.get("regex", "")), url) is not None
    except re.error:
        return False  # good for Rust, and not for Python: dfdaemon would not have started with a bad one


def authority(seen: Seen) -> Iterator[Finding]:
    """The certificate that dfdaemon shows to who sends https through its proxy."""
    for config in daemon.configs(seen):
        if config.problem:
            continue
        where = f"ConfigMap {config.name}"
        cert, key = config.get("proxy.server.caCert"), config.get("proxy.server.caKey")
        if cert and key:
            yield ok(
                "ca",
                "https through the proxy is signed by an authority of your own, which clients have to trust",
                where,
            )
        elif cert or key:
            yield error(
                "ca",
                "of proxy.server.caCert and caKey one alone is set, and has no effect",
                "Set both in client.config.proxy.server of the Dragonfly chart, or none.",
                where,
                str(cert or key),
            )
        else:
            yield ok(
                "ca",
                "there is none: clients that send https through the proxy cannot verify it (models do not send https there)",
                where,
            )
