# The bars: over which log-odds of the first net a frame opens the gate, keeps it open,
# and is a sound. They were chosen on generated calls (bench/gate/README.md).
#
# `under_db` is how far the frame's SNR lies under the threshold, 0 if it does not.

cdef enum:
    CONFIRM_FRAMES = 2      # frames with evidence that open the gate
    CONFIRM_UNVOICED = 4    # the same without voicing: longer than a click
    UNVOICED_EXTRA_DB = 6
    NEVER = 1_000_000
    GAP_FRAMES = 3          # after which a word is only remembered


cdef inline double over_opening(
    double logit, double under_db, bint is_early
) noexcept nogil:
    """Return how far a frame lies over the bar of an onset.

    At first the floors are not known, and a caller who speaks from the first frame on
    is in them: the net is in doubt, and a voiced frame needs less.
    """
    return logit - (-0.7 if is_early else 0.8) - 0.2 * under_db


cdef inline int frames_enough(double logit) noexcept nogil:
    """Return how many frames with evidence open the gate, this one included.

    With one frame that is sure, the onset takes 79 ms instead of 91.
    """
    return 1 if logit >= 2 else CONFIRM_FRAMES


cdef inline int frames_unscored(bint is_voiced, double over_db) noexcept nogil:
    """Return the same without a score; `over_db` is the SNR over the threshold."""
    if is_voiced:
        return CONFIRM_FRAMES
    return CONFIRM_UNVOICED if over_db >= UNVOICED_EXTRA_DB else NEVER


cdef inline bint may_stay(double logit, double under_db, int quiet) noexcept nogil:
    """Tell whether a frame may keep the gate open, `quiet` frames after the last."""
    return logit >= (0.5 if quiet >= GAP_FRAMES else -0.8) + 0.2 * under_db


cdef inline bint may_be_sound(double logit, double under_db) noexcept nogil:
    """Tell whether a frame that keeps the gate open is itself a sound.

    A score that only remembers the last word is none, nor is what noise prolongs.
    """
    return logit >= max(0.6, -0.8 + 0.4 * under_db)


cdef inline bint may_begin(double logit) noexcept nogil:
    """Tell whether a frame may be the soft beginning of a word."""
    return logit >= -2
