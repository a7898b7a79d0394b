"""`pantala gpus` where there is nothing to count: the oldest supported API server, without nodes."""

import json
import subprocess

import pytest

from tests.cli.conftest import PROGRAM
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver


def test_nothing(api_server_1_31: Cluster) -> None:
    """A cluster without cards, and without DynamicResourceAllocation, is told what to install; that is no error."""
    command = [PROGRAM, "gpus", "--kubeconfig", str(api_server_1_31.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("No node offers cards. Install what hands them out: ")
    listed = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(listed.stdout) == {"resources": [], "totals": [], "notes": [], "refused": []}
    assert listed.stderr == ""
