import wave

from bridge.sandbox.result import CallResult


def test_a_call_is_saved_as_stereo(tmp_path):
    result = CallResult("CA1", "MZ1", near=b"\x10" * 80, far=b"\x20" * 160)
    result.save(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 8000, 160)
        left, right = file.readframes(1)[:2], file.readframes(1)[2:]
        assert int.from_bytes(left, "little", signed=True) == -15996
        assert int.from_bytes(right, "little", signed=True) == -7932
