SILENCE: int
MAYBE_SPEECH: int
SPEECH: int
STATE_MASK: int
VOICE: int
MUSIC: int
HINT: int
SOUND: int
FAINT: int
CERTAIN: int
ECHO: int
ECHOLESS: int
UNECHOED: int

class NoiseGate:
    def __init__(
        self,
        *,
        calibration_ms: int = 600,
        snr_start_normal_db: float = 8.0,
        snr_stop_normal_db: float = 4.0,
        snr_start_music_db: float = 12.0,
        snr_stop_music_db: float = 8.0,
        noise_floor_rms: float = 120.0,
        vad_threshold_rms: float = 130.0,
        voice_threshold_rms: float = 130.0,
        hangover_frames: int = 7,
        agc: bool = False,
        score: bool = True,
    ) -> None: ...
    def analyze(self, frame: bytes, far_dbfs: float = -127.0) -> int: ...
    @property
    def rms(self) -> float: ...
    @property
    def floor_rms(self) -> float: ...
    @property
    def snr_db(self) -> float: ...
    @property
    def periodicity(self) -> float: ...
    @property
    def features(self) -> tuple[float, ...]: ...
    @property
    def floors_db(self) -> tuple[float, ...]: ...
    @property
    def slow_floors_db(self) -> tuple[float, ...]: ...
    @property
    def echo_delay_ms(self) -> int | None: ...
    @property
    def score(self) -> float: ...
    @property
    def double_talk_score(self) -> float: ...
    @property
    def music(self) -> bool: ...
    @property
    def is_tone(self) -> bool: ...
    @property
    def state(self) -> int: ...
    @property
    def far_dbfs(self) -> float: ...
    @property
    def gain_step(self) -> int: ...
    @property
    def frames(self) -> int: ...
