"""HDFS by WebHDFS."""

from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores.base import Access, Store, operator
from pantala.storage.base import HdfsLocation
from pantala.storage.hdfs import FIELDS


def open_path(location: HdfsLocation, access: Access) -> Store:
    """Read with the delegation token of the Secret, else as nobody."""
    access.check(FIELDS)
    endpoint = f"http://{location.host}"
    token = access.keys(FIELDS).get("HDFS_DELEGATION_TOKEN", "")
    options = {"root": "/", "endpoint": endpoint} | ({"delegation": token} if token else {})
    fields = {"delegation_token": token} if token else {}
    peer = PeerSource(f"hdfs://{location.host}/", hdfs=fields, secret=token, endpoint=endpoint)
    shown = f"hdfs://{location.host}"
    return Store(operator("webhdfs", options), location.path, shown, lists=True, peer_source=peer)
