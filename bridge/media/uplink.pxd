"""The types of `uplink.py` where it is compiled; its text is there alone."""

from bridge.media.turn_end cimport TurnEnd
from bridge.media.voice_run cimport VoiceRun
from bridge.media.withheld_sound cimport WithheldSound


cdef class Uplink:
    cdef object _options
    cdef readonly object gate
    cdef readonly int _preroll_frames, _ring_frames
    cdef readonly bint _is_withholding
    cdef bint _is_agc_on, _is_heard_by_server, _may_begin, _ends_turns
    cdef readonly object _pending
    cdef object _pending_open
    cdef readonly TurnEnd turn_end
    cdef readonly VoiceRun voice
    cdef list _given
    cdef Py_ssize_t _given_end, _given_frames
    cdef long long _turn_silence_ms
    cdef readonly bytes remainder
    cdef readonly WithheldSound withheld_sound
    cdef readonly bint is_own
    cdef bint _is_echoless, _would_open
    cdef long long _silence_frames, _speech_end_ms, _uncommitted_ms
    cdef public long long appended_ms, turn_from_ms
    cdef public bint is_turn_open, is_unended, is_gate_open, is_voice, is_certain
    cdef public long long speech_frames
    cdef public long long forwarded_frames, silence_frames_sent, dropped_frames
    cdef public long long withheld_dropped_frames, given_dropped_frames
    cdef public long long unended_turns

    cpdef admit(self, bytes frame, double far_dbfs, bint withhold)
    cpdef bint has_turn_ended(self)
    cdef _note(self, long code)
    cpdef _forward(self)
    cdef _give_speech(self, object frames)
    cdef _wait(self)
    cdef _in_turn_silence(self, long long frames=*)
    cdef _keep_given(self, object frames)
    cdef _withhold(self)
    cdef _keep_withheld(self)
    cdef long long _may_be_wanted(self)
    cdef _withheld_silence(self, long long due)
    cdef _end_withholding(self)
    cdef _trim(self, long long keep)
    cdef _drop_oldest(self, long long count)
