"""An image that Pantala does not know: anything that serves HTTP."""

from pathlib import Path

import pytest

from pantala.runtimes.images import TRITON
from tests.cluster.addons import models
from tests.cluster.addons.service import http
from tests.e2e.support import BUCKET, Space

pytestmark = pytest.mark.e2e

PORT = 8700
SERVE = """
import http.server, os, socketserver

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/whoami":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(os.environ["PANTALA_MODEL_NAME"].encode())
        elif self.path == "/numbers":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"custom_up 1\\n")
        else:
            super().do_GET()

os.chdir(os.environ["PANTALA_MODEL_DIR"])
print("serving", os.sys.argv[1:], flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_any_image_serves_the_weights(space: Space, tmp_path: Path) -> None:
    """The command, its arguments and variables, ports, health path and metrics of spec.runtime.custom reach the server.

    It finds the weights as they are in the store, and the name for clients in its environment.
    """
    space.s3.put_folder(BUCKET, "custom", models.triton_add(tmp_path, "custom"))
    custom = {
        "port": PORT,
        "healthPath": "/config.pbtxt",
        "grpcPort": PORT + 1,
        "metricsPort": PORT,
        "metricsPath": "/numbers",
        "command": ["python3", "-c", SERVE],
    }
    runtime = {
        "name": "custom",
        "image": TRITON,
        "custom": custom,
        "args": ["--an-argument"],
        "env": [{"name": "PORT", "value": str(PORT)}],
    }
    space.apply("custom", space.spec("custom", "custom/", runtime=runtime, modelName="my_model"))
    found = space.wait_ready("custom")
    assert set(found["nodePort"]) == {"http", "grpc"}
    url = space.url("custom")
    assert http("GET", f"{url}/1/model.py")[2] == (tmp_path / "custom/1/model.py").read_bytes()
    assert http("GET", f"{url}/whoami")[2] == b"my_model"
    (pod,) = space.pods("custom")
    notes = pod["metadata"]["annotations"]
    assert notes["prometheus.io/port"] == str(PORT)
    address = f"http://{pod['status']['podIP']}:{notes['prometheus.io/port']}{notes['prometheus.io/path']}"
    assert http("GET", address)[2] == b"custom_up 1\n"
    assert "--an-argument" in space.kubectl("logs", pod["metadata"]["name"], "-c", "server")
    (container,) = pod["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == "/config.pbtxt"
