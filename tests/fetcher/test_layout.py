"""Where files end up for each model server."""

from pathlib import Path

import pytest

from pantala.fetcher.errors import FetchError
from pantala.fetcher.layout import Layout, arrange
from pantala.fetcher.listing import Listing, RemoteFile
from pantala.fetcher.pbtxt import rename
from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import fetch, tree


def listing(*paths: str, single: bool = False, folders: tuple[str, ...] = ()) -> Listing:
    return Listing(single, tuple(RemoteFile(path, path, 1, "e", "e") for path in sorted(paths)), folders)


CASES = {
    "plain keeps everything": (Layout.PLAIN, listing("a/b", "c"), {"a/b": "a/b", "c": "c"}, ()),
    "one archive": (Layout.TORCHSERVE, listing("resnet.mar", single=True), {"resnet.mar": "net.mar"}, ()),
    "an archive in a folder": (Layout.TORCHSERVE, listing("README", "x/resnet.mar"), {"x/resnet.mar": "net.mar"}, ()),
    "an unpacked archive": (
        Layout.TORCHSERVE,
        listing("MAR-INF/MANIFEST.json", "model.pt"),
        {"MAR-INF/MANIFEST.json": "net/MAR-INF/MANIFEST.json", "model.pt": "net/model.pt"},
        (),
    ),
    "one file": (Layout.TRITON, listing("model.onnx", single=True), {"model.onnx": "net/1/model.onnx"}, ()),
    "a model folder": (
        Layout.TRITON,
        listing("config.pbtxt", "3/model.pt"),
        {"config.pbtxt": "net/config.pbtxt", "3/model.pt": "net/3/model.pt"},
        (),
    ),
    "a model folder without a configuration": (
        Layout.TRITON,
        listing("1/model.onnx"),
        {"1/model.onnx": "net/1/model.onnx"},
        (),
    ),
    "an ensemble alone": (Layout.TRITON, listing("config.pbtxt"), {"config.pbtxt": "net/config.pbtxt"}, ("net/1",)),
    "a version folder that the store names": (
        Layout.TRITON,
        listing("config.pbtxt", folders=("1",)),
        {"config.pbtxt": "net/config.pbtxt"},
        ("net/1",),
    ),
    "a repository with an ensemble": (
        Layout.TRITON,
        listing("pre/config.pbtxt", "pre/1/model.py", "net/config.pbtxt"),
        {
            "pre/config.pbtxt": "pre/config.pbtxt",
            "pre/1/model.py": "pre/1/model.py",
            "net/config.pbtxt": "net/config.pbtxt",
        },
        ("net/1",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_places(case: str) -> None:
    """Each shape has one place."""
    layout, found, places, folders = CASES[case]
    arrangement = arrange(layout, found, "net", "s3://b/m")
    assert (arrangement.places, arrangement.folders) == (places, folders)


@pytest.mark.parametrize(
    ("layout", "found", "name", "word"),
    [
        (Layout.TORCHSERVE, listing("a.mar", "b.mar"), "net", "2 archives"),
        (Layout.TORCHSERVE, listing("model.pt"), "net", "no .mar archive"),
        (Layout.TRITON, listing("readme", "docs/x"), "net", "no Triton model"),
        (
            Layout.TRITON,
            listing("docs/x", "pre/config.pbtxt", "all/1/model.py"),
            "net",
            "without the folder net; set modelName to one of the folders found: all, pre$",
        ),
        (Layout.TRITON, listing("docs/x", "net/x", "pre/1/x"), "net", "one of the folders found: pre$"),
        (Layout.TRITON, listing(*(f"m{n}/1/x" for n in range(300))), "net", "m0, m1, .* and 292 more$"),
        (Layout.TRITON, listing("1/model"), None, "cannot be a file name"),
        (Layout.TRITON, listing("1/model"), "../net", "cannot be a file name"),
    ],
)
def test_shapes_that_no_server_loads(layout: Layout, found: Listing, name: str | None, word: str) -> None:
    """They are refused with what was found."""
    with pytest.raises(FetchError, match=word):
        arrange(layout, found, name, "s3://b/m")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name: "a"\n', 'name: "net"\n'),
        (
            "# name: 'x'\nplatform: \"name: y\" name : 'a' # why\n",
            '# name: \'x\'\nplatform: "name: y" name : "net" # why\n',
        ),
        ('input [ { name: "in" } ]\nname: "a"', 'input [ { name: "in" } ]\nname: "net"'),
        ('input { name: "in" dims: [ 1 ] }', 'input { name: "in" dims: [ 1 ] }'),
        ('name: "a" "b"\n', 'name: "net" \n'),
        ('name:\n  "a\\"b"', 'name:\n  "net"'),
        ("", ""),
    ],
)
def test_only_the_models_own_name_changes(text: str, expected: str) -> None:
    """Names of inputs, in strings and in comments stay."""
    assert rename(text, "net") == expected


def test_a_model_folder_of_the_store(s3: S3Server, bucket: str, to: Path) -> None:
    """Its configuration keeps its content but takes the model's name."""
    s3.put(bucket, "m/config.pbtxt", b'name: "old" # mine\ninput { name: "x" }\n')
    s3.put(bucket, "m/1/model.onnx", b"onnx")
    args = ("--endpoint", s3.endpoint, "--layout", "triton", "--model-name", "net")
    assert fetch(to, f"s3://{bucket}/m", *args).code == 0
    config = b'name: "net" # mine\ninput { name: "x" }\n'
    assert tree(to) == {"net/config.pbtxt": config, "net/1/model.onnx": b"onnx"}


def test_an_overlay_is_used_only_where_the_store_has_nothing(
    s3: S3Server, bucket: str, to: Path, tmp_path: Path
) -> None:
    """The operator's configuration never replaces the user's; an ensemble gets its empty version folder."""
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "config.pbtxt").write_text('name: "net" # operator\n')
    s3.put(bucket, "bare/1/model.onnx", b"onnx")
    s3.put(bucket, "own/config.pbtxt", b'name: "net" # user\n')
    args = ("--endpoint", s3.endpoint, "--layout", "triton", "--model-name", "net", "--overlay", str(overlay))
    assert fetch(to, f"s3://{bucket}/bare", *args).code == 0
    assert tree(to)["net/config.pbtxt"] == b'name: "net" # operator\n'
    assert fetch(to, f"s3://{bucket}/own", *args).code == 0
    assert tree(to) == {"net/config.pbtxt": b'name: "net" # user\n'}
    assert (to / "net/1").is_dir()


