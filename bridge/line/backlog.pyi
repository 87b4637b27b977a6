from asyncio import WriteTransport
from collections.abc import Callable

AUDIO_WAITING_BYTES_MAX: int
WAITING_BYTES_MAX: int

class Backlog:
    def open(self, transport: WriteTransport, drop: Callable[[bool], None]) -> None: ...
    def close(self) -> None: ...
    def takes(self, is_audio: bool, before_bytes: int = 0) -> bool: ...
