"""Container images of the local cluster, made without Docker and without a registry.

`ensure(name)` returns an OCI archive that `ctr -n k8s.io images import` accepts; it is built once into the user's
cache and carries the very name that the operator uses by default. `python -m tests.cluster.images list` says which.
"""

from tests.cluster.images.recipes import IMAGES, archive_of, ensure

__all__ = ["IMAGES", "archive_of", "ensure"]
