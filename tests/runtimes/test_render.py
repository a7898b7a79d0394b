"""A user's text stays text: it opens no new line, key or field in a generated file."""

import ast
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest

from pantala.api import owned
from pantala.runtimes import torchserve
from pantala.runtimes.render import pbtxt_string, property_key, property_value, python_string, render
from tests.runtimes.build import server, version

NASTY = (
    "300\nmanagement_address=http://0.0.0.0:8081",
    "300\r\nenable_model_api=true",
    "ends in a backslash \\",
    " leading blank",
    "tab\tform\f",
    'quotes " and \\" and \'',
    "umlaut ü, snowman ☃, rocket 🚀",
    "\u2028separator",
    "#comment",
    "a=b:c",
)


def load_properties(text: str) -> dict[str, str]:
    """Read a properties file by the rules of java.util.Properties, as far as they matter here."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        key, value, target, escaped = [], [], None, False
        target = key
        chars = iter(line)
        for mark in chars:
            if escaped:
                escaped = False
                if mark == "u":
                    target.append(chr(int("".join(next(chars) for _ in range(4)), 16)))
                else:
                    target.append({"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(mark, mark))
            elif mark == "\\":
                escaped = True
            elif mark in "=:" and target is key:
                target = value
            else:
                target.append(mark)
        assert not escaped, "a line that ends in a backslash swallows the next one"
        joined = ["".join(part).encode("utf-16", "surrogatepass").decode("utf-16") for part in (key, value)]
        found[joined[0]] = joined[1]
    return found


@pytest.mark.parametrize("text", NASTY)
def test_property_value_is_read_back(text: str) -> None:
    """Whatever a value of config.properties holds, it is read back whole and ends no line."""
    rendered = torchserve.config(version({"name": "torchserve", "config": {"job_queue_size": text}}))
    assert load_properties(rendered)["job_queue_size"] == text
    assert load_properties(rendered)["management_address"] == "http://127.0.0.1:8081"
    assert load_properties(rendered)["enable_model_api"] == "false"


@pytest.mark.parametrize("text", NASTY)
def test_property_key_is_read_back(text: str) -> None:
    """A key cannot end itself, and so not set another key."""
    assert load_properties(f"{property_key(text)}={property_value('x')}") == {text: "x"}


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.skipif(shutil.which("java") is None, reason="needs a JDK")
def test_java_reads_it_back(text: str, tmp_path: Path) -> None:
    """The real java.util.Properties agrees."""
    (tmp_path / "Read.java").write_text(
        "import java.io.*; import java.nio.file.*; public class Read { public static void main(String[] a) throws Exception {"
        " var p = new java.util.Properties(); p.load(Files.newInputStream(Path.of(a[0])));"
        ' System.out.write(p.getProperty(a[1]).getBytes("UTF-8")); System.out.flush(); } }'
    )
    (tmp_path / "file").write_text(f"{property_key('k:=' + text[:3])}={property_value(text)}\n", encoding="latin-1")
    command = ["java", "Read.java", "file", "k:=" + text[:3]]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    if b"compiler" in answer.stderr or b"ModuleNotFound" in answer.stderr or b"jdk.compiler" in answer.stderr:
        pytest.skip("this Java has no compiler")
    assert answer.stdout.decode() == text, answer.stderr.decode()


@pytest.mark.parametrize("text", NASTY)
def test_pbtxt_and_python_literals(text: str) -> None:
    """Names in config.pbtxt and in start.py are one quoted literal, in plain ASCII."""
    assert pbtxt_string(text).isascii()
    assert "\n" not in pbtxt_string(text)
    # Python's bytes literals know the same escapes as protobuf's text format.
    assert ast.literal_eval("b" + pbtxt_string(text)).decode() == text
    assert ast.literal_eval(python_string(text)) == text


def test_operator_settings_win() -> None:
    """A protected key that admission let through (stored before the rule existed) does not replace the operator's."""
    config = dict.fromkeys(owned.TORCHSERVE_CONFIG, "stolen")
    loaded = load_properties(torchserve.config(version({"name": "torchserve", "config": config})))
    assert loaded["management_address"] == "http://127.0.0.1:8081"
    assert loaded["disable_token_authorization"] == "true"
    assert loaded["load_models"] == "resnet_50=resnet_50.mar"


def test_config_value_stays_one_argument() -> None:
    """A flag of Triton's is one element of the argument list, so blanks and dashes in a value open no second flag."""
    args = server({"name": "triton", "config": {"backend-config": "python,a=1 --model-repository=/etc"}}).container[
        "args"
    ]
    assert "--backend-config=python,a=1 --model-repository=/etc" in args
    assert [arg for arg in args if arg.startswith("--model-repository")] == ["--model-repository=/models"]


def test_protected_names_are_those_that_are_set() -> None:
    """Every flag and key that the operator sets itself is protected, except the defaults that a user may change."""
    args = server({"name": "triton"}).container["args"]
    flags = {arg.removeprefix("--").partition("=")[0] for arg in args if arg.startswith("--")}
    assert flags - set(owned.TRITON_FLAGS) == {"log-info", "allow-gpu-metrics"}
    keys = set(load_properties(torchserve.config(version({"name": "torchserve"}))))
    keys |= set(load_properties(torchserve.config(version({"name": "torchserve", "workers": 1}))))
    assert keys <= set(owned.TORCHSERVE_CONFIG)


def test_variables_of_torchserve_are_protected() -> None:
    """Every variable that TorchServe reads its places from is the operator's; HOME is the user's to change."""
    names = {item["name"] for item in server({"name": "torchserve"}).container["env"]}
    assert names - set(owned.ENV) == {"HOME"}


def test_missing_value_is_an_error() -> None:
    """A template that names a value which nobody gives is an error, not an empty text."""
    with pytest.raises(jinja2.UndefinedError, match="name"):
        render("config.pbtxt.j2")