def test_the_message_tells_where_the_configuration_came_from(
    s3: S3Server, bucket: str, to: Path, tmp_path: Path
) -> None:
    """`store` or `overlay`, also when a restarted container finds everything there; nothing where there is none."""
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "config.pbtxt").write_text('name: "net"\n')
    s3.put(bucket, "bare/1/model.onnx", b"onnx")
    s3.put(bucket, "own/config.pbtxt", b'name: "old"\n')
    s3.put(bucket, "several/net/config.pbtxt", b'name: "net"\n')
    s3.put(bucket, "several/pre/1/model.py", b"python")
    s3.put(bucket, "bare-several/net/1/model.onnx", b"onnx")
    args = ("--endpoint", s3.endpoint, "--layout", "triton", "--model-name", "net")
    for folder, source in (("bare", "overlay"), ("own", "store"), ("several", "store"), ("bare-several", "overlay")):
        target = to.with_name(folder)
        first = fetch(target, f"s3://{bucket}/{folder}", *args, "--overlay", str(overlay))
        second = fetch(target, f"s3://{bucket}/{folder}", *args, "--overlay", str(overlay))
        assert (first.code, first.message["config"], second.message["config"]) == (0, source, source), first.log
        assert (target / "net/config.pbtxt").read_bytes() == b'name: "net"\n'
        assert not (target / "pre/config.pbtxt").exists()
    assert "config" not in fetch(to, f"s3://{bucket}/bare", *args).message


def test_a_repository_without_the_model_is_refused(s3: S3Server, bucket: str, to: Path) -> None:
    """Triton would start and never have the model; the message tells what the names are."""
    s3.put(bucket, "m/pre/1/model.py", b"python")
    s3.put(bucket, "m/all/config.pbtxt", b'name: "all"')
    result = fetch(to, f"s3://{bucket}/m", "--endpoint", s3.endpoint, "--layout", "triton", "--model-name", "net")
    assert (result.code, result.message["reason"]) == (15, "Invalid")
    assert result.message["message"].endswith("; set modelName to one of the folders found: all, pre")
    assert tree(to) == {}


def test_one_archive_becomes_the_models(s3: S3Server, bucket: str, to: Path) -> None:
    """TorchServe finds NAME.mar; what else lies in the folder is not read."""
    s3.put(bucket, "m/resnet.mar", b"mar")
    s3.put(bucket, "m/README.md", b"text")
    args = ("--endpoint", s3.endpoint, "--layout", "torchserve", "--model-name", "squeezenet1_1")
    assert fetch(to, f"s3://{bucket}/m", *args).bytes["origin"] == 3
    assert tree(to) == {"squeezenet1_1.mar": b"mar"}
