"""The options that say where the measures of models are found."""

import pytest

from pantala.autoscaling import keda
from pantala.manifest.settings import AutoscalingSettings, MonitorSettings, Settings
from pantala.planner import engines
from tests.cli.installation_options import run, settings

SECRET_QUERIES = (
    "https://a/?token=hunter2",
    "https://a:1?hunter2",
    "https://a/x#hunter2",
    "https://a#hunter2",
    "https://hunter2#@a/",
    "https://a/?",
)


def test_autoscaling() -> None:
    """KEDA's way to Prometheus and the labels of dcgm-exporter, as options and as variables; an empty one is none."""
    expected = AutoscalingSettings(
        "http://p:9090/x", ("TriggerAuthentication", "prom"), "pod_name", "ns", shared_per_process=True
    )
    given = {
        "KEDA_PROMETHEUS_URL": "http://p:9090/x",
        "KEDA_AUTHENTICATION": "TriggerAuthentication/prom",
        "DCGM_POD_LABEL": "pod_name",
        "DCGM_NAMESPACE_LABEL": "ns",
        "DCGM_SHARED_PER_PROCESS": "true",
    }
    words = [f"--{name.lower().replace('_', '-')}={text}" for name, text in given.items()]
    assert settings(*words[:-1], "--dcgm-shared-per-process").autoscaling == expected
    assert settings(**given).autoscaling == expected
    assert settings(**dict.fromkeys(list(given)[:-1], "")) == Settings()
    assert settings("--keda-authentication", "prom").autoscaling.keda_authentication == (
        "ClusterTriggerAuthentication",
        "prom",
    )


def test_service_monitors() -> None:
    """None without the switch, whatever else is given; the interval is in the form that Prometheus reads."""
    rest = (
        "--service-monitor-interval=30s60ms",
        "--service-monitor-label=release=a",
        "--service-monitor-label=b.io/c=",
    )
    assert settings(*rest).service_monitor is None
    expected = MonitorSettings("30s60ms", {"release": "a", "b.io/c": ""})
    assert settings("--service-monitor", *rest).service_monitor == expected
    found = settings(
        SERVICE_MONITOR="true", SERVICE_MONITOR_INTERVAL="60s", SERVICE_MONITOR_LABELS="release=a b.io/c="
    ).service_monitor
    assert found == MonitorSettings("1m", {"release": "a", "b.io/c": ""})
    assert settings("--service-monitor").service_monitor == MonitorSettings()
    assert settings("--service-monitor", SERVICE_MONITOR_INTERVAL="").service_monitor == MonitorSettings()


def test_keda_asks_where_the_operator_does() -> None:
    """Unless it is told another place; a password in the operator's URL stays out of ScaledObjects."""
    found = settings("--prometheus-url=https://us%40er:secret@[::1]:9090/x")
    assert found.prometheus_url == "https://us%40er:secret@[::1]:9090/x"
    assert engines.prometheus(found) == keda.Prometheus("https://[::1]:9090/x")
    found = settings("--prometheus-url=http://a:1", "--keda-prometheus-url=http://b:2", "--keda-authentication=prom")
    assert found.prometheus_url == "http://a:1"
    assert engines.prometheus(found) == keda.Prometheus("http://b:2", ("ClusterTriggerAuthentication", "prom"))


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        *(("--keda-prometheus-url", text, "write it as http://HOST:PORT")
          for text in ("prometheus:9090", "ftp://a", "http://", "http://a:0", "http://a:b", "http://[::1")),
        ("--keda-prometheus-url", "http://user:hunter2@a:1", "name an authentication with --keda-authentication"),
        *(("--prometheus-url", text, "give a token by --prometheus-token-file") for text in SECRET_QUERIES),
        *(("--keda-prometheus-url", text, "give a token by --keda-authentication") for text in SECRET_QUERIES),
        ("--prometheus-url", "ftp://user:hunter2@a:1", "write it as http://HOST:PORT"),
        *(("--keda-authentication", text, "is no ClusterTriggerAuthentication/NAME or TriggerAuthentication/NAME")
          for text in ("Secret/prom", "TriggerAuthentication/", "Prom", "a/b/c", "/prom/")),
        *(("--dcgm-pod-label", text, "is no name of a label: write for example exported_pod")
          for text in ("a.b", "1a", "a-b", 'a"', "a b")),
        *(("--service-monitor-label", text, "is no LABEL=VALUE: write for example release=prometheus")
          for text in ("release", "=a", "a b=c", "a=b/c", "")),
        *(("--service-monitor-interval", text, "is not a duration: write numbers with the units")
          for text in ("15", "1d", "-1s", "1.5s", "s")),
        ("--service-monitor-interval", "0s", "is no time: write for example 15s"),
    ],
)  # fmt: skip
def test_errors(option: str, text: str, words: str) -> None:
    """What cannot be meant is refused: the message names the option and what to write, and repeats no password."""
    result = run(option, text)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output
    assert words in " ".join(result.output.split())
    assert "hunter2" not in result.output
