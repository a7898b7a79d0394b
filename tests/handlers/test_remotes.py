"""Whether Prometheus is asked the queries that users wrote, and with whose credential."""

import pytest

from pantala.handlers.remotes import asks_for_users
from pantala.manifest.settings import AutoscalingSettings, Settings

OWN = AutoscalingSettings(keda_authentication=("ClusterTriggerAuthentication", "prometheus"))


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
