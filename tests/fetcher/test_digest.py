"""`pantala digest` says the same wherever a model lies."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import KEYS, MIB, environment, fetch

FILES = {"a b.txt": b"text", "sub/w.bin": os.urandom(13 * MIB), "sub/empty": b""}


def digest(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pantala.cli.digest import digest; digest()", *args]
    return subprocess.run(command, env=environment(KEYS), capture_output=True, text=True, check=False)


def test_the_same_everywhere(s3: S3Server, bucket: str, web: tuple[str, Path], tmp_path: Path) -> None:
    """A path, a file URI, S3 and a web server give one digest, which is that of `sha256sum | sort | sha256sum`."""
    url, root = web
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        s3.put(bucket, f"m/{name}", content)
    local = digest(str(root))
    entries = [{"path": name, "size": len(content)} for name, content in FILES.items()]
    (root / "index.json").write_text(json.dumps({"files": entries}))
    remote = [digest(f"{url}/"), digest(f"s3://{bucket}/m", "--endpoint", s3.endpoint)]
    (root / "index.json").unlink()
    shell = (
        f"cd {root} && find . -type f -printf '%P\\n' | tr '\\n' '\\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum"
    )
    expected = subprocess.run(["sh", "-c", shell], check=True, capture_output=True, text=True).stdout.split()[0]
    answers = [local, digest(f"file://{root}"), *remote]
    assert [answer.stdout for answer in answers] == [f"sha256:{expected}\n"] * 4, [a.stderr for a in answers]


def test_of_one_file_it_is_its_sha256(tmp_path: Path, plain_web: tuple[str, Path]) -> None:
    """Also from a server that knows no ranges; as JSON with what it was made of."""
    url, root = plain_web
    content = FILES["sub/w.bin"]
    (root / "w.bin").write_bytes(content)
    expected = "sha256:" + hashlib.sha256(content).hexdigest()
    assert digest(str(root / "w.bin")).stdout == f"{expected}\n"
    answer = json.loads(digest(f"{url}/w.bin", "-o", "json").stdout)
    assert (answer["digest"], answer["files"], answer["bytes"]) == (expected, 1, len(content))


def test_fetch_accepts_what_digest_prints(s3: S3Server, bucket: str, to: Path) -> None:
    """The value can be put into the resource as it is, also for a folder of which a server needs one file."""
    s3.put(bucket, "m/net.mar", b"mar")
    s3.put(bucket, "m/README", b"text")
    value = digest(f"s3://{bucket}/m", "--endpoint", s3.endpoint).stdout.strip()
    args = ("--endpoint", s3.endpoint, "--layout", "torchserve", "--model-name", "net", "--digest", value)
    assert fetch(to, f"s3://{bucket}/m", *args).message["digest"] == value
    assert sorted(path.name for path in to.iterdir()) == [".pantala", "net.mar"]


def test_failures_have_the_exit_codes_of_fetch(s3: S3Server) -> None:
    """And say why on stderr."""
    answer = digest("s3://no-such-bucket/x", "--endpoint", s3.endpoint)
    assert (answer.returncode, answer.stdout) == (10, "")
    assert answer.stderr.startswith("NotFound: bucket of s3://no-such-bucket/x does not exist")
