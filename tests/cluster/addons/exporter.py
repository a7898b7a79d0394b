"""What Prometheus scrapes in a test: series that the test writes, served as an exporter's text."""

from collections.abc import Mapping
from typing import Any

from tests.cluster.addons.answers import AnswerServer


class Exporter(AnswerServer):
    """An HTTP server of the text that it was given last; a context manager."""

    def __init__(self, text: str = "") -> None:
        """Start it on a free port of 127.0.0.1 with a text in Prometheus' format."""
        self.text = text
        """What it serves from the next scrape on."""
        super().__init__(lambda _: self.text, "text/plain; version=0.0.4")

    def scrape_job(
        self, name: str = "exporter", interval: str = "1s", *, honor_labels: bool = False, **more: Any
    ) -> dict[str, Any]:
        """Return a job of Prometheus that scrapes it, for `scrape_configs`.

        Args:
            name: of the job, its label `job`.
            interval: between scrapes.
            honor_labels: labels of the text win over those of the target.
            more: further fields of the job, for instance `metric_relabel_configs`.
        """
        target = {"targets": [self.address], "labels": more.pop("labels", {})}
        job = {"job_name": name, "scrape_interval": interval, "scrape_timeout": interval, "honor_labels": honor_labels}
        return {**job, "static_configs": [target], **more}


def series(metric: str, value: float, labels: Mapping[str, str] | None = None) -> str:
    """Return a line of an exporter's text."""
    inside = ",".join(f'{key}="{value}"' for key, value in (labels or {}).items())
    return f"{metric}{{{inside}}} {value}\n"
