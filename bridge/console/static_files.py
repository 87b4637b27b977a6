"""The scripts and styles of the pages, in memory, under URLs that never change.

One hash of all files stands in each URL, so that a script may name another by a
relative path, and a browser may keep each file for ever. All workers of a build have
the same hash. Each file is compressed once, at the start: 80 kB of styles are 12.
"""

import gzip
import hashlib
import mimetypes
from pathlib import Path

from aiohttp import web

from bridge.console.console import ROOT

FOLDER = Path(__file__).parent / "static"
HASH_CHARS = 12
_KEPT = "public, max-age=31536000, immutable"


class StaticFiles:
    """Every file below `static/`."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in (".css", ".js", ".svg", ".woff2")
        }
        self._packed = {
            name: gzip.compress(data, 9, mtime=0)
            for name, data in self._files.items()
            if not name.endswith(".woff2")
        }
        digest = hashlib.sha256()
        for name, data in self._files.items():
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        self.hash = digest.hexdigest()[:HASH_CHARS]

    def url(self, name: str) -> str:
        """Return the URL of a file; raises KeyError if there is none of this name."""
        if name not in self._files:
            raise KeyError(f"static/{name}: there is no such file")
        return f"{ROOT}/static/{self.hash}/{name}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return a file; one of another build is not kept by the browser."""
        name = request.match_info["name"]
        data = self._files.get(name)
        if data is None:
            raise web.HTTPNotFound
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if kind == "application/javascript":
            kind = "text/javascript"
        is_same = request.match_info["hash"] == self.hash
        headers = {
            "Cache-Control": _KEPT if is_same else "no-cache",
            "Vary": "Accept-Encoding",
        }
        packed = self._packed.get(name)
        if packed is not None and _takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            data = packed
        return web.Response(
            body=data, content_type=kind, charset="utf-8", headers=headers
        )


def _takes_gzip(request: web.Request) -> bool:
    """Tell whether a browser reads gzip; one with a weight (";q=0") gets it plain."""
    given = request.headers.get("Accept-Encoding", "").lower().split(",")
    return "gzip" in map(str.strip, given)
