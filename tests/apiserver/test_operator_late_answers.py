"""Answers of the API server that come after the news of what happened since."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.apiserver.api_proxy import Request, Rule
from tests.apiserver.operator_process import Installation
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver

NAME, SERVICE = "late", "late-v1"


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


def test_what_was_deleted_before_the_answer_came_is_made_again(installation: Installation) -> None:
    """A Service is deleted while the operator waits for the answer to its apply, and its watch tells of that first."""
    operator, space = installation.start().wait("leader"), installation.space
    heard = partial(operator.metric, 'pantala_watch_events_total{resource="services"}')
    before = heard()

    def delete(_: Request) -> None:
        space.delete("Service", SERVICE)
        # Of this Service that it came and that it went, and that the model's own came, which is made at the same time.
        wait_for(lambda: heard() >= before + 3, "the watch told", 60, every=0.05)

    rule = Rule(method="PATCH", path=rf"/services/{SERVICE}\?", times=1, after=delete)
    installation.proxy.add(rule)
    space.model(NAME)
    space.wait(lambda: rule.hits == 1, "the apply")
    space.wait_ready(NAME)
    space.wait(lambda: space.get("Service", SERVICE) is not None, "the Service is there again")
