# Doubt: what goes on for long, and is at no moment surely the caller.
#
# The net remembers a word for long, and where a machine or a street comes and goes, it
# stays in doubt once the caller has stopped. The turn then ended late, or never. A
# caller who talks is sure again and again: the net is, or the frame is nearly as loud
# as the loudest of the call. So what has not been sure for DOUBT_SOUND_FRAMES is no
# sound of the caller, and what has not been for DOUBT_FRAMES closes the gate, and keeps
# it closed. Once there was nothing for DOUBT_GONE_FRAMES, a new sound may open it.
#
# At a call's start the floors are not known, and the net is in doubt about callers.
#
# The values were chosen on recordings (bench/gate/README.md).

cdef enum:
    DOUBT_FROM = 300            # frames; earlier ones are not doubted
    DOUBT_SOUND_FRAMES = 25
    DOUBT_FRAMES = 36
    DOUBT_GONE_FRAMES = 50
    SURE_LOGIT = 3
    SURE_UNDER_PEAK_DB = 8

cdef struct Doubt:
    int unsure              # frames since the last that was sure
    int gone                # frames since the last that may be a voice
    int age                 # frames, up to DOUBT_FROM


cdef inline void doubt_update(
    Doubt *state, bint is_sure, float logit, float under_peak_db, bint may_be_voice
) noexcept nogil:
    """Take a frame: whether it is surely a caller's over the AI, the net's log-odds of
    a voice, its level under the loudest of the call, and whether it may be a voice."""
    state.gone = 0 if may_be_voice else min(state.gone + 1, DOUBT_GONE_FRAMES)
    is_sure = is_sure or logit >= SURE_LOGIT or under_peak_db <= SURE_UNDER_PEAK_DB
    if state.age < DOUBT_FROM:
        state.age += 1
        is_sure = True
    if is_sure or state.gone == DOUBT_GONE_FRAMES:
        state.unsure = 0
    else:
        state.unsure = min(state.unsure + 1, DOUBT_FRAMES + 1)


cdef inline bint is_doubted(const Doubt *state) noexcept nogil:
    """Tell whether what is heard is no caller."""
    return state.unsure > DOUBT_FRAMES


cdef inline bint is_doubted_sound(const Doubt *state) noexcept nogil:
    """Tell whether what is heard is no sound of the caller."""
    return state.unsure >= DOUBT_SOUND_FRAMES
