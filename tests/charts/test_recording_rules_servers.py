"""What the rules make of the texts of model servers, value by value (promtool)."""

from pantala.autoscaling import signals
from tests.charts import rules
from tests.charts.rules import VISION, expect, scraped_pods

RATE, LENGTH, TIME = signals.REQUESTS, signals.QUEUE_LENGTH, signals.QUEUE_TIME


def _triton(pending: str, success: str, failure: str = "0+0x40", queue: str = "0+0x40", pod: str = "a") -> rules.Series:
    """One model of Triton's by itself; the values in promtool's notation."""
    where = f'namespace="ns",pod="{pod}",job="models",instance="{pod}:8002",model="net",version="1"'
    return {
        f"nv_inference_pending_request_count{{{where}}}": pending,
        f"nv_inference_request_success{{{where}}}": success,
        f'nv_inference_request_failure{{{where},reason="BACKEND"}}': failure,
        f"nv_inference_queue_duration_us{{{where}}}": queue,
    }


def test_an_ensemble_of_triton() -> None:
    """A request is counted once, though each step counts it too; the queues of all steps are added up."""
    text = rules.text("triton-ensemble")
    expect(scraped_pods(text, VISION), (LENGTH, "5m", {VISION: 7}))
    # every 15 s another 12 requests, and the time that they waited in the three queues
    milliseconds = int((10 + 6917 + 23954463) / 12 / 1000)
    answers = (RATE, "5m", {VISION: 0.8}), (f"floor({TIME})", "5m", {VISION: milliseconds})
    expect(scraped_pods(text, VISION, grow=True), *answers)


def test_failures_are_requests() -> None:
    """What Triton answers with an error is load like others."""
    series = _triton("0+0x40", "0+30x40", "0+15x40")
    expect(series, (RATE, "5m", {("ns", "a"): 3}))


def test_a_triton_that_idles() -> None:
    """Before the first request, and long after the last, all is 0 and nothing is NaN."""
    idle = _triton("0+0x40", "0+0x40")
    pod = {("ns", "a"): 0.0}
    expect(idle, (RATE, "5m", pod), (LENGTH, "5m", pod), (TIME, "5m", pod))
    over = _triton("0+0x60", "0+30x20 600+0x40", queue="0+3000x20 60000+0x40")
    expect(over, (TIME, "5m", {("ns", "a"): 0.1}), (TIME, "6m30s", pod), (RATE, "6m30s", pod))


def test_a_triton_that_hangs() -> None:
    """Requests that wait while none is answered have no time: nobody knows how long it will be. They are no idleness."""
    series = _triton("5+0x40", "100+0x40")
    expect(series, (LENGTH, "5m", {("ns", "a"): 5}), (TIME, "5m", {}))


def test_a_server_that_starts_anew() -> None:
    """Counters that begin again at 0 make no negative rate and no jump."""
    series = _triton("0+0x40", "0+30x18 0 30+30x20", queue="0+3000x18 0 3000+3000x20")
    between = f"({RATE} > bool 1.4) * ({RATE} < bool 2.1)"
    expect(series, (between, "5m", {("ns", "a"): 1}), (TIME, "5m", {("ns", "a"): 0.1}))


def test_a_server_that_has_ended() -> None:
    """Its figures end with the next evaluation, those of others stay."""
    ended = _triton("4+0x20 stale", "0+30x20 stale", "0+0x20 stale", "0+0x20 stale")
    series = ended | _triton("1+0x40", "0+15x40", pod="b")
    both, left = {("ns", "a"): 2.0, ("ns", "b"): 1.0}, {("ns", "b"): 1.0}
    expect(
        series, (RATE, "5m", both), (RATE, "5m15s", left), (LENGTH, "5m15s", left), (TIME, "5m15s", {("ns", "b"): 0})
    )


def test_two_jobs_that_scrape_a_server() -> None:
    """By annotation and by a ServiceMonitor at once: requests are not counted twice."""
    text = rules.text("triton-ensemble")
    series = scraped_pods(text, VISION, grow=True) | scraped_pods(text, VISION, grow=True, job="monitor")
    expect(series, (RATE, "5m", {VISION: 0.8}))
    still = scraped_pods(text, VISION) | scraped_pods(text, VISION, job="monitor")
    expect(still, (LENGTH, "5m", {VISION: 7}))


