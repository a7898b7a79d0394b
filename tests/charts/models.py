"""Two tiny models that multiply: one for Triton's python backend, one for TorchServe."""

import io
import json
import zipfile
from typing import Any

from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http

BUCKET = "chart-models"

_TRITON = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(request, "IN").as_numpy() * FACTOR)]
            )
            for request in requests
        ]
"""
_PBTXT = """
backend: "python"
max_batch_size: 0
input [{ name: "IN" data_type: TYPE_FP32 dims: [1] }]
output [{ name: "OUT" data_type: TYPE_FP32 dims: [1] }]
"""
_HANDLER = """
import json


def handle(data, context):
    if data is None:
        return None
    rows = [row.get("body") or row.get("data") for row in data]
    rows = [json.loads(row) if isinstance(row, (bytes, bytearray, str)) else row for row in rows]
    return [{"OUT": row["IN"] * FACTOR} for row in rows]
"""


def upload(s3: S3Server) -> None:
    """Store the models: `triton/2/` doubles, `triton/3/` triples, `net.mar` quadruples."""
    s3.create_bucket(BUCKET)
    for factor in (2, 3):
        s3.put(BUCKET, f"triton/{factor}/config.pbtxt", _PBTXT.encode())
        s3.put(BUCKET, f"triton/{factor}/1/model.py", _TRITON.replace("FACTOR", str(factor)).encode())
    s3.put(BUCKET, "net.mar", _archive(_HANDLER.replace("FACTOR", "4")))


def _archive(handler: str) -> bytes:
    model = {"modelName": "net", "handler": "handler.py", "modelVersion": "1.0"}
    manifest = {"runtime": "python", "model": model, "archiverVersion": "0.12.0", "createdOn": "01/01/2026 00:00:00"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.writestr("handler.py", handler)
    return packed.getvalue()


def ask_triton(base: str, model: str, value: float) -> float:
    """A prediction of Triton's, by the inference protocol."""
    tensor = {"name": "IN", "shape": [1], "datatype": "FP32", "data": [value]}
    answer = _post(f"{base}/v2/models/{model}/infer", {"inputs": [tensor]})
    return float(answer["outputs"][0]["data"][0])


def ask_torchserve(base: str, model: str, value: float) -> float:
    """A prediction of TorchServe's."""
    return float(_post(f"{base}/predictions/{model}", {"IN": value})["OUT"])


def _post(url: str, body: Any) -> Any:
    status, _, content = http("POST", url, json.dumps(body).encode(), {"Content-Type": "application/json"}, 10)
    assert status == 200, f"{url} answered {status}: {content[:500]!r}"
    return json.loads(content)
