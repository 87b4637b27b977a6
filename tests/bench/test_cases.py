"""Callers with ground truth: what noise covers is not heard."""

import numpy as np
import pytest

from bench import cases


def test_noise_covers_the_soft_ends_of_speech_and_nothing_else():
    clean = np.full(8_000, 0.001)
    clean[2_400:5_600] = 0.1
    said = [(0.2, 0.8)]

    assert cases.heard_parts(clean, said, 0.01) == (0.3, 0.7)
    assert cases.heard_parts(clean, said, 0.0005) == (0.2, 0.8)


def test_clicks_before_the_first_word_are_no_onset():
    case = cases.case("human-en-reader-4", "none", 60, 0.0, 0)

    assert case.onset_s == pytest.approx(3.28, abs=0.02)
    assert case.heard_onset_s == pytest.approx(case.onset_s, abs=0.02)
    assert all(end > start for start, end in case.speech)
