"""Kernels and walks under pytest-benchmark: each once here, timed by `make bench`."""

import pytest

from bench import naive, walks
from bench.kernels import KERNELS, frames_of, signals

SIGNALS = signals()


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel(benchmark, kernel, signal):
    run, frames = KERNELS[kernel](), SIGNALS[signal]

    def second():
        for frame in frames[:50]:
            run(frame)

    benchmark(second)


def test_uplink_walk(benchmark):
    messages = [
        walks.media(frame, number)
        for number, frame in enumerate(frames_of("human-en-reader-1")[:50])
    ]

    def given():
        return (walks.answered(), messages), {}

    sent = benchmark.pedantic(walks.uplink, setup=given, rounds=50)
    assert 0 < sent <= 50


def test_naive_uplink(benchmark):
    text = walks.media(frames_of("human-en-reader-1")[0], 1).decode()
    assert "input_audio_buffer.append" in benchmark(naive.relay, text)


def test_downlink_walk(benchmark):
    deltas = walks.deltas(5)

    def given():
        return (walks.answered(), deltas), {}

    sent = benchmark.pedantic(walks.downlink, setup=given, rounds=50)
    assert sent == 50
