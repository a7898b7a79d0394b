"""The keys of the stores are never told, in whatever form they come back."""

import json
from pathlib import Path

import pytest

from pantala.fetcher.secrets import NAMES, Credentials, load, redact_unknown
from tests.fetcher.tools import fetch

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"
GOOGLE = json.dumps({"type": "service_account", "private_key": KEY, "private_key_id": "9f3c1d5e7a"})


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_read_and_redacted(tmp_path: Path, name: str) -> None:
    """From a variable or from a file, plain or as in a URL."""
    secret = f"hunter2/{name}+=x"
    (tmp_path / name).write_text(f"{secret}\n")
    for credentials in (load({name: secret}, None), load({}, tmp_path)):
        assert credentials.get(name) == secret
        text = credentials.redact(f"a {secret} b hunter2%2F{name}%2B%3Dx c")
        assert text == "a *** b *** c"
        assert "hunter2" not in repr(credentials)


@pytest.mark.parametrize(
    "text",
    [
        GOOGLE,
        KEY,
        KEY.replace("\n", "\\n"),
        "bad line: MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
        "kid 9f3c1d5e7a",
    ],
)
def test_a_key_file_of_google(text: str) -> None:
    """Not as a whole, not its key, not a line of it."""
    shown = Credentials({"GOOGLE_CREDENTIALS": GOOGLE}).redact(text)
    assert not any(part in shown for part in ("MIIEvQIBAD", "BKcwggSj", "9f3c1d5e7a"))


@pytest.mark.parametrize(
    "text",
    [
        "https://a.blob.core.windows.net/c/b?sv=2021&sig=hunter2%3D",
        "https://oss/b?OSSAccessKeyId=hunter2&Signature=hunter2",
        "https://cos/b?q-ak=1&q-signature=hunter2",
        "https://gcs/b?X-Goog-Signature=hunter2&X-Goog-Credential=hunter2",
        "http://namenode/webhdfs/v1/m?op=OPEN&delegation=hunter2",
        '{"security_token": "x", "access_token: hunter2"}',
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_signatures_of_all_stores(text: str) -> None:
    """Also where the value is nobody's that we know."""
    assert "hunter2" not in redact_unknown(text)


@pytest.mark.parametrize(
    ("content", "words"), [("hunter2", "is no key file of Google's"), ('{"type": "x"}', "the key of a service account")]
)
def test_a_key_file_that_is_none(to: Path, content: str, words: str) -> None:
    """The key is named, and its content is not told."""
    result = fetch(to, "gs://models/x", env={"GOOGLE_CREDENTIALS": content})
    assert (result.code, result.message["reason"]) == (11, "Denied")
    assert words in result.message["message"]
    assert "hunter2" not in result.log + result.raw
