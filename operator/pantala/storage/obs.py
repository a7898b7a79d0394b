"""Huawei Cloud OBS.

It is asked at `BUCKET.` and the endpoint's host if that is `obs.REGION.myhuaweicloud.com`; any other host is taken for a
domain that is bound to the bucket (opendal's service obs).
"""

from pantala.storage.bucket import BucketStorage
from pantala.storage.plain import Fields, Need

OBS = BucketStorage(
    "obs",
    Fields(
        "obs://",
        endpoint=Need.REQUIRED,
        example="https://obs.eu-west-101.myhuaweicloud.com",
        endpoint_port=False,
        public=False,  # opendal's service sends no request without a signature
        required_keys=("HUAWEI_CLOUD_ACCESS_KEY_ID", "HUAWEI_CLOUD_SECRET_ACCESS_KEY"),
    ),
)
"""`obs://bucket/key`."""
