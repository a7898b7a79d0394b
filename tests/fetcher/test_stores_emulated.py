"""Google Cloud Storage and Azure Blob Storage, each against an emulator."""

import os
from pathlib import Path

import pytest

from tests.cluster.addons.azure import Azurite
from tests.cluster.addons.gcs import GcsServer
from tests.fetcher.tools import MIB, fetch, tree

pytestmark = pytest.mark.p2p
FILES = {"config.json": b"{}", "sub dir/w+1.bin": os.urandom(17 * MIB), "sub dir/empty": b""}


def test_google_cloud_storage(gcs: GcsServer, to: Path) -> None:
    """A public bucket: a folder, one file, and what is not there."""
    gcs.create_bucket("models")
    for name, content in FILES.items():
        gcs.put("models", f"resnet/{name}", content)
    result = fetch(to, "gs://models/resnet", "--endpoint", gcs.endpoint, env={})
    assert result.code == 0, result.log
    assert tree(to) == FILES
    other = to.with_name("other")
    assert fetch(other, "gs://models/resnet/config.json", "--endpoint", gcs.endpoint, env={}).code == 0
    assert tree(other) == {"config.json": b"{}"}
    assert fetch(to.with_name("none"), "gs://models/nope", "--endpoint", gcs.endpoint, env={}).code == 10


def test_azure_blob_storage(azurite: Azurite, to: Path) -> None:
    """A private container: a folder, one file, what is not there, and a key that is wrong."""
    azurite.create_container("models")
    for name, content in FILES.items():
        azurite.put("models", f"resnet/{name}", content)
    where = ("--endpoint", azurite.endpoint)
    result = fetch(to, "abs://models/resnet", *where, env=azurite.credentials)
    assert result.code == 0, result.log
    assert tree(to) == FILES
    other = to.with_name("other")
    assert fetch(other, "abs://models/resnet/config.json", *where, env=azurite.credentials).code == 0
    assert tree(other) == {"config.json": b"{}"}
    assert fetch(to.with_name("none"), "abs://models/nope", *where, env=azurite.credentials).code == 10
    wrong = azurite.credentials | {"AZURE_STORAGE_KEY": "d3Jvbmcga2V5IG9mIHNvbWVib2R5"}
    result = fetch(to.with_name("wrong"), "abs://models/resnet", *where, env=wrong)
    assert (result.code, result.message["reason"]) == (11, "Denied"), result.log
    assert "d3Jvbmcga2V5" not in result.log + result.raw


def test_a_public_container(azurite: Azurite, to: Path) -> None:
    """Without a key nothing is signed."""
    azurite.create_container("public", public=True)
    azurite.put("public", "w.bin", b"weights")
    result = fetch(to, "abs://public/w.bin", "--endpoint", azurite.endpoint, env={})
    assert result.code == 0, result.log
    assert tree(to) == {"w.bin": b"weights"}
