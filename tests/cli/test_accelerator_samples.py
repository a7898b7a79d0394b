"""The samples on cards: what `pantala validate` says of them, and what the pods ask for.

That the real API server takes the resources and all that they become is tested with the other samples, in
`tests/apiserver/test_crd.py` and `tests/cli/test_live.py`.
"""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner

from pantala.api.accelerator import Provider
from pantala.cli.main import main

SAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "samples").glob("accelerator-*.yaml"))
TAKES_TURNS = ["mps", "time-slicing"]
WHOLE = [("nvidia.com/gpu.sharing-strategy", "NotIn", TAKES_TURNS), ("nvidia.com/gpu.slices.gi", "DoesNotExist", [])]

EXPECTED: dict[str, dict[str, Any]] = {
    "nvidia": {"limits": {"nvidia.com/gpu": "2"}, "nodes": WHOLE},
    "time-slicing": {
        "limits": {"nvidia.com/gpu.shared": "1"},
        "nodes": [("nvidia.com/gpu.sharing-strategy", "In", ["time-slicing"]), WHOLE[1]],
    },
    "mps": {
        "limits": {"nvidia.com/gpu.shared": "1"},
        "nodes": [("nvidia.com/gpu.sharing-strategy", "In", ["mps"]), WHOLE[1]],
    },
    "mig-mixed": {
        "limits": {"nvidia.com/mig-1g.10gb": "1"},
        "nodes": [("nvidia.com/mig-1g.10gb.sharing-strategy", "NotIn", TAKES_TURNS)],
    },
    "mig-single": {
        "limits": {"nvidia.com/gpu": "1"},
        "nodes": [
            WHOLE[0],
            ("nvidia.com/mig.strategy", "In", ["single"]),
            ("nvidia.com/gpu.slices.gi", "In", ["3"]),
            ("nvidia.com/gpu.memory", "Gt", ["34816"]),
            ("nvidia.com/gpu.memory", "Lt", ["43008"]),
        ],
    },
    "hami": {
        "limits": {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "8192", "nvidia.com/gpucores": "50"},
        "annotations": {"nvidia.com/use-gputype": "A100,H100", "hami.io/gpu-scheduler-policy": "binpack"},
    },
    "volcano": {
        "limits": {"volcano.sh/vgpu-number": "2", "volcano.sh/vgpu-memory": "3072", "volcano.sh/vgpu-cores": "50"},
        "annotations": {"volcano.sh/vgpu-mode": "hami-core"},
        "scheduler": "volcano",
    },
    "tencent": {
        "limits": {"tencent.com/vcuda-core": "30", "tencent.com/vcuda-memory": "30"},
        "annotations": {"tencent.com/vcuda-core-limit": "50"},
    },
    "aliyun": {"limits": {"aliyun.com/gpu-mem": "3"}, "memory": "3072"},
    "dra": {
        "template": {
            "deviceClassName": "gpu.nvidia.com",
            "count": 1,
            "selectors": [
                "'architecture' in device.attributes['gpu.nvidia.com'] && device.attributes['gpu.nvidia.com'].architecture == 'Hopper'",
                "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('79Gi')) >= 0",
            ],
        },
    },
    "visible-devices": {"cards": "0,1"},
}
"""What the pods of each sample ask for, and nothing else of the kind."""


def _asked(printed: str) -> dict[str, Any]:
    """What of the printed objects is about cards."""
    found = {item["kind"]: item for item in yaml.safe_load_all(printed)}
    pod = found["Deployment"]["spec"]["template"]
    (server,) = pod["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in server.get("env", ())}
    nodes = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    (term,) = nodes.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms") or [{}]
    own = ("prometheus.io/", "pantala.dev/")
    asked = {
        "limits": server.get("resources", {}).get("limits", {}),
        "nodes": [(it["key"], it["operator"], it.get("values", [])) for it in term.get("matchExpressions", ())],
        "annotations": {
            key: value for key, value in pod["metadata"].get("annotations", {}).items() if not key.startswith(own)
        },
        "scheduler": pod["spec"].get("schedulerName"),
        "cards": env.get("NVIDIA_VISIBLE_DEVICES"),
        "memory": env.get("PANTALA_GPU_MEMORY_MIB"),
    }
    if "ResourceClaimTemplate" in found:
        asked["template"] = _request(found["ResourceClaimTemplate"], pod["spec"], server)
    return asked


def _request(template: Any, pod: Any, server: Any) -> Any:
    """The only request of a ResourceClaimTemplate that the server's container has a claim of."""
    (claim,) = pod["resourceClaims"]
    assert claim["resourceClaimTemplateName"] == template["metadata"]["name"]
    assert server["resources"]["claims"] == [{"name": claim["name"]}]
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    exactly = {"count": 1, **request["exactly"]}  # the default of the API
    return exactly | {"selectors": [it["cel"]["expression"] for it in exactly.get("selectors", ())]}


def _provider(sample: Path) -> str:
    return str(yaml.safe_load(sample.read_text())["spec"]["accelerator"]["provider"])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_pods_ask_for_the_cards(sample: Path) -> None:
    """A sample is valid, and its pods ask for what its vendor understands, and for nothing else of the kind."""
    checked = CliRunner().invoke(main, ["validate", str(sample)])
    assert checked.exit_code == 0, checked.output
    result = CliRunner().invoke(main, ["render", str(sample)])
    assert result.exit_code == 0, result.output
    asked = _asked(result.stdout)
    expected = EXPECTED[sample.stem.removeprefix("accelerator-")]
    # What a server is told of its share is another matter, which the table names where nobody else keeps it.
    if "memory" not in expected:
        del asked["memory"]
    empty: dict[str, Any] = {"limits": {}, "nodes": [], "annotations": {}, "scheduler": None, "cards": None}
    assert asked == empty | expected


def test_every_provider_has_a_sample() -> None:
    """Nobody has to guess how a vendor is asked, and no sample goes untested."""
    assert {_provider(sample) for sample in SAMPLES} == set(get_args(Provider))
    assert {f"accelerator-{name}" for name in EXPECTED} == {sample.stem for sample in SAMPLES}
