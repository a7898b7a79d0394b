"""The programs of `make tools-NAME` start and answer; skipped by the tier's name where they are not built."""

import subprocess

import pytest

from tests.cluster import build


def _say(name: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all output of a program that is built."""
    command = (str(build.ensure([name])[name]), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.mesh
def test_istiod_answers() -> None:
    """Istiod says its version, without which proxies take it for another release, and knows the flags of a plain start."""
    code, text = _say("istiod", "version", "--short")
    assert code == 0, text
    assert "client version: 1.31.0\n" in text
    code, text = _say("istiod", "discovery", "--help")
    assert code == 0
    assert "--kubeconfig" in text
    assert "--grpcAddr" in text


@pytest.mark.adapter
@pytest.mark.parametrize(
    ("name", "flag", "rights"),
    [
        ("prometheus-adapter", "metrics-relist-interval", "manifests/cluster-role.yaml"),
        ("metrics-server", "metric-resolution", "base/rbac.yaml"),
        (
            "prometheus-operator",
            "prometheus-instance-namespaces",
            "prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ),
    ],
)
def test_servers_of_metrics_answer(name: str, flag: str, rights: str) -> None:
    """Each starts and names a flag that tests set; the manifests with its rights or its kinds lie beside it."""
    _code, text = _say(name, "--help")
    assert f"-{flag}" in text, text
    assert (build.ensure([name])[name].parent / rights).exists()


@pytest.mark.keda
@pytest.mark.parametrize(
    ("name", "flag"), [("keda-operator", "metrics-service-bind-address"), ("keda-adapter", "metrics-service-address")]
)
def test_keda_answers(name: str, flag: str) -> None:
    """Operator and adapter start and name the flag through which they find each other."""
    _code, text = _say(name, "--help")
    assert f"--{flag}" in text, text


@pytest.mark.p2p
@pytest.mark.parametrize("program", build.TOOLS["dfdaemon"].programs)
def test_dragonfly_answers(program: str) -> None:
    """The daemon finds the library that lies beside it, and both programs say the version that Cargo.lock pins."""
    daemon = build.ensure(["dfdaemon"])["dfdaemon"]
    done = subprocess.run([daemon.with_name(program), "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert build.TOOLS["dfdaemon"].version.removeprefix("v") in done.stdout
