"""`pantala top` on a real API server: with the real Prometheus Adapter and HPA controller, a real operator, and recorded series."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pantala.autoscaling import signals
from pantala.cli import custom_metrics
from pantala.cli.access import connect
from pantala.cli.custom_metrics import Question
from pantala.cli.main import main
from tests.apiserver.api_proxy import ApiProxy, Rule
from tests.charts import rights
from tests.cli.conftest import NAMESPACE, PROGRAM, Done, Installation
from tests.cli.test_live import model
from tests.cluster.addons import loopback
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.audit import AuditLog
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.adapter, pytest.mark.apiserver]

ROOT = Path(__file__).parents[2]
RIGHTS = ROOT / custom_metrics.RIGHTS
RULES = yaml.safe_load((ROOT / "charts/pantala/files/rules/adapter.yaml").read_text())
METRICS = [{"type": "GPUUtilization", "target": 70}, {"type": "QueueLength", "target": 4}]
UNKNOWN = r"/busy +v1 +2/2 +1-2 +(-|91 %) +- +- +(-|3) +-"
"""A line without what the adapter tells: what the autoscaler read is known for as long as it has it."""
BUSY: dict[str, Any] = {"accelerator": {"provider": "nvidia"}, "scaling": {"maxReplicas": 2, "metrics": METRICS}}


@dataclass(frozen=True)
class Shop:
    """Two models, the exporter of what is recorded of them, Prometheus, and the adapter."""

    at: Installation
    exporter: Exporter
    prometheus: Prometheus
    adapter: PrometheusAdapter

    def pods(self, name: str) -> list[str]:
        """Names of the pods of a model."""
        listed = self.at.kubectl("get", "pods", "-l", f"pantala.dev/model={name}", "-o", "name").split()
        return sorted(pod.removeprefix("pod/") for pod in listed)

    def play(self) -> None:
        """Let every pod that there is now have figures; the first has other ones than the rest."""
        text = series(signals.SERVICE_REQUESTS, 7.5, {"namespace": NAMESPACE, "service": "echo-v1"})
        for index, pod in enumerate(self.pods("busy")):
            values = {
                signals.GPU_UTILIZATION: 81 + 20 * index,
                signals.GPU_MEMORY: 40,
                signals.REQUESTS: 60,
                signals.QUEUE_LENGTH: 1.5,
                signals.QUEUE_TIME: 12.5,
            }
            text += "".join(series(name, value, {"namespace": NAMESPACE, "pod": pod}) for name, value in values.items())
        self.exporter.text = text

    def top(self, *arguments: str, kubeconfig: Path | None = None) -> Done:
        """Run the command in the namespace."""
        options = [] if "-A" in arguments else ["-n", NAMESPACE]
        command = ["top", *arguments, *options, "--kubeconfig", str(kubeconfig or self.at.cluster.kubeconfig)]
        # In this process, since a start of Python takes longer than everything that it then does here.
        done = CliRunner().invoke(main, command)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def version(self, name: str) -> dict[str, Any]:
        """The one version of a model, as JSON."""
        done = self.top(name, "-o", "json")
        assert done.code == 0, done.err
        found: dict[str, Any] = json.loads(done.out)["models"][0]["versions"][0]
        return found


@pytest.fixture(scope="module")
def shop(installation: Installation) -> Iterator[Shop]:
    """`busy` with cards, scaled by them, and `echo`, whose requests the mesh counts; both ready, and the series known."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    custom = {"name": "custom", "image": "example.com/echo:1", "custom": {"port": 8080}}
    installation.kubectl("apply", "-f", "-", stdin=model("busy", **BUSY))
    installation.kubectl("apply", "-f", "-", stdin=model("echo", runtime=custom))
    with (
        Exporter() as exporter,
        Prometheus({"scrape_configs": [exporter.scrape_job(honor_labels=True)]}) as prometheus,
        PrometheusAdapter(installation.cluster, prometheus.url, RULES) as adapter,
    ):
        made = Shop(installation, exporter, prometheus, adapter)

        def settled() -> bool:
            made.play()
            return len(adapter.pods(NAMESPACE, signals.QUEUE_LENGTH)) == 2

        try:
            installation.kubectl("wait", "--for=condition=Ready", "imodel/busy", "imodel/echo", "--timeout=60s")
            wait_for(settled, "two pods of busy with figures", 60, every=0.3)
            yield made
        finally:
            installation.kubectl("delete", "imodel", "busy", "echo", "--ignore-not-found")
            installation.cluster.kubectl("delete", "clusterrole", "pantala-top", "--ignore-not-found")


