"""A web server over a folder, in a process of its own: plain files, and as much of S3 as a reader needs.

aiohttp answers ranges and If-Match itself, by sendfile, so that it is faster than whatever reads from it. That makes it
the origin of the benchmarks (moto copies every object through Python several times); what S3 means is proven against
moto.

A file of the same path below DIR/.md5 holds a sum (base64) that is told as objects have it that rclone has uploaded.

    python tests/fetcher/web.py DIR PORT
"""

import sys
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web

ROOT = web.AppKey("root", Path)


async def listing(request: web.Request) -> web.Response:
    """ListObjectsV2 without pages."""
    bucket = request.app[ROOT] / request.match_info["bucket"]
    prefix = request.query.get("prefix", "")
    items = []
    for path in sorted(bucket.rglob("*")):
        key = path.relative_to(bucket).as_posix()
        if path.is_file() and key.startswith(prefix):
            status = path.stat()
            etag = f"&quot;{status.st_mtime_ns:x}-{status.st_size:x}&quot;"
            items.append(
                f"<Contents><Key>{escape(key)}</Key><Size>{status.st_size}</Size><ETag>{etag}</ETag>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            )
    body = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>b</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(items)}</KeyCount><MaxKeys>100000</MaxKeys>"
        f"<IsTruncated>false</IsTruncated>{''.join(items)}</ListBucketResult>"
    )
    return web.Response(text=body, content_type="application/xml")


async def file(request: web.Request) -> web.StreamResponse:
    """One file; aiohttp's etag is of mtime and size, as in the listing."""
    root, bucket, key = request.app[ROOT], request.match_info["bucket"], request.match_info["key"]
    path, note = root / bucket / key, root / ".md5" / bucket / key
    if not path.is_file():
        raise web.HTTPNotFound
    headers = {"X-Amz-Meta-Md5chksum": note.read_text()} if note.is_file() else None
    return web.FileResponse(path, chunk_size=1024 * 1024, headers=headers)


def main() -> None:
    root, port = Path(sys.argv[1]), int(sys.argv[2])
    app = web.Application()
    app[ROOT] = root
    app.router.add_get("/{bucket}", listing)
    app.router.add_get("/{bucket}/", listing)
    app.router.add_get("/{bucket}/{key:.+}", file)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()
