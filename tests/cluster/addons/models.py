"""Small models for real servers: good ones, and ones that each server refuses in its own way.

Every function writes below a folder that it makes and returns what was made; `S3Server.put_folder` stores it.
"""

import io
import json
import zipfile
from pathlib import Path

_ADD = """
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        found = [[pb.get_input_tensor_by_name(one, name).as_numpy() for name in "AB"] for one in requests]
        return [pb.InferenceResponse([pb.Tensor("C", (a + b).astype(np.int32))]) for a, b in found]
"""
_AUTO = """
    @staticmethod
    def auto_complete_config(config):
        for name in "AB":
            config.add_input({"name": name, "data_type": "TYPE_INT32", "dims": [4]})
        config.add_output({"name": "C", "data_type": "TYPE_INT32", "dims": [4]})
        config.set_max_batch_size(0)
        return config
"""
_RAISES = """
class TritonPythonModel:
    def initialize(self, args):
        raise RuntimeError("no weights in this model")
"""
_TENSORS = """input [{name: "A" data_type: TYPE_INT32 dims: [4]}, {name: "B" data_type: TYPE_INT32 dims: [4]}]
output [{name: "C" data_type: TYPE_INT32 dims: [4]}]
"""
_STEP = """{model_name: "%s" model_version: -1
   input_map [{key: "A" value: "%s"}, {key: "B" value: "%s"}] output_map [{key: "C" value: "%s"}]}"""
_SUM = """
import json


def handle(data, context):
    if data is None:
        return None
    bodies = [row.get("body") if row.get("body") is not None else row.get("data") for row in data]
    parsed = [json.loads(body) if isinstance(body, (bytes, bytearray)) else body for body in bodies]
    return [{"sum": sum(numbers)} for numbers in parsed]
"""
_NET = """
import torch
from ts.torch_handler.base_handler import BaseHandler


class Net(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([row.get("body") or row.get("data") for row in data], dtype=torch.float32)

    def postprocess(self, output):
        return output.tolist()
"""
_SCRIPTED = {
    "net/data.pkl": b"\x80\x02c__torch__\nN\nq\x00)\x81}(X\x08\x00\x00\x00trainingq\x01\x88X\x16\x00\x00\x00_is_full_backward_hookq\x02Nub.",
    "net/code/__torch__.py": b"""class N(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.N,
    x: Tensor) -> Tensor:
    return torch.sum(x, [1])
""",
    "net/constants.pkl": b"\x80\x02).",
    "net/version": b"3\n",
}
"""What `torch.jit.script(module).save(path)` writes for `x.sum(dim=1)`: making a model needs no PyTorch."""
_TIME = (2026, 1, 1, 0, 0, 0)
"""One time for all files of archives: equal models have equal digests."""
TRITON_REQUEST = {
    "inputs": [
        {"name": "A", "shape": [4], "datatype": "INT32", "data": [1, 2, 3, 4]},
        {"name": "B", "shape": [4], "datatype": "INT32", "data": [10, 20, 30, 40]},
    ]
}
"""Body for `POST /v2/models/NAME/infer` of the Triton models; the answer is in `outputs[0].data`."""
TRITON_ANSWER = [11, 22, 33, 44]
"""What `triton_add` answers to it; the ensemble adds A once more."""
TRITON_ENSEMBLE_ANSWER = [12, 24, 36, 48]


