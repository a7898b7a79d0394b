"""The programs of a sidecar's containers: Envoy with what it must know of its pod, the redirection, and the probes.

Only the standard library: the image of the sidecar holds this file and `envoy_bootstrap.py`.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cluster.addons.envoy_bootstrap import bootstrap, node

ADMIN, INBOUND, PROBES = 15000, 15006, 15020
"""Ports: Envoy's administration, where the traffic to the pod is sent, and where the injector sends probes."""
_OWN = "15000:15099"
"""Ports that are not redirected."""
_ENVOY = "/usr/local/bin/envoy"


def proxy() -> None:
    """Answer the probes of the pod's containers in a process beside, and become its Envoy."""
    env = os.environ
    probes = json.loads(env.get("ISTIO_KUBE_APP_PROBERS") or "{}")  # written by istiod's injector
    if probes and os.fork() == 0:
        serve_probes(probes, env["INSTANCE_IP"])
    labels = json.loads(env["POD_LABELS"] or "{}")
    more = {"INTERCEPTION_MODE": "REDIRECT", "SERVICE_ACCOUNT": env["SERVICE_ACCOUNT"]}
    me = node("sidecar", env["INSTANCE_IP"], env["POD_NAME"], env["POD_NAMESPACE"], labels, more)
    host, _, port = env["ISTIOD"].rpartition(":")
    path = Path(env["FOLDER"]) / "bootstrap.json"
    path.write_text(json.dumps(bootstrap(me, (host, int(port)), ("0.0.0.0", ADMIN))))
    options = ["--config-path", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    os.execv(_ENVOY, [_ENVOY, *options])


def redirect() -> None:
    """Send what comes to the pod to its Envoy, but for the sidecar's own ports."""
    rule = ["-p", "tcp", "!", "--dport", _OWN, "-j", "REDIRECT", "--to-ports", str(INBOUND)]
    subprocess.run(["iptables", "-t", "nat", "-A", "PREROUTING", *rule], check=True)


def serve_probes(probes: dict[str, Any], address: str) -> None:
    """Answer probes for ever, as Istio's agent does: by asking the container itself, which Envoy does not see.

    Args:
        probes: by path, what the pod's containers had been asked (`httpGet` or `tcpSocket`, and `timeoutSeconds`).
        address: of the pod.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                status = probe(probes[self.path], address)
            except (OSError, KeyError) as error:
                self.send_error(500, repr(error))
            else:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    ThreadingHTTPServer(("0.0.0.0", PROBES), Handler).serve_forever()


def probe(asked: dict[str, Any], address: str) -> int:
    """Ask a container once; return the status, 200 for a connection that was accepted.

    Raises:
        OSError: no answer.
        KeyError: a probe over gRPC.
    """
    seconds = asked.get("timeoutSeconds") or 1
    if "tcpSocket" in asked:
        socket.create_connection((address, asked["tcpSocket"]["port"]), seconds).close()
        return 200
    get = asked["httpGet"]
    scheme = get.get("scheme", "HTTP").lower()
    headers = {one["name"]: one["value"] for one in get.get("httpHeaders", [])}
    path = "/" + get.get("path", "").lstrip("/")
    request = urllib.request.Request(f"{scheme}://{address}:{get['port']}{path}", headers=headers)
    unverified = ssl._create_unverified_context()  # as the kubelet: a probe asks for life, not for identity
    try:
        with urllib.request.urlopen(request, timeout=seconds, context=unverified) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    {"proxy": proxy, "redirect": redirect}[sys.argv[1]]()
