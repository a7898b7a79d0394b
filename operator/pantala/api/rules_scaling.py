"""Rules on how many replicas run, and on what decides about it."""

from collections.abc import Callable

from pantala.api.rules import Node, Rule

_GPU = ("GPUUtilization", "GPUMemory")
_QUEUE = ("QueueLength", "QueueTime")


def _types(scaling: Node) -> set[str]:
    return {metric["type"] for metric in scaling.get("metrics", ())}


def _every(metrics: tuple[str, ...], block: str, holds: Callable[[Node], bool]) -> Callable[[Node], bool]:
    """Whether the block of each version that is scaled by one of these metrics is as it must be."""

    def fine(spec: Node) -> bool:
        return all(
            holds(version.get(block, spec.get(block, {})))
            for version in spec["versions"]
            if _types(version.get("scaling", spec["scaling"])).intersection(metrics)
        )

    return fine


def _effective(block: str, condition: str) -> str:
    """A condition in CEL on a version's own block, or else on the shared one, which may be absent too."""
    own, shared = (condition.replace("@", f"{holder}.{block}") for holder in ("v", "self"))
    return f"(has(v.{block}) ? ({own}) : (has(self.{block}) && ({shared})))"


def _needs(metrics: tuple[str, ...], block: str, condition: str, holds: Callable[[Node], bool], message: str) -> Rule:
    """A rule for each version that is scaled by one of these metrics: its own block, or else the shared one, must be so."""
    scaled = f"has(@.metrics) && @.metrics.exists(m, m.type in {list(metrics)})"
    return Rule(
        "Spec",
        f"self.versions.all(v, !{_effective('scaling', scaled)} || {_effective(block, condition)})",
        _every(metrics, block, holds),
        message,
        ".scaling.metrics",
    )


def _requested(name: str) -> tuple[str, Callable[[Node], bool]]:
    """Whether a resource is requested; without a request the limit counts as one."""
    cel = " || ".join(f"(has(@.{part}) && '{name}' in @.{part})" for part in ("requests", "limits"))
    return cel, lambda resources: any(name in resources.get(part, {}) for part in ("requests", "limits"))


def _measured(runtime: Node) -> bool:
    return runtime["name"] != "custom" or "metricsPort" in runtime.get("custom", {"metricsPort": 0})


_SPEC = (
    _needs(
        ("CPUUtilization",),
        "resources",
        *_requested("cpu"),
        "CPUUtilization is a share of the requested CPU, and none is requested: set resources.requests.cpu",
    ),
    _needs(
        ("MemoryUtilization",),
        "resources",
        *_requested("memory"),
        "MemoryUtilization is a share of the requested memory, and none is requested: set resources.requests.memory",
    ),
    _needs(
        _GPU,
        "accelerator",
        "has(@.count)",
        lambda accelerator: "count" in accelerator,
        "GPUUtilization and GPUMemory are of cards, and none are asked for: set accelerator, or scale on RequestsPerSecond",
    ),
    _needs(
        _QUEUE,
        "runtime",
        "@.name != 'custom' || !has(@.custom) || has(@.custom.metricsPort)",
        _measured,
        "QueueLength and QueueTime come from the server's own metrics, and the custom runtime announces none: set"
        " runtime.custom.metricsPort, or scale on RequestsPerSecond",
    ),
)

_SCALING = (
    Rule(
        "Metric",
        f"!(self.type in {list(_GPU)}) || self.target <= 100",
        lambda it: it["type"] not in _GPU or it["target"] <= 100,  # noqa: PLR2004 - percent
        "target is percent of what is granted and cannot be above 100: write for example 70",
        ".target",
    ),
    Rule(
        "PrometheusQuery",
        # Not as a number: CEL fails where it is none, and that would be told beside the pattern.
        "self.target.matches('[1-9]')",
        lambda it: any(digit in it["target"] for digit in "123456789"),
        "target must be above zero, since the measure is divided by it: write for example 100",
        ".target",
    ),
    Rule(
        "Scaling",
        "!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas",
        lambda it: it.get("maxReplicas", it["minReplicas"]) >= it["minReplicas"],
        "maxReplicas must not be less than minReplicas: raise it, or lower minReplicas",
        ".maxReplicas",
    ),
    Rule(
        "Scaling",
        "!has(self.maxReplicas) || self.maxReplicas <= self.minReplicas || has(self.metrics) || has(self.prometheus)",
        lambda it: (
            it.get("maxReplicas", it["minReplicas"]) <= it["minReplicas"] or "metrics" in it or "prometheus" in it
        ),
        "maxReplicas above minReplicas has no effect without metrics: add a metric, such as GPUUtilization",
        ".metrics",
    ),
    Rule(
        "Scaling",
        "!has(self.metrics) || has(self.maxReplicas)",
        lambda it: "metrics" not in it or "maxReplicas" in it,
        "metrics have no effect without maxReplicas: set maxReplicas",
        ".maxReplicas",
    ),
    Rule(
        "Scaling",
        "!has(self.prometheus) || has(self.maxReplicas)",
        lambda it: "prometheus" not in it or "maxReplicas" in it,
        "prometheus has no effect without maxReplicas: set maxReplicas",
        ".maxReplicas",
    ),
    Rule(
        "Scaling",
        "!has(self.prometheus) || self.engine == 'KEDA'",
        lambda it: "prometheus" not in it or it["engine"] == "KEDA",
        "prometheus needs KEDA, since an HPA reads only what the cluster's metrics adapter was configured for: set engine: KEDA,"
        " or use metrics",
        ".prometheus",
    ),
    *(
        Rule(
            "Scaling",
            f"{unset} || has(self.metrics) || has(self.prometheus)",
            lambda it, holds=holds: holds(it) or "metrics" in it or "prometheus" in it,  # type: ignore[misc]  # mypy knows no default arguments of lambdas
            f"{field} has no effect without metrics: add a metric and maxReplicas, or remove it",
            f".{field}",
        )
        for field, unset, holds in (
            ("behavior", "!has(self.behavior)", lambda it: "behavior" not in it),
            ("engine", "self.engine != 'KEDA'", lambda it: it["engine"] != "KEDA"),
        )
    ),
)

RULES = _SPEC + _SCALING
"""All rules on scaling."""
