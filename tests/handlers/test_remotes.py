"""Who is asked beside the API server: only who is configured, and with whose credential."""

import subprocess
import sys

import pytest

from pantala.handlers.remotes import asks_for_users
from pantala.manifest.settings import AutoscalingSettings, Settings

OWN = AutoscalingSettings(keda_authentication=("ClusterTriggerAuthentication", "prometheus"))

SCRIPT = """
import sys
import pantala.handlers.operator
from pantala.handlers import remotes
from pantala.manifest.settings import Settings

found = remotes.measurer(None, Settings(prometheus_url=sys.argv[1] or None), print)
print(found is not None, "prometheus_api_client" in sys.modules)
"""


@pytest.mark.parametrize(
    ("url", "token_file", "open_to_all"),
    [
        ("http://prometheus:9090", None, True),
        ("http://prometheus:9090/a@b", None, True),
        ("http://prometheus:9090", "/token", False),
        ("https://me:secret@prometheus", None, False),
        ("https://TOKEN:@prometheus", None, False),
        ("https://TOKEN@prometheus", None, False),
        ("https://:secret@prometheus", None, False),
    ],
)
def test_the_operators_credential_answers_no_user(url: str, token_file: str | None, *, open_to_all: bool) -> None:
    """Where the operator says who it is, it asks no user's query: unless KEDA has a credential too, and so users may ask."""
    assert asks_for_users(Settings(prometheus_url=url, prometheus_token_file=token_file)) is open_to_all
    assert asks_for_users(Settings(prometheus_url=url, prometheus_token_file=token_file, autoscaling=OWN))


def test_nothing_is_imported_without_prometheus() -> None:
    """The client of Prometheus costs nothing where no address is set, and is there where one is."""

    def run(url: str) -> str:
        command = [sys.executable, "-c", SCRIPT, url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert run("") == "False False"
    assert run("http://prometheus.example.com:9090") == "True True"