def test_a_torchserve_before_its_first_request() -> None:
    """It has no counters of its own yet, but a worker: all is 0."""
    pod = {VISION: 0.0}
    answers = (RATE, "5m", pod), (LENGTH, "5m", pod), (TIME, "5m", pod)
    expect(scraped_pods(rules.text("torchserve-idle"), VISION), *answers)


def test_torchserve() -> None:
    """Every 15 s ten requests that waited 25.4 s altogether: 1.7 wait at any time, each for 2.5 s."""
    series = scraped_pods(rules.text("torchserve-after"), VISION, grow=True)
    waited = 25444.932084
    answers = (RATE, "5m", {VISION: 0.667}), (LENGTH, "5m", {VISION: round(waited / 15e3, 3)})
    expect(series, *answers, (TIME, "5m", {VISION: round(waited / 10, 3)}))


def test_a_torchserve_that_works_off_its_queue() -> None:
    """When nobody asks any more and requests of before are answered, how long the next would wait is not said to be 0."""
    where = 'namespace="ns",pod="a",job="models",instance="a:8082",model_name="net"'
    series = {
        f"ts_inference_requests_total{{{where}}}": "100+0x40",
        f"ts_queue_latency_microseconds{{{where}}}": "0+30e6x40",
        'WorkerLoadTime{namespace="ns",pod="a",job="models",instance="a:8082"}': "2500+0x40",
    }
    expect(series, (LENGTH, "5m", {("ns", "a"): 2}), (TIME, "5m", {}))


def test_a_torchserve_that_hangs() -> None:
    """Requests come and work on none begins: its time in the queue stands still, and is not taken for an empty queue."""
    where = 'namespace="ns",pod="a",job="models",instance="a:8082"'
    series = {
        f'ts_inference_requests_total{{{where},model_name="net"}}': "0+15x40",
        f'ts_queue_latency_microseconds{{{where},model_name="net"}}': "0+15e6x12 180e6+0x40",
        f"WorkerLoadTime{{{where}}}": "2500+0x40",
    }
    asked = (LENGTH, "3m", {("ns", "a"): 1}), (TIME, "3m", {("ns", "a"): 1000})
    expect(series, *asked, (RATE, "5m", {("ns", "a"): 1}), (LENGTH, "5m", {}), (TIME, "5m", {}))


def test_a_torchserve_that_is_scraped_too_seldom() -> None:
    """With one scrape in the window nothing is known of a counter that is there, and 0 is not said."""
    where = 'namespace="ns",pod="a",job="models",instance="a:8082"'
    series = {
        f'ts_inference_requests_total{{{where},model_name="net"}}': "0 _x7 80 _x7 160 _x7 240",
        f'ts_queue_latency_microseconds{{{where},model_name="net"}}': "0 _x7 8e6 _x7 16e6 _x7 24e6",
        f"WorkerLoadTime{{{where}}}": "2500 _x7 2500 _x7 2500 _x7 2500",
    }
    expect(series, (RATE, "5m", {}), (LENGTH, "5m", {}), (TIME, "5m", {}))


def test_a_torchserve_that_answered_nothing_well() -> None:
    """It has no counter of its queue before the first good answer; when nobody asks any more, nobody waits."""
    where = 'namespace="ns",pod="a",job="models",instance="a:8082"'
    series = {
        f'ts_inference_requests_total{{{where},model_name="net"}}': "0+15x8 120+0x40",
        f"WorkerLoadTime{{{where}}}": "2500+0x40",
    }
    pod = {("ns", "a"): 0.0}
    expect(series, (RATE, "2m", {("ns", "a"): 1}), (LENGTH, "2m", {}), (RATE, "5m", pod), (LENGTH, "5m", pod))


def test_vllm() -> None:
    """A custom server with vLLM's metrics is measured by them; its engines are added up."""
    text = rules.text("vllm")
    expect(scraped_pods(text, VISION), (LENGTH, "5m", {VISION: 5}), (TIME, "5m", {}))
    expect(scraped_pods(text, VISION, grow=True), (RATE, "5m", {VISION: 2}), (TIME, "5m", {VISION: 300}))


def test_a_server_that_nobody_knows() -> None:
    """Other metrics of a custom server make no figures: no data is not 0."""
    series = scraped_pods("http_requests_total 10\nprocess_cpu_seconds_total 5\n", VISION, grow=True)
    expect(series, (RATE, "5m", {}), (LENGTH, "5m", {}), (TIME, "5m", {}))
