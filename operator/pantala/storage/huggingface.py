"""Hugging Face Hub, or a mirror of it at `storage.endpoint`."""

from pantala.storage.hub import HubStorage
from pantala.storage.plain import Fields, Need

HUGGING_FACE = HubStorage(
    "hf", "main", Fields("hf://", Need.OPTIONAL, "https://huggingface.co", required_keys=("HF_TOKEN",))
)
"""`hf://owner/repo[@revision][/path]`."""
