import zipfile
from pathlib import Path

import pytest

from tests.cluster.addons import models


def test_equal_models_have_equal_bytes(tmp_path: Path) -> None:
    """Two archives made alike are the same file, so that their digests can be compared."""
    one, two = models.torchserve_net(tmp_path / "one"), models.torchserve_net(tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert set(archive.namelist()) == {"MAR-INF/MANIFEST.json", "handler.py", "net.pt"}


def test_an_ensemble_has_no_version_folder_in_a_store(tmp_path: Path) -> None:
    """As in object stores, the ensemble's empty version folder is missing unless asked for."""
    repository = models.triton_ensemble(tmp_path / "store")
    assert sorted(path.name for path in repository.iterdir()) == ["ensemble", "first", "second"]
    assert not (repository / "ensemble/1").exists()
    assert (models.triton_ensemble(tmp_path / "disk", version_folder=True) / "ensemble/1").is_dir()


def test_broken_models_are_broken_in_their_own_way(tmp_path: Path) -> None:
    """The broken variants have the fault that their names say."""
    assert "no weights" in (models.broken_triton_code(tmp_path / "code") / "1/model.py").read_text()
    assert "nosuch" in (models.broken_triton_backend(tmp_path / "backend") / "config.pbtxt").read_text()
    assert (models.torchserve_unpacked(tmp_path) / "MAR-INF/MANIFEST.json").is_file()
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(models.broken_torchserve_archive(tmp_path))
