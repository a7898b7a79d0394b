"""ModelScope, or another installation of it at `storage.endpoint`."""

from pantala.storage.hub import HubStorage
from pantala.storage.plain import Fields, Need

MODEL_SCOPE = HubStorage(
    "modelscope",
    "master",
    Fields("modelscope://", Need.OPTIONAL, "https://modelscope.cn", required_keys=("MODELSCOPE_API_TOKEN",)),
)
"""`modelscope://owner/repo[@revision][/path]`."""