def test_figures(shop: Shop) -> None:
    """The figures are those of the series, folded over the pods; the autoscaler's are what the real controller computed."""
    scaled: list[dict[str, Any]] = []

    def reached() -> bool:
        scaled[:] = [shop.version("busy")]
        measures = scaled[0]["autoscaler"]["measures"]
        return bool(measures[0]["value"] == 91 and scaled[0]["readyReplicas"] == 2)

    wait_for(reached, "the mean of two pods", 60)
    (found,) = scaled
    first, second = shop.pods("busy")
    assert (found["gpuUtilization"], found["gpuMemory"]) == (91, 40)
    assert (found["requestsPerSecond"], found["queueLength"], found["queueMilliseconds"]) == (120, 3, 12.5)
    assert (found["minReplicas"], found["maxReplicas"], found["desiredReplicas"]) == (1, 2, 2)
    told = {pod["name"]: (pod["ready"], pod["gpuUtilization"]) for pod in found["pods"]}
    assert told == {first: (True, 81), second: (True, 101)}
    scaler = found["autoscaler"]
    assert (scaler["engine"], scaler["desiredReplicas"], scaler["decisive"]) == ("HPA", 2, "GPUUtilization")
    assert scaler["measures"] == [
        {"name": "GPUUtilization", "value": 91, "target": 70},
        {"name": "QueueLength", "value": 1.5, "target": 4},
    ]
    assert scaler["lastScale"]["time"]


def test_service(shop: Shop) -> None:
    """Requests of a server that does not count them are those of its Service; what nobody knows is null."""
    found = shop.version("echo")
    assert found["requestsPerSecond"] == 7.5
    assert (found["queueLength"], found["gpuUtilization"], found["autoscaler"]) == (None, None, None)


def test_table(shop: Shop) -> None:
    """The table has a line for each model, in all namespaces too, in the order that was asked for."""
    for where in ((), ("-A",)):
        done = shop.top("--sort-by", "gpu", *where)
        assert (done.code, done.err) == (0, "")
        lines = [line.split() for line in done.out.splitlines()]
        assert lines[1][:9] == f"{NAMESPACE}/busy v1 2/2 1-2 91 % 40 % 120".split()
        assert any(line[0] == f"{NAMESPACE}/echo" for line in lines)


def test_rights(shop: Shop) -> None:
    """Who may view the namespace sees models and autoscalers; the manifest adds the figures, and no right that is not used."""
    user = shop.at.cluster.user("top-viewer")
    kubectl = shop.at.kubectl
    kubectl("create", "role", "top-models", "--verb=get,list", "--resource=inferencemodels.pantala.dev")
    kubectl("create", "rolebinding", "top-models", "--role=top-models", "--user=top-viewer")
    refused = shop.top(kubeconfig=user)
    assert (refused.code, refused.out.count(f"{NAMESPACE}/busy")) == (2, 1 if refused.out else 0)
    kubectl("create", "rolebinding", "top-view", "--clusterrole=view", "--user=top-viewer")
    # RBAC hears of new roles a moment later.
    wait_for(lambda: "You may not list" not in shop.top(kubeconfig=user).err, "view is known", 30)
    refused = shop.top(kubeconfig=user)
    assert refused.code == 2
    (line,) = refused.err.splitlines()
    assert line.startswith(
        "You may not get pods/pantala_gpu_memory, pods/pantala_gpu_utilization, pods/pantala_queue_length"
    )
    assert line.endswith(f"`kubectl apply -f {custom_metrics.RIGHTS}`.")
    assert re.search(UNKNOWN + r" +2 +GPUUtilization 91/70 ", refused.out)
    shop.at.cluster.kubectl("apply", "-f", str(RIGHTS))
    wait_for(lambda: shop.top(kubeconfig=user).code == 0, "the rights are known", 30)
    assert shop.at.cluster.audit is not None
    log = AuditLog(shop.at.cluster.audit)
    since = log.mark()
    assert " 91 % " in shop.top(kubeconfig=user).out
    used = {right for right in rights.used(log.calls(since, user="top-viewer")) if right[1] == custom_metrics.GROUP}
    assert used == rights.granted([yaml.safe_load(RIGHTS.read_text())])


def test_no_rights_at_all(shop: Shop) -> None:
    """Who may not read models is told so in one line."""
    done = shop.top(kubeconfig=shop.at.cluster.user("top-nobody"))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert 'cannot list resource "inferencemodels"' in done.err


def test_unknown_model(shop: Shop) -> None:
    """A model that is not there is an error that says where to look."""
    done = shop.top("gone")
    assert (done.code, done.out) == (2, "")
    assert done.err == 'Error: inferencemodels.pantala.dev "gone" not found. `pantala status -A` lists what there is.\n'
    both = shop.top("gone", "-A")
    assert both.code == 2
    assert "exclude each other" in both.err


