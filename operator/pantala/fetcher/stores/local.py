"""What is on a disk: mounted claims, and paths on this machine."""

from pathlib import Path

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.stores.base import Store, operator
from pantala.storage.base import PvcLocation
from pantala.storage.pvc import MOUNT_PATH

_NO_PEERS = "a volume is read by its pod alone"


def open_claim(location: PvcLocation) -> Store:
    """Read the claim that is mounted into the fetcher."""
    root = Path(MOUNT_PATH)
    if not root.is_dir():
        message = f"claim {location.claim} is not mounted at {MOUNT_PATH}; this uri works in a pod of the operator only"
        raise FetchError(FetchFailure.NOT_FOUND, message)
    made = operator("fs", {"root": str(root)})
    return Store(made, location.path, f"pvc://{location.claim}", lists=True, peer_source=_NO_PEERS)


def open_path(path: Path, uri: str) -> Store:
    """Read a file or a folder of this machine."""
    if not path.exists():
        raise FetchError(FetchFailure.NOT_FOUND, f"{uri} does not exist; correct the path")
    name = path.name + ("/" if path.is_dir() else "")
    shown = str(path.parent).rstrip("/")
    return Store(operator("fs", {"root": str(path.parent)}), name, shown, lists=True, peer_source=_NO_PEERS)
