import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cluster.images import IMAGES, ensure
from tests.cluster.images.debian import mirror
from tests.cluster.images.layers import pack, short_hash
from tests.cluster.images.oci import Config, check_archive, write_archive
from tests.cluster.images.recipes import _forget_old

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: device nodes and chroot")


def _tree(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/tool").write_text("tool")
    (folder / "bin/tool").chmod(0o755)
    (folder / "bin/link").symlink_to("tool")
    os.link(folder / "bin/tool", folder / "bin/same")
    return folder


def test_an_archive_is_what_its_digests_say(tmp_path: Path) -> None:
    """An archive passes its own check, keeps name, configuration and layers, and stores a shared layer once."""
    layer = pack(_tree(tmp_path / "root"), tmp_path / "layer.tar.gz")
    config = Config(entrypoint=["tool"], user="1000:1000", env={"A": "1"})
    digest = write_archive(tmp_path / "image.tar", "example.org/tool:1", [layer, layer], config)
    read = check_archive(tmp_path / "image.tar")
    assert read["config"]["Entrypoint"] == ["tool"]
    assert read["config"]["User"] == "1000:1000"
    assert "A=1" in read["config"]["Env"]
    assert read["rootfs"]["diff_ids"] == [layer.diff_id] * 2
    with tarfile.open(tmp_path / "image.tar") as archive:
        assert len(archive.getnames()) == 5
    assert write_archive(tmp_path / "again.tar", "example.org/tool:1", [layer, layer], config) == digest


def test_a_damaged_archive_is_noticed(tmp_path: Path) -> None:
    """A layer with other bytes than its digest says is refused."""
    layer = pack(_tree(tmp_path / "root"), tmp_path / "layer.tar.gz")
    content = bytearray(layer.path.read_bytes())
    content[-1] ^= 1
    layer.path.write_bytes(content)
    write_archive(tmp_path / "image.tar", "example.org/tool:1", [layer], Config())
    with pytest.raises(ValueError, match="differs from its descriptor"):
        check_archive(tmp_path / "image.tar")


def test_equal_folders_give_equal_layers(tmp_path: Path) -> None:
    """Neither the place nor the time of files decides about a layer; modes and links are kept."""
    first = pack(_tree(tmp_path / "one"), tmp_path / "one.tar.gz")
    os.utime(_tree(tmp_path / "two") / "bin/tool", (1, 1))
    second = pack(tmp_path / "two", tmp_path / "two.tar.gz")
    assert (first.digest, first.diff_id) == (second.digest, second.diff_id)
    with tarfile.open(first.path) as layer:
        kinds = {member.name: (member.type, oct(member.mode)) for member in layer}
    assert kinds["bin/link"][0] == tarfile.SYMTYPE
    assert {kinds["bin/same"][0], kinds["bin/tool"][0]} == {tarfile.REGTYPE, tarfile.LNKTYPE}
    assert kinds["bin/same"][1] == "0o755"


@root
def test_deletions_become_whiteouts(tmp_path: Path) -> None:
    """What an overlay marks as deleted is a whiteout file of the layer, so that it is gone in the container too."""
    tree = _tree(tmp_path / "root")
    os.mknod(tree / "bin/gone", 0o020000, os.makedev(0, 0))
    layer = pack(tree, tmp_path / "layer.tar.gz")
    with tarfile.open(layer.path) as archive:
        assert "bin/.wh.gone" in archive.getnames()
        assert "bin/gone" not in archive.getnames()


def test_every_image_has_a_key_and_a_full_name() -> None:
    """Names carry registry and tag, never `latest`, which Kubernetes would try to pull; other inputs, another key."""
    for image in IMAGES.values():
        registry, _, rest = image.reference.partition("/")
        assert "." in registry
        assert ":" in rest
        assert not rest.endswith(":latest")
        assert short_hash(image.key_parts) != short_hash([*image.key_parts, "more"])


def test_the_mirror_is_that_of_the_machine() -> None:
    """The address of Debian's archive comes from apt's configuration."""
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(SITE)"], check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("no apt on this machine")
    assert mirror() in listed.stdout.split()


def test_old_archives_go(tmp_path: Path) -> None:
    """A new archive replaces those of its image that are older than an hour, and nothing else."""
    names = {"pantala-000000000000": 0, "pantala-111111111111": None, "layer-pantala-000000000000": 0, "wheel-0": 0}
    for name, modified in names.items():
        (tmp_path / name).mkdir()
        if modified is not None:
            os.utime(tmp_path / name, (modified, modified))
    (tmp_path / "pantala-222222222222").mkdir()
    _forget_old("pantala", tmp_path / "pantala-222222222222")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["layer-pantala-000000000000", "pantala-111111111111", "pantala-222222222222", "wheel-0"]


@pytest.mark.e2e
@root
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.p2p] * (name == "dfdaemon")) for name in sorted(IMAGES)]
)
def test_an_image_is_built_whole(name: str) -> None:
    """Each image builds, or comes from the cache, and is valid; all but the daemon's run as a user that is not root."""
    archive = ensure(name)
    config = check_archive(archive)
    assert config["config"].get("User") == (None if name == "dfdaemon" else "1000:1000")
    assert ensure(name) == archive


@pytest.mark.e2e
@root
@pytest.mark.timeout(1800)
def test_images_share_the_debian_layer() -> None:
    """Triton, TorchServe and Pantala begin with the same layer, which a node unpacks once."""
    first = {check_archive(ensure(name))["rootfs"]["diff_ids"][0] for name in ("triton", "torchserve", "pantala")}
    assert len(first) == 1
