"""What the rules make of the texts of exporters of cards, value by value (promtool)."""

from typing import Any

import pytest

from pantala.autoscaling import signals
from tests.charts import rules
from tests.charts.rules import LANGUAGE, TARGET, VISION, expect, scraped

USE, MEMORY = signals.GPU_UTILIZATION, signals.GPU_MEMORY
BARE = {"job": "exporter", "instance": "10.0.0.9:9400"}
"""Labels of a target out of a list: it has no pod of its own."""
ARTICLE = "(sum(avg_over_time(DCGM_FI_DEV_GPU_UTIL[5m])) by (exported_pod))/100"
"""The rule of the article that this replaces."""


@pytest.mark.parametrize(("target", "honor"), [(TARGET, False), (TARGET, True), (BARE, False)])
def test_whole_cards(target: dict[str, str], *, honor: bool) -> None:
    """A pod's figure is the mean of its cards, however Prometheus calls the labels; a card that nobody has is nobody's."""
    series = scraped(rules.text("dcgm"), target, honor_labels=honor)
    expect(series, (USE, "5m", {VISION: 70, LANGUAGE: 60}), (MEMORY, "5m", {VISION: 25, LANGUAGE: 80}))


def test_two_scrapes_of_one_exporter() -> None:
    """A second job that scrapes the same exporter changes nothing."""
    twice = scraped(rules.text("dcgm")) | scraped(rules.text("dcgm"), TARGET | {"job": "other"}, honor_labels=True)
    expect(twice, (USE, "5m", {VISION: 70, LANGUAGE: 60}), (MEMORY, "5m", {VISION: 25, LANGUAGE: 80}))


@pytest.mark.parametrize(
    ("name", "use", "memory"),
    [
        ("dcgm", {VISION: 70, LANGUAGE: 60}, {VISION: 25, LANGUAGE: 80}),
        ("dcgm-mig", {VISION: 81, LANGUAGE: 55}, {VISION: 25}),
        ("dcgm-shared-processes", {VISION: 65, LANGUAGE: 25}, {VISION: 50, LANGUAGE: 20}),
        ("hami", {VISION: 42, LANGUAGE: 35}, {VISION: 25}),
        ("hami-legacy", {VISION: 42, LANGUAGE: 35}, {VISION: 25}),
        ("tencent", {VISION: 42, LANGUAGE: 120}, {VISION: 25}),
    ],
)
def test_an_exporter_s_pod_that_was_replaced(
    name: str, use: dict[tuple[str, str], float], memory: dict[tuple[str, str], float]
) -> None:
    """While the old pod's series are still there, which differ by their target's pod alone, all figures are what they are."""
    old, new = (scraped(rules.text(name), TARGET | {"pod": f"exporter-{pod}"}) for pod in ("x7k2p", "b9zlm"))
    shared = {"dcgm": {"sharedPerProcess": True}}
    expect(old | new, (USE, "5m", use), (MEMORY, "5m", memory), autoscaling=shared)


@pytest.mark.parametrize("honor", [False, True])
def test_slices(*, honor: bool) -> None:
    """Slices are measured by the time in which they worked, in percent of the slice; a GPU_UTIL of 0 is not believed."""
    series = scraped(rules.text("dcgm-mig"), honor_labels=honor)
    expect(series, (USE, "5m", {VISION: 81, LANGUAGE: 55}), (MEMORY, "5m", {VISION: 25}))


def test_copies_of_a_shared_cards_figures() -> None:
    """What only repeats the whole card's figure is left out: it would be taken for the pod's."""
    series = scraped(rules.text("dcgm-shared-copies"))
    expect(series, (USE, "5m", {}), (MEMORY, "5m", {}))


@pytest.mark.parametrize("honor", [False, True])
def test_shares_measured_by_process(*, honor: bool) -> None:
    """With sharedPerProcess a pod's figure is that of its own processes, in percent of the card."""
    series = scraped(rules.text("dcgm-shared-processes"), honor_labels=honor)
    values = {"dcgm": {"sharedPerProcess": True}}
    expect(
        series, (USE, "5m", {VISION: 65, LANGUAGE: 25}), (MEMORY, "5m", {VISION: 50, LANGUAGE: 20}), autoscaling=values
    )
    expect(series, (USE, "5m", {}))


def test_whole_cards_beside_shared_ones() -> None:
    """With sharedPerProcess whole cards are measured as before."""
    series = scraped(rules.text("dcgm"))
    expect(
        series,
        (USE, "5m", {VISION: 70, LANGUAGE: 60}),
        (MEMORY, "5m", {VISION: 25, LANGUAGE: 80}),
        autoscaling={"dcgm": {"sharedPerProcess": True}},
    )


def test_configured_labels() -> None:
    """Other names of the labels are values; without them a pod that is named otherwise is nobody's."""
    series = scraped(rules.text("dcgm-old-labels"))
    expect(series, (USE, "5m", {}))
    values = {"dcgm": {"podLabel": "pod_name", "namespaceLabel": "pod_namespace"}}
    expect(series, (USE, "5m", {VISION: 70}), (MEMORY, "5m", {VISION: 25}), autoscaling=values)


