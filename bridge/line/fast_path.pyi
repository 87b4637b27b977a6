from collections.abc import Callable

from picows import WSListener, WSTransport

from bridge.line.backlog import Backlog
from bridge.line.legs import TwilioLeg
from bridge.media.fast_path import MediaFastPath

class Appender:
    def __init__(self, backlog: Backlog) -> None: ...
    def open(self, transport: WSTransport) -> None: ...
    def close(self) -> None: ...
    def append(self, audio: bytes) -> None: ...

class SocketFastPath:
    appender: Appender
    is_open: bool
    def __init__(
        self, fast_path: MediaFastPath, appender: Appender, clock: Callable[[], float]
    ) -> None: ...

class CallerListener(WSListener):
    def __init__(self, leg: TwilioLeg) -> None: ...
