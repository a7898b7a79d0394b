"""The HPAs of all measures on real API servers: taken as they are written, and found again as they were written."""

import pytest
from kubernetes.config import new_client_from_config

from pantala.manifest.contains import missing
from tests.apiserver.models import Api
from tests.autoscaling.build import FOR_HPA, made_hpa
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver

HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


def check(api: Api) -> None:
    """Write each, in place of the one before, and read it back."""
    for case in FOR_HPA:
        made = made_hpa(case)
        here = {**made, "metadata": {**made["metadata"], "namespace": "default"}}
        path = f"{HPAS}/{made['metadata']['name']}"
        written = api.apply(path, here, fieldValidation="Strict")
        assert written["kind"] != "Status", (case, written)
        found = api.call("GET", path)
        assert missing(here, found) is None, case
        assert api.apply(path, here)["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"], case
    api.call("DELETE", f"{HPAS}/{made_hpa(FOR_HPA[0])['metadata']['name']}")


def test_newest_server(api: Api) -> None:
    """Several metrics keep their order, quantities and windows their values; a second write changes nothing."""
    check(api)


def test_oldest_server(api_server_1_31: Cluster) -> None:
    """The same on the oldest supported one."""
    with new_client_from_config(str(api_server_1_31.kubeconfig)) as client:
        check(Api(client))
