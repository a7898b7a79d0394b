"""The default images of the model servers, the single place where their names are written.

An installation may name other images (settings) and a resource may name its own (`runtime.image`). The local test
cluster has no registry: `tests/cluster/images` builds small CPU images and tags them with exactly these names, so that
unmodified resources run there.
"""

from typing import Final

TRITON: Final = "nvcr.io/nvidia/tritonserver:24.10-py3"
"""NVIDIA Triton 2.51.0, with all its backends.

24.10 is the release that carries 2.51.0, the version that the wheel `nvidia-pytriton` 0.7.0 of the local image reports
as `server_version`: what the tests see is what an installation runs.
"""

TORCHSERVE: Final = "docker.io/pytorch/torchserve:0.12.0-cpu"
"""TorchServe 0.12.0, the last release, for CPUs; an accelerator needs the `-gpu` variant named in the resource."""