def test_watch(shop: Shop, tmp_path: Path) -> None:
    """Through a pipe, `--watch` prints all again when something changed; Ctrl-C ends it in order."""
    out = tmp_path / "out"
    with out.open("wb") as stream:
        process = watching(shop, stdout=stream)
    try:
        wait_for(lambda: " 91 % " in out.read_text(), "the first picture", 30)
        shop.exporter.text = shop.exporter.text.replace("} 81", "} 61")
        wait_for(lambda: " 81 % " in out.read_text(), "the second picture", 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        end(process)
        shop.play()


def test_watch_on_a_terminal(shop: Shop) -> None:
    """On a terminal the picture is drawn in place: what does not fit is cut, and Ctrl-C ends it without a traceback."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = watching(
        shop, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "60", "LINES": "3", "TERM": "xterm"}
    )
    os.close(theirs)
    seen = bytearray()

    def shows(text: str) -> bool:
        with suppress(OSError):  # nothing yet, or the command has ended and closed the terminal
            seen.extend(os.read(ours, 65536))
        return text in seen.decode(errors="replace")

    try:
        wait_for(lambda: shows("more lines"), "a cut table", 30)
        wait_for(lambda: shows("\x1b[2K"), "a second picture in the place of the first", 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        shows("")
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
        assert "Traceback" not in plain
        assert max(len(line) for line in re.split("[\r\n]+", plain)) <= 60
        assert "\x1b[?25h" in seen.decode(), "the cursor is visible again"
    finally:
        end(process)
        os.close(ours)


def watching(shop: Shop, **streams: Any) -> "subprocess.Popen[bytes]":
    """A command that watches."""
    command = [PROGRAM, "top", "-n", NAMESPACE, "--watch", "--kubeconfig", str(shop.at.cluster.kubeconfig)]
    return subprocess.Popen(
        command,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - ignored under some runners
        **streams,
    )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Whatever happened, it runs no more."""
    process.kill()
    process.wait()


async def test_an_adapter_that_hangs(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is waited for so long and no longer."""
    monkeypatch.setattr(custom_metrics, "_SECONDS", 0.5)
    proxy, never = ApiProxy(shop.at.cluster.kubeconfig), threading.Event()
    try:
        proxy.add(Rule(path=signals.QUEUE_LENGTH, hold=never))
        async with connect(str(proxy.kubeconfig(tmp_path / "proxy.kubeconfig")), None) as place:
            before = time.monotonic()
            names = (signals.QUEUE_LENGTH, signals.GPU_MEMORY)
            asked = [Question(NAMESPACE, "pods", name, "pantala.dev/model in (busy)") for name in names]
            answer = await custom_metrics.ask(place.client, asked)
            assert time.monotonic() - before < 5
    finally:
        never.set()
        proxy.stop()
    assert answer.failed
    assert answer.problem.startswith("The metrics adapter does not answer (not within ")
    assert len(answer.of(signals.GPU_MEMORY)) == 2, "what is answered counts"


def test_without_rules(shop: Shop) -> None:
    """An adapter with other rules than the chart's is told from series that no pod has; the rest of the table stands."""
    other = {**RULES["rules"][0], "seriesQuery": 'up{job!=""}'}
    try:
        shop.adapter.configure({"rules": [other]})
        done = shop.top("busy")
    finally:
        shop.adapter.configure(RULES)
        shop.adapter.wait_for_pods(NAMESPACE, signals.QUEUE_LENGTH)
    assert done.code == 0
    assert done.err.startswith("The metrics adapter offers none of Pantala's series: ")
    assert re.search(UNKNOWN, done.out)


def test_without_prometheus(shop: Shop) -> None:
    """An adapter that knows the series and cannot ask Prometheus for them is told from one that does not answer."""
    shop.prometheus.stop()
    done = shop.top("busy")
    assert done.code == 2
    assert done.err.startswith("The metrics adapter cannot ask Prometheus (500: ")
    assert re.search(UNKNOWN, done.out)


def test_without_an_adapter(shop: Shop) -> None:
    """One that is dead is an error (2); a cluster that has none is told what to install, and that is no error."""
    shop.adapter.kill()
    dead = shop.top("busy")
    shop.adapter.stop()
    without = shop.top("busy")
    assert dead.code == 2
    assert dead.err.startswith("The metrics adapter does not answer (")
    assert without.code == 0
    assert without.err.splitlines()[0].startswith("The cluster does not serve custom.metrics.k8s.io, ")
    for done in (dead, without):
        assert "Traceback" not in done.err
        assert re.search(UNKNOWN, done.out)
