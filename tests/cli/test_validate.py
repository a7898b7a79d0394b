"""`pantala validate` on files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pantala.cli.validate import validate

GOOD = """\
apiVersion: pantala.dev/v1alpha1
kind: InferenceModel
metadata: {name: resnet, labels: {stage: "2026-01-01"}}
spec:
  runtime: {name: triton}
  versions:
  - {name: v1, uri: "s3://models/resnet/1/"}
"""
TYPO = GOOD.replace("runtime: {", "runtime: {startupTimout: 30m, ")


def run(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "model.yaml"
    file.write_text(text)
    return CliRunner().invoke(validate, [str(file), *options])


def test_valid(tmp_path: Path) -> None:
    """A valid resource ends with 0."""
    result = run(tmp_path, GOOD)
    assert result.exit_code == 0
    assert result.output.endswith("model.yaml:1: resnet is valid\n")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "runtime: {",
            "runtime: {startupTimout: 30m, ",
            "spec.runtime.startupTimout: unknown field: did you mean startupTimeout?",
        ),
        (
            "runtime: {",
            "runtime: {zzz: 1, ",
            "spec.runtime.zzz: unknown field: known are args, batching, config, custom,",
        ),
        ("{name: v1, ", "{name: v1, url: x, ", "spec.versions[0].url: unknown field: did you mean uri?"),
        ("labels: ", "lables: ", "metadata.lables: unknown field: did you mean labels?"),
        ('"2026-01-01"', "1", 'metadata.labels.stage: must be of type string: "integer"; put it into quotes'),
        ("spec:", "spce: {}\nspec:", "spce: unknown field: did you mean spec?"),
    ],
)
def test_typos(tmp_path: Path, old: str, new: str, line: str) -> None:
    """A field that does not exist is an error with its path and the nearest name."""
    result = run(tmp_path, GOOD.replace(old, new))
    assert result.exit_code == 1
    assert line in result.output


def test_documents(tmp_path: Path) -> None:
    """Every document is checked, each with its line; other kinds are passed over."""
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n"
    result = run(tmp_path, f"{GOOD}---\n{secret}---\n{TYPO}---\n")
    assert result.exit_code == 1
    assert "model.yaml:1: resnet is valid" in result.output
    assert "model.yaml:17: resnet: spec.runtime.startupTimout" in result.output
    assert len(result.output.splitlines()) == 2


def test_list(tmp_path: Path) -> None:
    """The items of a List, as `kubectl get -o yaml` writes it, are checked."""
    items = "\n".join("  " + line for line in GOOD.splitlines()).replace("  apiVersion", "- apiVersion", 1)
    result = run(tmp_path, f"apiVersion: v1\nkind: List\nitems:\n{items}\n")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("{name: v1, uri", "{name: v1, url", 7),
        ("triton", "tritn", 5),
        ("name: resnet", "name: 9resnet", 1),
        ("  runtime: {name: triton}\n", "", 4),
    ],
)
def test_lines(tmp_path: Path, old: str, new: str, line: int) -> None:
    """A problem is told at the line of its field, or of the block that lacks it."""
    result = run(tmp_path, GOOD.replace(old, new))
    assert f"model.yaml:{line}: " in result.output.splitlines()[0], result.output


def test_json_in_and_out(tmp_path: Path) -> None:
    """`-o json` gives programs the path and the message apart."""
    result = run(tmp_path, TYPO, "-o", "json")
    assert result.exit_code == 1
    (verdict,) = json.loads(result.output)
    assert verdict["name"] == "resnet"
    assert verdict["valid"] is False
    (problem,) = verdict["problems"]
    assert (problem["line"], problem["path"]) == (5, "spec.runtime.startupTimout")


CARDS = GOOD.replace("  versions:", "  accelerator: {provider: visible-devices, devices: ['0']}\n  versions:")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("provider: visible-devices, devices: ['0']", "accelerator.devices: nobody reserves these cards"),
        ("provider: nvidia, sharing: TimeSlicing", "accelerator.sharing: TimeSlicing keeps nobody's memory apart"),
        ("provider: aliyun, memoryPerCard: 1Gi", "accelerator.memoryPerCard: aliyun only counts memory"),
    ],
)
def test_warnings(tmp_path: Path, asked: str, words: str) -> None:
    """What is valid but surprising is told on standard error, with the line; the verdict stays good."""
    result = run(tmp_path, CARDS.replace("provider: visible-devices, devices: ['0']", asked))
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/model.yaml:1: resnet is valid\n")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{tmp_path}/model.yaml:6: resnet: warning: {words}")


def test_warnings_of_versions(tmp_path: Path) -> None:
    """A warning of the block that all share is told once, one of a version's own block there; JSON has them apart."""
    more = """\
  - {name: v2, uri: "s3://models/b/"}
  - {name: v3, uri: "s3://models/c/", accelerator: {provider: aliyun, memoryPerCard: 1Gi}}
  traffic: {target: v1}
"""
    result = run(tmp_path, CARDS + more, "-o", "json")
    (verdict,) = json.loads(result.stdout)
    assert [(it["line"], it["path"]) for it in verdict["warnings"]] == [
        (6, "spec.accelerator"),
        (10, "spec.versions[2].accelerator"),
    ]
    assert (verdict["valid"], result.stderr) == (True, "")


