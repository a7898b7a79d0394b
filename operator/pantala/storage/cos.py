"""Tencent Cloud COS, asked at `BUCKET.` and the endpoint's host; a bucket's name ends with the number of its owner."""

from pantala.storage.bucket import BucketStorage
from pantala.storage.plain import Fields, Need

COS = BucketStorage(
    "cos",
    Fields(
        "cos://",
        endpoint=Need.REQUIRED,
        example="https://cos.ap-singapore.myqcloud.com",
        endpoint_port=False,
        public=False,  # opendal's service sends no request without a signature
        required_keys=("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"),
        optional_keys=("TENCENTCLOUD_SECURITY_TOKEN",),
    ),
)
"""`cos://bucket-1250000000/key`."""
