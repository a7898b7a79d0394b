from pathlib import Path

import pytest
from opendal import Operator
from opendal.exceptions import PermissionDenied

from tests.cluster.addons.s3 import S3Gateway, S3Server


def _operator(s3: S3Server, bucket: str) -> Operator:
    return Operator(
        "s3",
        bucket=bucket,
        endpoint=s3.endpoint,
        region=s3.region,
        access_key_id=s3.access_key,
        secret_access_key=s3.secret_key,
        disable_config_load="true",
        disable_ec2_metadata="true",
    )


def test_what_was_put_is_listed_and_read(s3: S3Server, tmp_path: Path) -> None:
    """An S3 client sees the objects that a test stored, from bytes and from a folder."""
    s3.create_bucket("round")
    s3.create_bucket("round")
    s3.put("round", "one.bin", b"1" * 100_000)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "two words.txt").write_text("2")
    s3.put_folder("round", "folder/", tmp_path)
    operator = _operator(s3, "round")
    assert operator.read("one.bin") == b"1" * 100_000
    files = [entry.path for entry in operator.scan("") if not entry.path.endswith("/")]
    assert sorted(files) == ["folder/deep/two words.txt", "one.bin"]
    assert s3.get("round", "folder/deep/two words.txt") == b"2"


def test_denied_is_a_real_403_and_ends() -> None:
    """A server told to deny answers 403 to reads and listings, and serves again afterwards."""
    with S3Server() as server:
        server.create_bucket("closed")
        server.put("closed", "weights", b"x")
        server.deny_all()
        operator = _operator(server, "closed")
        with pytest.raises(PermissionDenied, match="InvalidAccessKeyId"):
            operator.read("weights")
        with pytest.raises(PermissionDenied, match="InvalidAccessKeyId"):
            list(operator.list(""))
        server.deny_all(denied=False)
        assert operator.read("weights") == b"x"


@pytest.mark.p2p
def test_the_gateway_checks_keys(s3_gateway: S3Gateway) -> None:
    """It knows the keys that it was told, and no others; a removed one is refused."""
    s3_gateway.create_bucket("keys")
    s3_gateway.put("keys", "weights", b"x")
    operator = _operator(s3_gateway, "keys")
    assert operator.read("weights") == b"x"
    keys = s3_gateway.add_key("AKIAADDED00000000000", "secret-of-the-added")

    def read() -> bytes:
        options = {"access_key_id": keys["AWS_ACCESS_KEY_ID"], "secret_access_key": keys["AWS_SECRET_ACCESS_KEY"]}
        options |= {"bucket": "keys", "endpoint": s3_gateway.endpoint, "region": "us-east-1"}
        return Operator("s3", disable_config_load="true", disable_ec2_metadata="true", **options).read("weights")

    assert read() == b"x"
    s3_gateway.remove_key("AKIAADDED00000000000")
    with pytest.raises(PermissionDenied, match="InvalidAccessKeyId"):
        read()
