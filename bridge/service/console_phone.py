"""Places the console's test calls, and says in the console's terms why one is not."""

from bridge.console.softphone_port import NotPlaced, PlacedCall
from bridge.switchboard.softphone import Softphone
from bridge.switchboard.unserved import Refused, Repeated, UnknownNumber, Unserved


class ConsolePhone:
    """The softphone of one process, as the console knows it."""

    def __init__(self, softphone: Softphone) -> None:
        self._softphone = softphone

    async def place(self, number: str, viewer: str) -> PlacedCall:
        """Open a test call to a business's number; raises NotPlaced."""
        try:
            return PlacedCall(*await self._softphone.place(number, viewer))
        except Refused as refused:
            raise NotPlaced(refused.limit.value) from None
        except Unserved as unserved:
            raise NotPlaced(unserved.reason) from None
        except (UnknownNumber, Repeated) as error:
            raise NotPlaced(type(error).__name__) from None
