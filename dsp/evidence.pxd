# Whether a voice over the AI's speech is certain: evidence, summed over frames.
#
# A frame's evidence for a caller is its log-odds. Evidence against one counts little,
# because syllables have dips. The sum is Wald's sequential test with its lower limit at
# zero. A loud word is certain in two frames, and then only has to be long enough. A
# sound that is a little like a voice is certain after half a second, or never. No frame
# counts for more than EVIDENCE_MOST, because a knock is two frames long. A frame with a
# little evidence against a caller is faint: it is counted once later frames have shown
# that it was the beginning of speech.

cdef enum:
    EVIDENCE_GAP = 3        # frames without a voice after which the sum is reset
    # All in log-odds; bench/gate/README.md has their effect.
    EVIDENCE_FAINT = -2
    EVIDENCE_MOST = 4
    EVIDENCE_LEAST = -1     # of any frame
    EVIDENCE_NONE = -100    # of a frame that cannot be a voice
    EVIDENCE_CERTAIN = 8

cdef struct Evidence:
    double margin           # of the last frame, in log-odds over the bar
    double sum
    int gap


cdef inline void evidence_update(Evidence *state, double margin) noexcept nogil:
    """Take how far a frame's log-odds lie above the bar of an onset."""
    cdef double step
    state.margin = margin
    if margin >= EVIDENCE_FAINT:
        state.gap = 0
    else:
        state.gap += 1
    step = min(max(margin, <double> EVIDENCE_LEAST), <double> EVIDENCE_MOST)
    state.sum = min(max(state.sum + step, 0.0), <double> (2 * EVIDENCE_CERTAIN))
    if state.gap > EVIDENCE_GAP:
        state.sum = 0


cdef inline bint evidence_is_certain(const Evidence *state) noexcept nogil:
    """Tell whether a caller is certain and still speaks."""
    return state.margin > 0 and state.sum >= EVIDENCE_CERTAIN
