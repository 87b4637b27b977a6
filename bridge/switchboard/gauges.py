"""The gauges of the calls of one process."""

from bridge.switchboard.admission import Admission


def gauges_of(
    calls: int, calls_max: int, admission: Admission, orphans: int
) -> dict[str, tuple[str, float]]:
    """Return each gauge with its help text.

    `calls_max` is MAX_CALLS_PER_WORKER; `orphans` are sessions with the model whose
    call has ended.
    """
    return {
        "calls_active": ("Calls in progress", calls),
        "calls_max": (
            "Calls that may run: MAX_CALLS_PER_WORKER, summed over the workers",
            calls_max,
        ),
        "admission_closed": (
            "Workers that turn new calls away, or did so in the last ten seconds, "
            "because their event loop is busy or late",
            float(admission.is_closed),
        ),
        "loop_busy": (
            "Share of the last second in which the event loop worked or waited for "
            "the processor; with several workers, the sum",
            admission.busy,
        ),
        "model_sessions_orphaned": (
            "Sessions with the model whose call has ended; above 0 it is a bug",
            orphans,
        ),
    }
