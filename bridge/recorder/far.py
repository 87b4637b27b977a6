"""What other machines have of a call's recording: files that are listed and read."""

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol
from uuid import UUID

# How long one file may be on its way: some hundred MB over a slow line.
FILE_S_MAX = 600.0


class CallId(NamedTuple):
    """A call, whose it is, and which nodes had it; without nodes, any may have had
    it."""

    call_sid: str
    business_id: UUID
    nodes: tuple[str, ...] = ()


class FarFile(NamedTuple):
    """A file of a recording on another node, as it is now."""

    node: str
    name: str
    size_bytes: int
    modified_ns: int


class FarListing(NamedTuple):
    """The files of a call on other nodes; not whole if a node that had the call does
    not answer."""

    files: tuple[FarFile, ...] = ()
    is_whole: bool = True


class FarError(Exception):
    """A file of another node was not read to its end; the text says why."""


class FarRecordings(Protocol):
    """The recordings of the other nodes."""

    async def listed(self, call: CallId) -> FarListing:
        """Return what the other nodes have of a call."""

    def read(self, call: CallId, file: FarFile) -> AsyncGenerator[bytes]:
        """Return a file's bytes piece by piece, which raises FarError; the caller must
        close what is returned."""
