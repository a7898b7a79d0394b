"""Alibaba Cloud OSS, asked at `BUCKET.` and the endpoint's host."""

from pantala.storage.bucket import BucketStorage
from pantala.storage.plain import Fields, Need

OSS = BucketStorage(
    "oss",
    Fields(
        "oss://",
        endpoint=Need.REQUIRED,
        example="https://oss-cn-hangzhou.aliyuncs.com",
        required_keys=("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        optional_keys=("ALIBABA_CLOUD_SECURITY_TOKEN",),
    ),
)
"""`oss://bucket/key`."""
