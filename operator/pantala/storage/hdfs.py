"""HDFS by WebHDFS, unencrypted, as dfdaemon reads it. Without a token one is nobody (`dr.who`)."""

import re

from pantala.manifest.types import Invalid
from pantala.storage.base import HdfsLocation, Source, StorageAccess
from pantala.storage.plain import Fields
from pantala.storage.uri import bad_uri, climbs, split

PORT = 9870
"""Of a name node's web server, if the URI names none."""
FIELDS = Fields("hdfs://", required_keys=("HDFS_DELEGATION_TOKEN",))
"""What of `storage` has an effect."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?")


class HdfsStorage:
    """`hdfs://namenode[:port]/path`: a file or a folder."""

    keys = FIELDS.keys
    """Keys that the Secret may have."""

    def parse(self, uri: str) -> HdfsLocation | Invalid:
        """Take the URI apart; the path is not encoded."""
        host, path = split(uri)
        if not _HOST.fullmatch(host):
            return bad_uri(f"'{uri}' has no host of a name node; write hdfs://namenode:{PORT}/path")
        if climbs(path) or "//" in path:
            return bad_uri(f"'{uri}' has an empty, '.' or '..' part in its path; write hdfs://namenode:{PORT}/path")
        return HdfsLocation(host if ":" in host else f"{host}:{PORT}", path)

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Pass the URI as argument, the token from the Secret."""
        location = self.parse(source.uri)
        return location if isinstance(location, Invalid) else FIELDS.access(source)
