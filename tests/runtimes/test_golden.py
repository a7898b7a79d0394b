"""The whole of what each runtime contributes, as files."""

import dataclasses

import pytest

from tests.golden import assert_golden
from tests.runtimes.build import server

CUSTOM = {"port": 9000, "healthPath": "/healthz"}
CASES = {
    "triton-plain": {"name": "triton"},
    "triton-full": {
        "name": "triton",
        "args": ["--log-verbose=1"],
        "env": [{"name": "OMP_NUM_THREADS", "value": "4"}],
        "batching": {"maxSize": 8, "maxDelay": "30ms"},
        "workers": 2,
        "config": {"buffer-manager-thread-count": "2", "log-info": "true"},
        "startupTimeout": "90s",
    },
    "triton-cards": {"name": "triton", "workers": 3},
    "torchserve-plain": {"name": "torchserve"},
    "torchserve-full": {
        "name": "torchserve",
        "args": ["--foreground"],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "api"}}}],
        "batching": {"maxSize": 8, "maxDelay": "30ms"},
        "workers": 2,
        "config": {"job_queue_size": "1000", "default_response_timeout": "300"},
        "startupTimeout": "1h",
    },
    "custom-plain": {"name": "custom", "custom": CUSTOM},
    "custom-full": {
        "name": "custom",
        "args": ["--verbose"],
        "custom": CUSTOM
        | {"grpcPort": 9001, "metricsPort": 9002, "metricsPath": "/prom", "command": ["python", "-m", "server"]},
    },
}


CARDS = {"triton-cards": 2}
"""Cards that the server of a case sees. Default: none."""


@pytest.mark.parametrize("case", CASES)
def test_server_parts(case: str) -> None:
    """A runtime contributes exactly the container, ports, volumes and files that were reviewed."""
    cards = CARDS.get(case, 0)
    spec = {"accelerator": {"count": cards}} if cards else {}
    parts = server(CASES[case], cards=cards, **spec)
    files = dict(parts.files)
    rest = dataclasses.asdict(dataclasses.replace(parts, files=sorted(files)))
    assert_golden(f"{case}/server.yaml", as_lists(rest))
    for name, text in files.items():
        assert_golden(f"{case}/{name}", text)


def as_lists(value: object) -> object:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_lists(item) for item in value]
    return value
