"""What is imported only by those who use it."""

import subprocess
import sys

SCRIPT = """
import sys
import pantala.handlers.operator
from pantala.handlers import remotes
from pantala.manifest.settings import Settings

found = remotes.measurer(None, Settings(prometheus_url=sys.argv[1] or None), print)
print(found is not None, "prometheus_api_client" in sys.modules)
"""


def test_prometheus() -> None:
    """The client of Prometheus costs nothing where no address is set, and is there where one is."""

    def run(url: str) -> str:
        command = [sys.executable, "-c", SCRIPT, url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert run("") == "False False"
    assert run("http://prometheus.example.com:9090") == "True True"