def triton_add(folder: Path, name: str = "add", *, config: bool = True, version: int = 1, padding: int = 0) -> Path:
    """Write a Triton model that adds two vectors of four integers; return its folder `folder/name`.

    Args:
        folder: where to write.
        name: the model's name, and that in its configuration.
        config: whether there is a config.pbtxt; without one the server asks the model.
        version: the number of its version folder.
        padding: bytes of a file `weights.bin` beside the code, for downloads that take a while.
    """
    code = _ADD if config else _ADD + _AUTO
    model = _write(folder / name, {f"{version}/model.py": code})
    if config:
        (model / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "python"\nmax_batch_size: 0\n{_TENSORS}')
    if padding:
        with (model / str(version) / "weights.bin").open("wb") as weights:
            weights.truncate(padding)
    return model


def triton_ensemble(folder: Path, name: str = "ensemble", *, version_folder: bool = False) -> Path:
    """Write a Triton repository of two models and the ensemble `name` of them, (A + B) + A; return `folder`.

    The ensemble has a configuration alone: Triton wants an empty folder `1` in it, which object stores cannot hold;
    it is made if `version_folder` is set.
    """
    for member in ("first", "second"):
        triton_add(folder, member)
    steps = ",\n  ".join((_STEP % ("first", "A", "B", "AB"), _STEP % ("second", "AB", "A", "C")))
    scheduling = f"ensemble_scheduling {{ step [\n  {steps}\n] }}\n"
    text = f'name: "{name}"\nplatform: "ensemble"\nmax_batch_size: 0\n{_TENSORS}{scheduling}'
    _write(folder / name, {"config.pbtxt": text})
    if version_folder:
        (folder / name / "1").mkdir()
    return folder


def broken_triton_code(folder: Path, name: str = "broken") -> Path:
    """Write a Triton model whose code raises `no weights in this model` when it is loaded."""
    model = triton_add(folder, name)
    (model / "1/model.py").write_text(_RAISES)
    return model


def broken_triton_config(folder: Path, name: str = "broken") -> Path:
    """Write a Triton model whose config.pbtxt is no protobuf text."""
    model = triton_add(folder, name)
    (model / "config.pbtxt").write_text(f'name: "{name}" nonsense {{{{\n')
    return model


def broken_triton_backend(folder: Path, name: str = "broken") -> Path:
    """Write a Triton model of a backend that no image has."""
    model = triton_add(folder, name)
    (model / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "nosuch"\nmax_batch_size: 0\n{_TENSORS}')
    return model


def torchserve_sum(folder: Path, name: str = "sum", *, padding: int = 0) -> Path:
    """Write an archive whose handler answers `[1, 2, 3]` with `{"sum": 6}`, in plain Python; return its path."""
    extra = {"weights.bin": bytes(padding)} if padding else {}
    return _archive(folder / f"{name}.mar", name, _SUM, extra)


def torchserve_net(folder: Path, name: str = "net") -> Path:
    """Write an archive with a scripted PyTorch module: `[1, 2, 3]` is answered with `6.0`."""
    module = io.BytesIO()
    with zipfile.ZipFile(module, "w") as archive:
        for member, content in _SCRIPTED.items():
            archive.writestr(zipfile.ZipInfo(member, _TIME), content)
    return _archive(folder / f"{name}.mar", name, _NET, {"net.pt": module.getvalue()}, serialized="net.pt")


def torchserve_unpacked(folder: Path, name: str = "sum") -> Path:
    """Write `torchserve_sum` as an unpacked archive, a folder with MAR-INF; return it."""
    archive = torchserve_sum(folder, name)
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder / name)
    archive.unlink()
    return folder / name


def broken_torchserve_code(folder: Path, name: str = "broken") -> Path:
    """Write an archive whose handler raises `no weights in this model` when it is loaded."""
    code = 'def handle(data, context):\n    if data is None:\n        raise RuntimeError("no weights in this model")\n'
    return _archive(folder / f"{name}.mar", name, code, {})


def broken_torchserve_import(folder: Path, name: str = "broken") -> Path:
    """Write an archive whose handler imports a module that no image has."""
    return _archive(folder / f"{name}.mar", name, "import nosuchmodule\n" + _SUM, {})


def broken_torchserve_archive(folder: Path, name: str = "broken") -> Path:
    """Write a .mar that is no zip file."""
    return _write(folder, {f"{name}.mar": "no zip file"}) / f"{name}.mar"


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def _archive(path: Path, name: str, handler: str, extra: dict[str, bytes], serialized: str = "") -> Path:
    """Write what `torch-model-archiver` writes: a zip with the handler and a manifest."""
    model = {"modelName": name, "handler": "handler.py", "modelVersion": "1.0"}
    model |= {"serializedFile": serialized} if serialized else {}
    manifest = {"createdOn": "01/01/2026 00:00:00", "runtime": "python", "model": model, "archiverVersion": "0.12.0"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        files = {
            "MAR-INF/MANIFEST.json": json.dumps(manifest, indent=2).encode(),
            "handler.py": handler.encode(),
            **extra,
        }
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member, _TIME), content)
    return path
