"""The noise gate: one 20 ms frame in, one small decision out.

Theory of operation. A frame is decoded by table, filtered to the speech band (to
measure only), and measured: level, noise floor, SNR, periodicity, keypad tones, music.
The state machine opens on speech evidence and closes after the hangover:

    SILENCE --(snr >= start)--> MAYBE_SPEECH --(confirmed)--> SPEECH
    SPEECH  --(snr < stop for hangover frames)--> SILENCE

Evidence needs level (`vad_threshold_rms`), SNR, and either voicing within the last
frames or much more SNR for longer, so that a click does not open. What we play to the
caller raises the bar: a near frame more than ECHO_MARGIN_DB under the loudest far frame
of the last half second may be its echo. `analyze` measures and leaves audio alone.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport log10, sqrt
from libc.stdint cimport uint8_t

from dsp.bandpass cimport Bandpass, bandpass_run
from dsp.dtmf cimport dtmf_fill, dtmf_is_tone
from dsp.g711 cimport LINEAR
from dsp.music cimport Music, music_update
from dsp.noise cimport NoiseFloor, noise_reset, noise_update
from dsp.periodicity cimport Periodicity, periodicity_update

SILENCE = 0
MAYBE_SPEECH = 1
SPEECH = 2
STATE_MASK = 3
VOICE = 4
MUSIC = 8

cdef enum:
    FRAME = 160
    FAR_FRAMES = 25         # half a second: the longest echo path of a telephone line
    CONFIRM_FRAMES = 2      # voiced evidence that opens the gate
    CONFIRM_UNVOICED = 4    # the same without voicing: longer than a click
    VOICED_MEMORY = 5       # frames for which voicing counts as recent
    MAYBE_MISSES = 2

# A telephone's echo return loss is 14 dB or more in the evaluation's calls.
cdef double ECHO_MARGIN_DB = 14.0
# Squared correlation from which a frame counts as voiced; noise reads under 0.15.
cdef double VOICED = 0.30
cdef double UNVOICED_EXTRA_DB = 6.0
# A floor this low means a quiet line and likely a quiet caller: thresholds 1 dB lower.
cdef double QUIET_FLOOR_RMS = 40.0
cdef double FULL_SCALE_DB = 90.30899869919435   # 20 log10(32768)
# AGC: speech is brought to -22 dBov, in steps of 0.5 dB, at most 18 dB.
cdef double AGC_TARGET_DBOV = -22.0
cdef int AGC_STEPS = 36

cdef double DTMF_COEFFICIENTS[8]
dtmf_fill(DTMF_COEFFICIENTS)


cdef class NoiseGate:
    """The gate of one call; all its state is in the object, all its input in `analyze`.

    Thresholds are in dB (SNR) and 16-bit linear units (RMS) of the filtered signal.
    """

    cdef Bandpass _bandpass
    cdef NoiseFloor _noise
    cdef Periodicity _periodicity
    cdef Music _music
    cdef float _far[FAR_FRAMES]
    cdef int _far_index
    cdef double _snr_start[2]
    cdef double _snr_stop[2]
    cdef double _vad_rms, _voice_rms, _rms, _snr_db, _voiced, _far_max
    cdef double _speech_level
    cdef int _hangover, _state, _active, _misses, _quiet, _since_voiced
    cdef bint _agc, _is_tone
    cdef int _gain_step, _gain_wait
    cdef long long _frames

    def __init__(
        self, *, int calibration_ms=600, double snr_start_normal_db=8.0,
        double snr_stop_normal_db=5.0, double snr_start_music_db=12.0,
        double snr_stop_music_db=8.0, double noise_floor_rms=120.0,
        double vad_threshold_rms=200.0, double voice_threshold_rms=500.0,
        int hangover_frames=10, bint agc=False,
    ):
        cdef int i
        self._snr_start[0] = snr_start_normal_db
        self._snr_start[1] = snr_start_music_db
        self._snr_stop[0] = snr_stop_normal_db
        self._snr_stop[1] = snr_stop_music_db
        self._vad_rms = vad_threshold_rms
        self._voice_rms = voice_threshold_rms
        self._hangover = hangover_frames
        self._agc = agc
        self._since_voiced = VOICED_MEMORY + 1
        self._speech_level = AGC_TARGET_DBOV
        for i in range(FAR_FRAMES):
            self._far[i] = -127
        self._far_max = -127
        noise_reset(
            &self._noise, noise_floor_rms * noise_floor_rms, calibration_ms // 20
        )

    def analyze(self, bytes frame not None, double far_dbfs=-127.0):
        """Take one frame of 160 mu-law bytes; return state | VOICE | MUSIC.

        `far_dbfs` is the level of what the caller hears in the same 20 ms. Raises
        ValueError for a frame of another size.
        """
        if PyBytes_GET_SIZE(frame) != FRAME:
            raise ValueError(
                f"expected a frame of {FRAME} bytes, got {PyBytes_GET_SIZE(frame)}"
            )
        return self._analyze(<const uint8_t *> PyBytes_AS_STRING(frame), far_dbfs)

    cdef int _analyze(self, const uint8_t *frame, double far_dbfs) noexcept nogil:
        cdef double linear[FRAME]
        cdef double band[FRAME]
        cdef double energy = 0, floor_rms
        cdef bint is_echo, is_music, is_active, is_voiced
        cdef int i
        for i in range(FRAME):
            linear[i] = LINEAR[frame[i]]
        bandpass_run(&self._bandpass, linear, band, FRAME)
        for i in range(FRAME):
            energy += band[i] * band[i]
        self._is_tone = dtmf_is_tone(DTMF_COEFFICIENTS, band, FRAME, energy)
        self._voiced = periodicity_update(&self._periodicity, band)
        energy /= FRAME
        self._rms = sqrt(energy)
        noise_update(&self._noise, energy)
        floor_rms = sqrt(self._noise.floor)
        self._snr_db = 20 * log10((self._rms + 1e-3) / floor_rms)
        is_music = music_update(&self._music, energy, self._voiced, self._noise.floor)
        self._note_far(far_dbfs)
        is_echo = self._is_echo()
        self._since_voiced += 1
        if self._voiced > VOICED and not self._is_tone:
            self._since_voiced = 0
        is_voiced = self._since_voiced <= VOICED_MEMORY
        is_active = self._step(is_music, is_echo, is_voiced, floor_rms)
        if self._agc:
            self._adapt_gain()
        self._frames += 1
        return self._code(is_music, is_active, is_voiced)

    cdef void _note_far(self, double far_dbfs) noexcept nogil:
        cdef int i
        if far_dbfs != far_dbfs or far_dbfs < -127:
            far_dbfs = -127
        self._far[self._far_index] = <float> far_dbfs
        self._far_index = (self._far_index + 1) % FAR_FRAMES
        self._far_max = -127
        for i in range(FAR_FRAMES):
            if self._far[i] > self._far_max:
                self._far_max = self._far[i]

    cdef bint _is_echo(self) noexcept nogil:
        cdef double near_dbfs
        if self._far_max < -60:
            return False
        near_dbfs = 20 * log10(self._rms + 1e-3) - FULL_SCALE_DB
        return near_dbfs < self._far_max - ECHO_MARGIN_DB

    cdef bint _step(
        self, bint is_music, bint is_echo, bint is_voiced, double floor_rms
    ) noexcept nogil:
        cdef double start = self._snr_start[is_music]
        cdef double stop = self._snr_stop[is_music]
        cdef bint is_speechlike = not is_echo and not self._is_tone
        cdef bint is_active
        if floor_rms < QUIET_FLOOR_RMS and not is_music:
            start -= 1
            stop -= 1
        is_speechlike = is_speechlike and self._rms >= self._vad_rms
        is_active = is_speechlike and self._snr_db >= start
        if self._state == 2:
            if is_speechlike and self._snr_db >= stop:
                self._quiet = 0
            else:
                self._quiet += 1
                if self._quiet > self._hangover:
                    self._state = 0
                    self._active = 0
        elif is_active:
            self._state = 1
            self._misses = 0
            self._active += 1
            if self._active >= CONFIRM_FRAMES and is_voiced:
                self._open()
            elif (
                self._active >= CONFIRM_UNVOICED
                and self._snr_db >= start + UNVOICED_EXTRA_DB
            ):
                self._open()
        elif self._state == 1:
            self._misses += 1
            if self._misses >= MAYBE_MISSES:
                self._state = 0
                self._active = 0
        return is_active

    cdef void _open(self) noexcept nogil:
        self._state = 2
        self._quiet = 0

    cdef int _code(self, bint is_music, bint is_active, bint is_voiced) noexcept nogil:
        cdef int code = self._state
        if is_active and is_voiced and self._rms >= self._voice_rms:
            code |= 4
        if is_music:
            code |= 8
        return code

    cdef void _adapt_gain(self) noexcept nogil:
        """Follow the level of speech slowly; never on noise, never up in a hurry."""
        cdef double level = 20 * log10(self._rms + 1e-3) - FULL_SCALE_DB
        cdef int wanted
        if self._state != 2 or self._snr_db < self._snr_start[0]:
            return
        self._speech_level += (0.3 if level > self._speech_level else 0.02) * (
            level - self._speech_level
        )
        wanted = <int> (2 * (AGC_TARGET_DBOV - self._speech_level))
        wanted = max(0, min(AGC_STEPS, wanted))
        self._gain_wait += 1
        if wanted < self._gain_step:
            self._gain_step = wanted
        elif wanted > self._gain_step and self._gain_wait >= 5:
            self._gain_step += 1
            self._gain_wait = 0

    @property
    def rms(self):
        """The last frame's level in the speech band, 16-bit linear units."""
        return self._rms

    @property
    def floor_rms(self):
        """The noise floor, 16-bit linear units."""
        return sqrt(self._noise.floor)

    @property
    def snr_db(self):
        """The last frame's level over the floor."""
        return self._snr_db

    @property
    def periodicity(self):
        """How voiced the last frame is, 0 to 1."""
        return self._voiced

    @property
    def music(self):
        """Whether the strict thresholds are in force."""
        return bool(self._music.is_music)

    @property
    def is_tone(self):
        """Whether the last frame is a keypad tone."""
        return bool(self._is_tone)

    @property
    def state(self):
        """SILENCE, MAYBE_SPEECH or SPEECH."""
        return self._state

    @property
    def far_dbfs(self):
        """The loudest far frame of the last half second."""
        return self._far_max

    @property
    def gain_step(self):
        """Index into `dsp.g711.GAIN_TABLES`; 0 is unity."""
        return self._gain_step

    @property
    def frames(self):
        """How many frames were analysed."""
        return self._frames
