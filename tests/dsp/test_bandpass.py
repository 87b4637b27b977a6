"""The band-pass: its numbers are scipy's."""

import re
from pathlib import Path

import pytest

PXD = Path(__file__).parents[2] / "dsp" / "bandpass.pxd"


def test_the_coefficients_are_those_of_the_design_call():
    signal = pytest.importorskip("scipy.signal")
    sos = signal.butter(2, [300, 3400], btype="bandpass", fs=8000, output="sos")
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d{6,}", PXD.read_text())]

    wanted = [*sos[0][:2], sos[0][4], sos[0][2], sos[0][5]]
    wanted += [sos[1][1], sos[1][4], sos[1][5]]
    assert all(
        min(abs(number - value) for number in numbers) < 1e-12
        for value in wanted
        if value not in (1.0, -2.0)
    )