@pytest.mark.parametrize(("label", "honor"), [("exported_pod", True), ("pod", False)])
def test_a_configured_label_is_the_only_one(label: str, *, honor: bool) -> None:
    """Where the configured label does not name the pod, no other is looked at."""
    values = {"dcgm": {"podLabel": label, "namespaceLabel": label.replace("pod", "namespace")}}
    expect(scraped(rules.text("dcgm"), honor_labels=honor), (USE, "5m", {}), autoscaling=values)
    expect(
        scraped(rules.text("dcgm"), honor_labels=not honor), (USE, "5m", {VISION: 70, LANGUAGE: 60}), autoscaling=values
    )


@pytest.mark.parametrize("honor", [False, True])
@pytest.mark.parametrize("name", ["hami", "hami-legacy"])
def test_hami_and_volcano(name: str, *, honor: bool) -> None:
    """Percent of the card, in the mean of the pod's shares; of memory percent of the share, where there is a limit."""
    series = scraped(rules.text(name), honor_labels=honor)
    expect(series, (USE, "5m", {VISION: 42, LANGUAGE: 35}), (MEMORY, "5m", {VISION: 25}))


def test_both_names_of_hami() -> None:
    """HAMi with --legacy-metrics=true counts once."""
    series = scraped(rules.text("hami") + rules.text("hami-legacy"))
    expect(series, (USE, "5m", {VISION: 42, LANGUAGE: 35}), (MEMORY, "5m", {VISION: 25}))


def test_a_share_counts_before_its_card() -> None:
    """Where DCGM names the pod of a share too, the share's own figure is taken."""
    dcgm = scraped(rules.text("dcgm"), TARGET | {"job": "dcgm"})
    expect(dcgm | scraped(rules.text("hami")), (USE, "5m", {VISION: 42, LANGUAGE: 35}))


@pytest.mark.parametrize("honor", [False, True])
def test_tencent(*, honor: bool) -> None:
    """The sum over a pod's cards, as the exporter makes it, counted once; whole cards have no limit of memory."""
    series = scraped(rules.text("tencent"), honor_labels=honor)
    expect(series, (USE, "5m", {VISION: 42, LANGUAGE: 120}), (MEMORY, "5m", {VISION: 25}))


def _one(values: str, pod: str = "a", **more: str) -> dict[str, str]:
    inside = "".join(f',{key}="{value}"' for key, value in more.items())
    labels = f'gpu="0",exported_namespace="ns",exported_pod="{pod}",namespace="monitoring",pod="x"{inside}'
    return {f"DCGM_FI_DEV_GPU_UTIL{{{labels}}}": values}


def test_the_window() -> None:
    """A step from 0 to 80 shows in part in the middle of the window, and in full after it."""
    series = _one("0+0x19 80+0x40")
    part = f"({USE} > bool 30) * ({USE} < bool 50)"  # Prometheus 2 and 3 differ by the sample at the very begin of a window
    expect(series, (part, "5m45s", {("ns", "a"): 1}), (USE, "7m15s", {("ns", "a"): 80}))
    short: dict[str, Any] = {"rules": {"window": "30s"}}
    expect(series, (USE, "5m45s", {("ns", "a"): 80}), autoscaling=short)


def test_a_pod_that_has_ended() -> None:
    """Its series ends with the next evaluation; the article's rule counts it for five minutes more."""
    series = _one("70+0x20 stale") | _one("30+0x60", "b")
    expect(series, (USE, "5m", {("ns", "a"): 70, ("ns", "b"): 30}), (USE, "5m15s", {("ns", "b"): 30}))
    article = f'label_replace(label_replace({ARTICLE},"pod","$1","exported_pod","(.*)"),"namespace","ns","","")'
    both = f"sum by (namespace, pod) ({article})"
    expect(series, (both, "9m45s", {("ns", "a"): 0.7, ("ns", "b"): 0.3}), (both, "10m15s", {("ns", "b"): 0.3}))


def test_a_pod_that_has_just_come() -> None:
    """Its figure is there with its first scrape, and is that of its own time alone."""
    series = _one("70+0x40") | _one("_x21 10 30", "b")
    expect(
        series, (USE, "5m15s", {("ns", "a"): 70, ("ns", "b"): 10}), (USE, "5m30s", {("ns", "a"): 70, ("ns", "b"): 20})
    )


def test_a_card_that_goes_from_pod_to_pod() -> None:
    """From the scrape on that names another pod the card is that one's, and its past is not."""
    series = _one("90+0x20 stale", "a") | _one("_x21 10+0x20", "b")
    expect(series, (USE, "5m", {("ns", "a"): 90}), (USE, "5m15s", {("ns", "b"): 10}))


def test_no_memory_at_all() -> None:
    """A card that tells no memory (0 of 0) has no figure, and no NaN."""
    labels = '{gpu="0",exported_namespace="ns",exported_pod="a",namespace="monitoring",pod="x"}'
    expect({f"DCGM_FI_DEV_FB_{kind}{labels}": "0+0x20" for kind in ("USED", "FREE")}, (MEMORY, "5m", {}))
