"""The noise gate: one 20 ms frame in, one small decision out.

Theory of operation. A frame is decoded, filtered to the speech band (to measure
only), and measured: level, noise floor, SNR, spectrum, periodicity, keypad
tones, music. From these and from the AI's level two small recurrent nets compute the
log-odds of a voice. The state machine opens on that evidence, and closes when it has
been absent for the hangover:

    SILENCE --(speech)--> MAYBE_SPEECH --(confirmed)--> SPEECH
    SPEECH  --(no speech for hangover frames)--> SILENCE

Speech needs level (`vad_threshold_rms`), no keypad tone, and log-odds over a bar. Each
dB that the SNR is under `snr_start` raises the bar of an onset; each dB under
`snr_stop` raises the bar of staying open. What is in doubt for long closes it
(dsp/doubt.pxd). While the AI is played, an onset must be louder than the usual echo
(dsp/echo.pxd). Whether it interrupts is decided by the second net (dsp/score.pxd),
whose log-odds are summed until a caller is certain (dsp/evidence.pxd), at any level
that is not a television's (dsp/bystander.pxd); a certain caller holds an open gate
open. ECHO marks a frame that may be echo alone, ECHOLESS a line on which no echo was
found, UNECHOED a gate that would be open if there was none (dsp/unechoed.pxd). Without
the score the SNR decides alone: voicing, or much more SNR for longer than a click,
confirms, and what is over ECHO_MARGIN_DB under the loudest far frame of the last half
second is its echo.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport exp, log10, sqrt
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from dsp.agc cimport Agc, agc_peak, agc_update
from dsp.bandpass cimport TARGET_PAST, Bandpass, bandpass_run
from dsp.bands cimport BAND_TABLES, BANDS, Bands, bands_power, bands_reset, bands_update
from dsp.bars cimport (
    frames_enough, frames_unscored, may_be_sound, may_begin, may_stay, over_opening,
)
from dsp.bystander cimport Bystander, bystander_bar
from dsp.doubt cimport Doubt, doubt_update, is_doubted, is_doubted_sound
from dsp.dtmf cimport dtmf_fill, dtmf_is_likely, dtmf_is_tone
from dsp.echo cimport (
    EchoPath, echo_heard, echo_played, echo_reset, echo_update, far_loudest,
    is_echoless, is_playing, louder_than_echo, may_be_echo,
)
from dsp.evidence cimport (
    EVIDENCE_FAINT, EVIDENCE_NONE, Evidence, evidence_is_certain, evidence_update,
)
from dsp.features cimport (
    CREST_PARTS, FAR_HEARD_DB, FEATURES, OVER_PEAK, Features, crest_db, features_reset,
    features_update, line_db, part_energies, power_db,
)
from dsp.g711 cimport FRAME, FRAME_MS, decode_frame
from dsp.gate_states cimport STATE_MAYBE, STATE_SILENCE, STATE_SPEECH, GateState
from dsp.gate_states cimport gate_state_step as step
from dsp.music cimport Music, music_update
from dsp.noise cimport NoiseFloor, noise_reset, noise_update, quiet_line_db
from dsp.periodicity cimport Periodicity, periodicity_update
from dsp.score cimport (
    DOUBLE_TALK_OUTPUT, DOUBLE_TALK_WEIGHTS, SCORE_WEIGHTS, Score, score_update,
)
from dsp.spectrum cimport BINS, SPECTRUM_TABLES, WINDOW, spectrum_update
from dsp.unechoed cimport (
    Unechoed, is_open, speech_logit, unechoed_step, unechoed_update,
)

cpdef enum:                 # a state and flags: what `analyze` returns
    SILENCE = STATE_SILENCE
    MAYBE_SPEECH = STATE_MAYBE
    SPEECH = STATE_SPEECH
    STATE_MASK = 3
    VOICE = 4
    MUSIC = 8
    HINT = 16
    SOUND = 32
    FAINT = 64
    CERTAIN = 128
    ECHO = 256
    ECHOLESS = 512
    UNECHOED = 1024

cdef enum:
    PAST = WINDOW - FRAME   # samples of the line before the frame
    VOICED_MEMORY = 5       # frames for which voicing counts as recent
    EARLY_FRAMES = 75       # 1.5 s

# The double-talk score is low: it has learnt more from sounds that are no caller.
cdef double DOUBLE_TALK_OPEN = -1.7
cdef double EVIDENCE_UNSCORED = 1.7     # a frame's, without a score: certain in five
# A telephone's echo return loss is 14 dB or more in the evaluation's calls.
cdef double ECHO_MARGIN_DB = 14.0
cdef double FAR_HEARD_DBFS = -60.0  # what is softer has no audible echo
# Squared correlation from which a frame counts as voiced; noise reads under 0.15.
cdef double VOICED = 0.30
cdef double FULL_SCALE_DB = 90.30899869919435   # 20 log10(32768)

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
    cdef float _past[PAST]
    cdef Bands _bands
    cdef Features _features
    cdef Score _score, _double_talk
    cdef Unechoed _unechoed
    cdef Bystander _bystander
    cdef EchoPath _echo
    cdef float _inputs[FEATURES]
    cdef float _logit
    cdef bint _is_scored
    cdef double _snr_start[2]
    cdef double _snr_stop[2]
    cdef double _vad_rms, _voice_rms, _rms, _snr_db, _voiced, _far_max
    cdef GateState _gate_state
    cdef Doubt _doubt
    cdef int _hangover, _since_voiced
    cdef bint _agc_on, _is_tone, _is_hint, _is_sound, _is_above_echo
    cdef Evidence _evidence
    cdef Agc _agc
    cdef int _gain_step
    cdef long long _frames

    def __init__(
        self, *, int calibration_ms=600, double snr_start_normal_db=8.0,
        double snr_stop_normal_db=4.0, double snr_start_music_db=12.0,
        double snr_stop_music_db=8.0, double noise_floor_rms=120.0,
        double vad_threshold_rms=130.0, double voice_threshold_rms=130.0,
        int hangover_frames=7, bint agc=False, bint score=True,
    ):
        self._snr_start[0] = snr_start_normal_db
        self._snr_start[1] = snr_start_music_db
        self._snr_stop[0] = snr_stop_normal_db
        self._snr_stop[1] = snr_stop_music_db
        self._vad_rms = vad_threshold_rms
        self._voice_rms = voice_threshold_rms
        self._hangover = hangover_frames
        self._agc_on = agc
        self._is_scored = score
        self._since_voiced = VOICED_MEMORY + 1
        bands_reset(&self._bands)
        features_reset(&self._features)
        echo_reset(&self._echo, power_db(0))
        self._far_max = -127
        noise_reset(
            &self._noise, noise_floor_rms * noise_floor_rms, calibration_ms // FRAME_MS
        )

    def analyze(self, bytes frame not None, double far_dbfs=-127.0):
        """Measure one frame of 160 mu-law bytes; return its state and flags (above).

        `far_dbfs` is the level of what the caller hears in the same 20 ms. Raises
        ValueError for a frame of another size.
        """
        if PyBytes_GET_SIZE(frame) != FRAME:
            raise ValueError(
                f"expected a frame of {FRAME} bytes, got {PyBytes_GET_SIZE(frame)}"
            )
        return self._analyze(<const uint8_t *> PyBytes_AS_STRING(frame), far_dbfs)

    cdef int _analyze(self, const uint8_t *frame, double far_dbfs) noexcept nogil:
        cdef float line[WINDOW]
        cdef float filtered[TARGET_PAST + FRAME]
        cdef float power[BINS]
        cdef float parts[CREST_PARTS]
        cdef float *samples = line + PAST
        cdef float *band = filtered + TARGET_PAST
        cdef double energy, floor_rms
        cdef float level_db, crest
        cdef bint is_echo, is_music, is_active, is_voiced, is_speech
        memcpy(line, self._past, sizeof(self._past))
        decode_frame(frame, samples)
        memcpy(self._past, line + FRAME, sizeof(self._past))
        bandpass_run(&self._bandpass, samples, band)
        energy = part_energies(band, parts)
        crest = crest_db(parts, <float> energy)
        spectrum_update(&SPECTRUM_TABLES, line, power)
        self._is_tone = dtmf_is_likely(power) and dtmf_is_tone(
            DTMF_COEFFICIENTS, band, FRAME, energy
        )
        self._voiced = periodicity_update(&self._periodicity, band)
        energy /= FRAME
        self._rms = sqrt(energy)
        is_speech = self._is_scored and self._gate_state.state == STATE_SPEECH
        noise_update(&self._noise, energy, is_speech)
        floor_rms = sqrt(self._noise.floor)
        self._snr_db = 20 * log10((self._rms + 1e-3) / floor_rms)
        is_music = music_update(&self._music, energy, self._voiced, self._noise.floor)
        far_dbfs = min(far_dbfs, 0.0) if far_dbfs >= -127 else -127     # NaN too
        echo_played(&self._echo, max(<float> (far_dbfs + FULL_SCALE_DB), power_db(0)))
        level_db = line_db(<float> energy)
        echo_heard(&self._echo, level_db, FAR_HEARD_DB)
        self._far_max = far_loudest(&self._echo) - FULL_SCALE_DB
        self._since_voiced += 1
        if self._voiced > VOICED and not self._is_tone:
            self._since_voiced = 0
        if self._is_scored:
            self._measure_speech(power, crest, level_db)
        is_echo = self._weigh_echo(far_dbfs)
        is_voiced = self._since_voiced <= VOICED_MEMORY
        is_active = self._step(is_music, is_echo, is_voiced, floor_rms)
        if self._agc_on:
            self._gain_step = agc_update(
                &self._agc, energy, agc_peak(samples, FRAME), is_active
            )
        self._frames += 1
        return self._code(is_music)

    cdef void _measure_speech(
        self, const float *power, float crest, float level_db
    ) noexcept nogil:
        cdef float levels_db[BANDS]
        cdef int i
        bands_power(&BAND_TABLES, power, levels_db)
        for i in range(BANDS):
            levels_db[i] = line_db(levels_db[i])
        bands_update(&self._bands, levels_db, self._since_voiced == 0)
        features_update(
            &self._features, &self._echo, &self._bands, crest, level_db,
            levels_db, <float> self._voiced, self._periodicity.lag, self._is_tone,
            self._inputs,
        )
        unechoed_update(
            &SCORE_WEIGHTS, &self._echo, self._inputs, level_db, &self._score,
            &self._gate_state, &self._unechoed,
        )
        score_update(&SCORE_WEIGHTS, &self._score, self._inputs)
        if is_playing(&self._echo, FAR_HEARD_DB):
            score_update(&DOUBLE_TALK_WEIGHTS, &self._double_talk, self._inputs)
        self._logit = speech_logit(&self._score, &self._unechoed)

    cdef bint _weigh_echo(self, double far_dbfs) noexcept nogil:
        """Distinguish the AI's echo from a voice over the AI."""
        cdef double near_dbfs = 20 * log10(self._rms + 1e-3) - FULL_SCALE_DB
        cdef double excess_db = near_dbfs - self._far_max
        cdef bint is_heard = self._far_max >= FAR_HEARD_DBFS
        self._is_above_echo = louder_than_echo(&self._echo, excess_db, is_heard)
        self._is_above_echo |= self._unechoed.counts
        if far_dbfs >= FAR_HEARD_DBFS:
            echo_update(&self._echo, excess_db)
        return is_heard and excess_db < -ECHO_MARGIN_DB

    cdef bint _weigh_evidence(self, bint is_active, double start) noexcept nogil:
        """Add the frame's evidence for a caller over the AI; tell if one is certain."""
        cdef double margin = EVIDENCE_UNSCORED if is_active else EVIDENCE_NONE
        if self._is_scored and self._far_max >= FAR_HEARD_DBFS:
            margin = self._double_talk.logits[DOUBLE_TALK_OUTPUT]
            margin -= DOUBLE_TALK_OPEN + bystander_bar(
                &self._bystander, &self._score, margin, self._rms, self._vad_rms
            )
        elif self._is_scored:
            margin = over_opening(self._logit, max(0.0, start - self._snr_db), False)
        if self._is_tone or self._rms < max(self._vad_rms, self._voice_rms):
            margin = EVIDENCE_NONE
        evidence_update(&self._evidence, margin)
        return self._far_max >= FAR_HEARD_DBFS and evidence_is_certain(&self._evidence)

    cdef bint _step(
        self, bint is_music, bint is_echo, bint is_voiced, double floor_rms
    ) noexcept nogil:
        """Move between the states; tell whether the frame holds speech."""
        cdef double off_db = 0 if is_music else quiet_line_db(floor_rms)
        cdef double start = self._snr_start[is_music] - off_db
        cdef double stop = self._snr_stop[is_music] - off_db
        cdef double under_start = max(0.0, start - self._snr_db)
        cdef double under_stop = max(0.0, stop - self._snr_db)
        cdef bint is_early = is_voiced and self._frames < EARLY_FRAMES
        cdef bint is_loud = not self._is_tone and self._rms >= self._vad_rms
        cdef bint is_active, is_kept, is_sure
        cdef int enough
        if self._is_scored:
            is_active = over_opening(self._logit, under_start, is_early) >= 0
            is_active = is_active and self._is_above_echo
            is_kept = may_stay(self._logit, under_stop, self._gate_state.quiet)
            self._is_hint = may_begin(self._logit)
            self._is_sound = is_kept and may_be_sound(self._logit, under_stop)
            enough = frames_enough(self._logit)
            unechoed_step(
                &self._unechoed, &self._gate_state, under_start, under_stop, is_early,
                is_loud, self._hangover,
            )
        else:
            is_active = not is_echo and self._snr_db >= start
            is_kept = not is_echo and self._snr_db >= stop
            self._is_hint = self._is_sound = is_kept
            enough = frames_unscored(is_voiced, self._snr_db - start)
        if not is_loud:
            is_active = is_kept = self._is_sound = False
        is_sure = self._weigh_evidence(is_active and is_voiced, start)
        if self._is_scored:
            doubt_update(
                &self._doubt, is_sure, self._logit, -self._inputs[OVER_PEAK], is_active
                or (is_kept and self._gate_state.state == STATE_SPEECH)
            )
            if is_doubted(&self._doubt):
                is_active = is_kept = False
            self._is_sound = self._is_sound and not is_doubted_sound(&self._doubt)
        step(&self._gate_state, is_active, is_kept or is_sure, enough, self._hangover)
        return is_active

    cdef int _code(self, bint is_music) noexcept nogil:
        cdef int code = self._gate_state.state
        cdef float level_db = line_db(<float> (self._rms * self._rms))
        code |= SOUND if self._is_sound and code == STATE_SPEECH else 0
        code |= VOICE if self._evidence.margin > 0 else 0
        code |= FAINT if self._evidence.margin >= EVIDENCE_FAINT else 0
        code |= CERTAIN if evidence_is_certain(&self._evidence) else 0
        code |= MUSIC if is_music else 0
        code |= HINT if self._is_hint else 0
        code |= ECHO if may_be_echo(&self._echo, level_db) else 0
        code |= ECHOLESS if is_echoless(&self._echo) else 0
        code |= UNECHOED if is_open(&self._unechoed) else 0
        return code

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
    def features(self):
        """The inputs of the learned score in the last frame."""
        return tuple([self._inputs[i] for i in range(FEATURES)])

    @property
    def floors_db(self):
        """The fast noise floor of each band, dB over one 16-bit unit."""
        return tuple([self._bands.fast_db[i] for i in range(BANDS)])

    @property
    def slow_floors_db(self):
        """The slow noise floor of each band, dB over one 16-bit unit."""
        return tuple([self._bands.slow_db[i] for i in range(BANDS)])

    @property
    def echo_delay_ms(self):
        """The delay of the call's echo, or None while it is unknown."""
        return self._echo.delay * FRAME_MS if self._echo.delay >= 0 else None

    @property
    def score(self):
        """How likely the near caller speaks in the last frame, 0 to 1."""
        return 1 / (1 + exp(-self._logit))

    @property
    def double_talk_score(self):
        """How likely a caller spoke when the AI was last heard, 0 to 1."""
        return 1 / (1 + exp(-self._double_talk.logits[DOUBLE_TALK_OUTPUT]))

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
        return self._gate_state.state

    @property
    def far_dbfs(self):
        """The loudest far frame of the last half second."""
        return self._far_max

    @property
    def gain_step(self):
        """The index into `dsp.g711.GAIN_TABLES`; 0 is unity gain."""
        return self._gain_step

    @property
    def frames(self):
        """The number of frames analysed."""
        return self._frames
