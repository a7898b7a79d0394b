"""Credentials are used and never shown."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from pantala.fetcher.secrets import Credentials, load, redact_unknown
from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import KEY_ID, SECRET, fetch, started


def test_nothing_that_is_written_holds_a_credential(s3: S3Server, bucket: str, to: Path, tmp_path: Path) -> None:
    """Log, output, termination message and arguments of runs that fail in many ways."""
    s3.put(bucket, "w", b"x")
    secrets = {
        "AWS_SESSION_TOKEN": "token-0123456789",
        "HTTP_PASSWORD": "pass-0123456789",
        "HTTP_BEARER_TOKEN": "bearer-01234",
    }
    env = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "HTTP_USERNAME": "somebody", **secrets}
    runs = [
        fetch(to, f"s3://{bucket}/w", "--endpoint", s3.endpoint, env=env),
        fetch(to, f"s3://{bucket}/missing", "--endpoint", s3.endpoint, env=env),
        fetch(to, "s3://no-bucket-here/w", "--endpoint", s3.endpoint, env=env),
        fetch(to, f"s3://{bucket}/w", "--endpoint", f"http://me:{SECRET[:5]}pw@127.0.0.1:1", env=env),
        fetch(to, f"s3://{bucket}/w", "--endpoint", "http://127.0.0.1:1", "--retry-seconds", "0.3", env=env),
        fetch(to, "http://me:hunter2222@127.0.0.1:1/w", "--retry-seconds", "0.3", env=env),
        fetch(
            to,
            f"http://127.0.0.1:1/{secrets['HTTP_PASSWORD']}",
            "--retry-seconds",
            "0.3",
            "--log-format",
            "json",
            env=env,
        ),
    ]
    s3.deny_all()
    try:
        runs.append(fetch(to, f"s3://{bucket}/w2", "--endpoint", s3.endpoint, env=env))
    finally:
        s3.deny_all(denied=False)
    assert [run.code for run in runs] == [0, 10, 10, 15, 16, 15, 16, 11]
    for run in runs:
        for secret in (SECRET, KEY_ID, "hunter2222", "pw@", *secrets.values()):
            assert secret not in run.log + run.out + run.raw


def test_arguments_of_the_process_hold_none(s3: S3Server, bucket: str, to: Path) -> None:
    """Everybody on a node may read a process's arguments."""
    to.mkdir()
    args = ["--uri", f"s3://{bucket}/w", "--to", str(to), "--endpoint", "http://127.0.0.1:1", "--metrics-port", "0"]
    with started(*args) as process:
        command = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert SECRET not in command
    assert KEY_ID not in command


def test_what_looks_like_a_secret_goes_wherever_it_comes_from() -> None:
    """User-info in URLs and signatures are taken out without being known."""
    text = "see http://me:pw@host/x?X-Amz-Signature=abc&a=1 authorization: Basic"
    assert redact_unknown(text) == "see http://***@host/x?X-Amz-Signature=***&a=1 authorization: ***"


def test_forms_of_a_secret() -> None:
    """A secret may show up quoted in a URL, or inside of a Basic header."""
    keys = Credentials({"HTTP_USERNAME": "me", "HTTP_PASSWORD": "a/b+c"})
    basic = base64.b64encode(b"me:a/b+c").decode()
    assert keys.redact(f"a/b+c a%2Fb%2Bc {basic}") == "*** *** ***"
    assert "a/b+c" not in repr(keys)


def test_files_win_over_variables(tmp_path: Path) -> None:
    """A mounted Secret is read without its trailing newline."""
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("from-file\n")
    keys = load({"AWS_ACCESS_KEY_ID": "from-env", "AWS_SECRET_ACCESS_KEY": "env"}, tmp_path)
    assert (keys.get("AWS_ACCESS_KEY_ID"), keys.get("AWS_SECRET_ACCESS_KEY")) == ("from-file", "env")


def test_user_and_password_and_token_reach_the_web_server(to: Path) -> None:
    """Basic and Bearer as the server asks for them; without, it is Denied."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200 if seen[-1] else 401)
            self.send_header("Content-Length", "2" if seen[-1] else "0")
            self.end_headers()
            if self.command == "GET" and seen[-1]:
                self.wfile.write(b"ok")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/w"
        denied = fetch(to, url, env={})
        basic = fetch(to, url, env={"HTTP_USERNAME": "me", "HTTP_PASSWORD": "pass-0123456789"})
        bearer = fetch(to.parent / "other", url, env={"HTTP_BEARER_TOKEN": "bearer-01234"})
        server.shutdown()
    assert (denied.code, basic.code, bearer.code) == (11, 0, 0), denied.log + basic.log + bearer.log
    assert "Basic " + base64.b64encode(b"me:pass-0123456789").decode() in seen
    assert seen[-1] == "Bearer bearer-01234"
