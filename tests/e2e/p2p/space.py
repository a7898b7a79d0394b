"""What tests of peer to peer on nodes need besides: a store that counts, daemons that count, and the ledger."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.cluster.addons.dragonfly_nodes import NodePeers
from tests.cluster.addons.faults import FaultProxy
from tests.cluster.addons.s3 import S3Gateway
from tests.e2e.support import BUCKET, Space

HOST = "kubernetes.io/hostname"
SOURCES = {"BACK_TO_SOURCE": "origin", "REMOTE_PEER": "peer", "LOCAL_PEER": "local"}
"""dfdaemon's words for where bytes came from, and the ledger's."""


@dataclass(frozen=True)
class PeerSpace(Space):
    """A namespace whose models go through Dragonfly, to a store behind `origin`."""

    s3: S3Gateway
    origin: FaultProxy
    peers: NodePeers

    def spec(self, runtime: str, path: str, /, **fields: Any) -> dict[str, Any]:
        """The smallest spec, through Dragonfly."""
        found = super().spec(runtime, path, **{"distribution": {"mode": "Dragonfly"}, **fields})
        found["storage"]["endpoint"] = self.origin.endpoint_at(self.cluster.host_ip)
        return found

    def on(self, index: int) -> dict[str, Any]:
        """A pod template for one node."""
        return {"spec": {"nodeSelector": {HOST: self.cluster.node_names[index]}}}

    def ledger(self, name: str, version: str = "v1") -> list[dict[str, Any]]:
        """The accounts of the replicas that there are, once all of them are in the status."""
        wanted = {pod["metadata"]["name"] for pod in self.pods(name, version)}

        def accounts(status: Mapping[str, Any]) -> list[dict[str, Any]]:
            found = next((one for one in status.get("versions", ()) if one["name"] == version), {})
            return [one for one in found.get("replicas", ()) if one["pod"] in wanted and "bytes" in one]

        status = self.wait(name, f"accounts of {wanted}", lambda found: len(accounts(found)) == len(wanted), 30)
        return accounts(status)

    def sha256(self, name: str, file: str) -> dict[str, str]:
        """Checksum of a file as the server of each replica sees it, by pod."""
        script = f"sha256sum $(find -L /models -name {file} -not -path '*/.pantala/*')"
        return {
            pod["metadata"]["name"]: self.kubectl(
                "exec", pod["metadata"]["name"], "-c", "server", "--", "sh", "-c", script
            )[:64]
            for pod in self.pods(name)
        }


class Counted:
    """What store and daemons counted since it was made."""

    def __init__(self, space: PeerSpace, prefix: str) -> None:
        """Remember where the counters are; `prefix` is the part of the bucket that is looked at."""
        self._space, self._path = space, f"^/{BUCKET}/{re.escape(prefix)}"
        self._before = space.peers.traffic()
        self._given = space.origin.given(self._path)

    def given(self) -> int:
        """Bytes that the store gave."""
        return self._space.origin.given(self._path) - self._given

    def traffic(self, host: str) -> dict[str, int]:
        """What the daemon of a host counted, in the ledger's words."""
        after, before = self._space.peers.traffic()[host], self._before.get(host, {})
        return {word: after[kind] - before.get(kind, 0) for kind, word in SOURCES.items()}


def total(replicas: list[dict[str, Any]], source: str, node: str | None = None) -> int:
    """Bytes of a source, or `direct`, in the accounts of all replicas, or of those on a node."""
    chosen = [one for one in replicas if node in {None, one["node"]}]
    return sum(one.get("direct", 0) if source == "direct" else one["bytes"].get(source, 0) for one in chosen)
