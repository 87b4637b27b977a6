"""Train the learned score on generated calls and write its weights.

A GRU of UNITS units and one output, by truncated back-propagation over 16 s sequences:
weighted binary cross-entropy, AdamW with a cosine rate, feature noise as the only
regulariser besides weight decay. PyTorch is needed here and nowhere else.
"""

import hashlib
import time
from pathlib import Path

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import nn

from bench.gate.corpus import Calls

UNITS = 32
SEQUENCE_FRAMES = 800
BATCH = 48
# A sequence that starts in mid-call has no history: its first frames are not learnt.
WARM_UP_FRAMES = 40
NOISE = 0.1
# The far level of a sequence is moved by up to this much; columns as in features.pxd.
FAR_DB = 7.0
FAR_SILENCE_DB = 12.05
VERSION = 1
# What the hash in the weights' header is taken over.
MADE_OF = ("corpus.py", "lines.py", "material.py", "train.py")


class Net(nn.Module):
    """The net of dsp/score.pxd with its scaling apart."""

    def __init__(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.gru = nn.GRU(len(mean), UNITS, batch_first=True)
        self.out = nn.Linear(UNITS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log-odds [calls, frames] of scaled features."""
        hidden, _ = self.gru(x)
        return self.out(hidden).squeeze(-1)


def train(calls: Calls, steps: int, seed: int = 1) -> Net:
    """Train for so many steps; print the loss now and then."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    every = np.concatenate(calls.features)
    mean, scale = every.mean(0), 1 / (every.std(0) + 1e-3)
    net = Net(mean, scale.astype(np.float32))
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    began, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        x, y, w = (torch.from_numpy(part) for part in _batch(calls, mean, scale, rng))
        cost = (
            nn.functional.binary_cross_entropy_with_logits(
                net(x), y, weight=w, reduction="sum"
            )
            / w.sum()
        )
        optimiser.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(cost.detach())
        if step % 100 == 0:
            spent = time.monotonic() - began
            print(f"step {step} of {steps}: loss {total / 100:.4f}, {spent:.0f} s")
            total = 0.0
    return net


def _batch(
    calls: Calls,
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], ...]:
    width = calls.features[0].shape[1]
    x = np.zeros((BATCH, SEQUENCE_FRAMES, width), np.float32)
    y = np.zeros((BATCH, SEQUENCE_FRAMES), np.float32)
    w = np.zeros((BATCH, SEQUENCE_FRAMES), np.float32)
    for row in range(BATCH):
        call = int(rng.integers(len(calls.features)))
        frames = len(calls.features[call])
        start = int(rng.integers(0, max(1, frames - SEQUENCE_FRAMES)))
        if rng.random() < 0.3:
            start = 0
        end = min(frames, start + SEQUENCE_FRAMES)
        x[row, : end - start] = calls.features[call][start:end]
        _shift_far(x[row, : end - start], rng.uniform(-FAR_DB, FAR_DB))
        y[row, : end - start] = calls.labels[call][start:end]
        w[row, : end - start] = calls.weights[call][start:end]
        if start:
            w[row, :WARM_UP_FRAMES] = 0
    x = (x - mean) * scale
    x += NOISE * rng.standard_normal(x.shape, np.float32)
    return x.astype(np.float32), y, w


def _shift_far(x: NDArray[np.float32], shift_db: float) -> None:
    """Move the far level of a sequence, and with it the loss of the echo path.

    The generated calls play everything at one level; a model's voices differ.
    """
    loudest = x[:, 20].copy()
    for column in (20, 22, 23):
        is_heard = x[:, column] > FAR_SILENCE_DB
        x[is_heard, column] = np.maximum(x[is_heard, column] + shift_db, FAR_SILENCE_DB)
    x[:, 21] += loudest - x[:, 20]


def weights_of(net: Net) -> bytes:
    """Return the floats in the order of ScoreWeights, the scaling folded in."""
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    order = np.r_[UNITS : 2 * UNITS, 0:UNITS, 2 * UNITS : 3 * UNITS]  # torch: r, z, n
    from_input = (state["gru.weight_ih_l0"][order] * state["scale"]).T
    bias = state["gru.bias_ih_l0"][order] - state["mean"] @ from_input
    hidden_bias = state["gru.bias_hh_l0"][order]
    bias[: 2 * UNITS] += hidden_bias[: 2 * UNITS]
    parts = (
        from_input,
        bias,
        state["gru.weight_hh_l0"][order].T,
        hidden_bias[2 * UNITS :],
        state["out.weight"],
        state["out.bias"],
    )
    return b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in parts)


def save(net: Net, path: Path, seeds: list[int], steps: int) -> None:
    """Write the weights: a line of JSON that says what made them, then the floats."""
    sources = (Path(__file__).with_name(name) for name in MADE_OF)
    made_of = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    about = {
        "version": VERSION,
        "units": UNITS,
        "inputs": int(net.mean.numel()),
        "seeds": seeds,
        "steps": steps,
        "torch": torch.__version__,
        "made_of_sha256": made_of.hexdigest(),
    }
    path.write_bytes(orjson.dumps(about) + b"\n" + weights_of(net))