SCALES = """\
  scaling:
    maxReplicas: 4
    metrics:
    - {type: RequestsPerSecond, target: 20}
    - {type: GPUUtilization, target: 70}
"""


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("provider: aliyun, memoryPerCard: 1Gi", "provider aliyun: DCGM measures the whole card"),
        ("provider: visible-devices, devices: ['0']", "provider visible-devices: DCGM does not know which pod"),
        ("provider: nvidia, sharing: MPS", "provider nvidia: DCGM measures the whole card"),
        ("provider: hami, mode: MIG, memoryPerCard: 5Gi", "provider hami: HAMi's library, which measures, is not in"),
    ],
)
def test_a_measure_that_never_comes(tmp_path: Path, asked: str, words: str) -> None:
    """Where nobody measures a pod's cards, a metric of them is told as a warning with its line; the verdict stays good."""
    text = CARDS.replace("provider: visible-devices, devices: ['0']", asked)
    result = run(tmp_path, text + SCALES)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/model.yaml:1: resnet is valid\n")
    (line,) = [it for it in result.stderr.splitlines() if "scaling" in it]
    told = f"{tmp_path}/model.yaml:13: resnet: warning: scaling.metrics: GPUUtilization has no value with {words}"
    assert line.startswith(told)
    assert "scale on" in line
    fixed = run(tmp_path, text + SCALES.replace("maxReplicas: 4", "maxReplicas: 1"))
    assert "scaling.metrics" not in fixed.stderr


def test_a_measure_that_comes(tmp_path: Path) -> None:
    """Metrics of cards that an exporter can measure, and those of requests with cards that none can, have no warning."""
    for asked in ("provider: nvidia", "provider: hami, memoryPerCard: 5Gi", "provider: dra"):
        text = CARDS.replace("provider: visible-devices, devices: ['0']", asked)
        assert run(tmp_path, text + SCALES).stderr == ""
    requests = SCALES.replace("    - {type: GPUUtilization, target: 70}\n", "")
    assert "scaling" not in run(tmp_path, CARDS + requests).stderr


def test_nothing_to_warn_of(tmp_path: Path) -> None:
    """Whole cards, a provider that the installation chooses, and what is not valid have no warnings."""
    for asked in ("provider: nvidia", "memoryPerCard: 1Gi", "provider: aliyun"):
        assert run(tmp_path, CARDS.replace("provider: visible-devices, devices: ['0']", asked)).stderr == ""


def test_standard_input() -> None:
    """- reads standard input."""
    result = CliRunner().invoke(validate, ["-"], input=GOOD)
    assert (result.exit_code, result.output) == (0, "-:1: resnet is valid\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "cannot be read"),
        ("a: 1\na: 2\n", "key 'a' appears twice"),
        ("kind: Secret\n", "holds no InferenceModel"),
        ("", "holds no InferenceModel"),
    ],
)
def test_unreadable(tmp_path: Path, text: str, words: str) -> None:
    """A file that is no YAML, or that holds nothing of ours, ends with 2."""
    result = run(tmp_path, text)
    assert result.exit_code == 2
    assert words in result.output


def test_missing_file() -> None:
    """A file that does not exist ends with 2, and the others are still checked."""
    result = CliRunner().invoke(validate, ["/nowhere.yaml"])
    assert result.exit_code == 2
    assert "cannot be read" in result.output


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("v1alpha1", "v1", "apiVersion: pantala.dev/v1 is not served: write pantala.dev/v1alpha1"),
        ("name: resnet, ", "", "metadata.name: Required value"),
        ("spec:", "spec: text\nrest:", "spec in body must be of type object"),
        ("metadata: {", "metadata: {a: &a [*a], ", ""),
    ],
)
def test_malformed(tmp_path: Path, old: str, new: str, line: str) -> None:
    """Whatever a file holds, the answer is a verdict and never a traceback."""
    result = run(tmp_path, GOOD.replace(old, new))
    assert result.exit_code in (1, 0)
    assert line in result.output
