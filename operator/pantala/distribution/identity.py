"""The identity of a task in Dragonfly: the same bytes are asked for under the same name everywhere, and others never.

dfdaemon names a task by what the request says (dragonfly-client-util 1.5.10, id_generator): neither credentials nor the
endpoint are part of it, and who knows the name of a cached task gets its bytes without any key. So both go into the tag, as
an HMAC that nobody can guess without the key; with the etag, so that an object overwritten in place is another task. That
makes guessing hard. It is no boundary: whoever reaches the socket can list the tasks of the node.
"""

import hashlib
import hmac

APPLICATION = "pantala"
"""What every request says, so that dfdaemon's metrics tell our tasks from others."""
PIECE_LENGTH = 4 * 1024 * 1024
"""Bytes of a piece, the least that dfdaemon takes: a piece is one message, so it decides about the fetcher's memory.

Always said, because it is a part of the identity, and because dfdaemon would choose up to 64 MiB by the size of the file.
"""
_TAG_DIGITS = 32
_TASK_TYPE = "STANDARD"


def tag(secret: str, endpoint: str, etag: str) -> str:
    """Tag of an object.

    Args:
        secret: the key that the object is read with; empty for what everybody may read.
        endpoint: where the store is.
        etag: which content the object has.
    """
    parts = [part.encode() for part in (endpoint, etag)]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:_TAG_DIGITS]


def task_id(url: str, *, tag: str, piece_length: int = PIECE_LENGTH, revision: str = "") -> str:
    """Name of a task, as dfdaemon computes it for a request without filtered query parameters.

    Args:
        url: as it is in the request, character by character.
        tag: of the request.
        piece_length: of the request.
        revision: of the request's repository (Hugging Face, ModelScope); empty for other stores.
    """
    parts = (url, tag, APPLICATION, revision, str(piece_length), _TASK_TYPE)
    return hashlib.sha256("".join(parts).encode()).hexdigest()
