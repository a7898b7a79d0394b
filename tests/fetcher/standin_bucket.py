"""A stand-in for object stores that no emulator plays: it is a web proxy, so that every bucket's own host leads to it.

It answers as the S3-like interfaces of OSS, OBS and COS do, checks no signature, and notes how each request was signed.
What is shown with it: which host is asked, which path, and by which scheme the request is signed. No more.
"""

import hashlib
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from tests.fetcher.standin_http import Answer, Request, StandinServer, ranged


class StandinBucket(StandinServer):
    """One bucket, whatever its host."""

    def __init__(self) -> None:
        """Start it."""
        self.objects: dict[str, bytes] = {}
        super().__init__()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs, so that its requests come here."""
        return {"HTTP_PROXY": self.url, "http_proxy": self.url}

    @property
    def hosts(self) -> set[str]:
        """Hosts that were asked for."""
        return {urlsplit(request.raw).netloc for request in self.requests}

    def answer(self, request: Request) -> Answer:
        """List, or give an object."""
        key = request.path[1:]
        if not key:
            return self._list(request)
        if key not in self.objects:
            return Answer(404, b"<Error><Code>NoSuchKey</Code><Message>x</Message></Error>")
        etag = f'"{_md5(self.objects[key])}"'
        if request.headers.get("if-match", etag) != etag:
            return Answer(412, b"<Error><Code>PreconditionFailed</Code><Message>x</Message></Error>")
        return ranged(request, self.objects[key], ("ETag", etag), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"))

    def _list(self, request: Request) -> Answer:
        prefix = request.query.get("prefix", "")
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size><ETag>&quot;{_md5(content)}&quot;</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        body = (
            f"<?xml version='1.0'?><ListBucketResult><Name>b</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
        )
        return Answer(200, body.encode(), (("Content-Type", "application/xml"),))


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest().upper()
