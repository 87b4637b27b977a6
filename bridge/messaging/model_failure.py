"""Why the model that writes gave no answer, in the words of a turn."""

from enum import Enum

_DETAIL_CHARS_MAX = 300


class Failure(Enum):
    """What went wrong."""

    LATE = "late"
    BUSY = "busy"
    # The vendor's own fault, 5xx.
    ERROR = "error"
    # The request is not one that the vendor takes.
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    # An answer that is none: broken, cut short, empty.
    ODD = "odd"
    # More answers of the model than a turn may have.
    STEPS = "steps"


class ModelFailed(Exception):
    """The model has not answered; `wait_s` is how long the vendor wants to be left."""

    def __init__(self, failure: Failure, detail: str = "", wait_s: float = 0.0) -> None:
        super().__init__(f"{failure.value}: {detail[:_DETAIL_CHARS_MAX]}")
        self.failure = failure
        self.wait_s = wait_s
