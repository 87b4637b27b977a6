"""Train the score over what we play (dsp/over.pxd) and write its weights.

A GRU of UNITS units and one output on what the gate's first net has made of a frame and
on its features, by truncated back-propagation over 8 s sequences; otherwise as
`train.py`. The first net is not touched.
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

UNITS = 16
SEQUENCE_FRAMES = 400
BATCH = 96
# A sequence that starts in mid-call has no history: its first frames are not learnt.
WARM_UP_FRAMES = 30
FROM_THE_START = 0.2
NOISE = 0.1
RATE, DECAY = 6e-3, 1e-2
VERSION = 1
# What the hash in the weights' header is taken over; the first net's weights, too.
MADE_OF = ("lines.py", "material.py", "over.py", "train_over.py")


class Net(nn.Module):
    """The net of dsp/over.pxd with its scaling apart."""

    def __init__(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.gru = nn.GRU(len(mean), UNITS, batch_first=True)
        self.out = nn.Linear(UNITS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log-odds [calls, frames] of scaled inputs."""
        hidden, _ = self.gru(x)
        return self.out(hidden).squeeze(-1)


def train(calls: Calls, steps: int, seed: int = 1) -> Net:
    """Train for so many steps; print the loss now and then."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    every = np.concatenate(calls.features)
    mean, scale = every.mean(0), 1 / (every.std(0) + 1e-3)
    net = Net(mean, scale.astype(np.float32))
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    began, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        x, y, w = (torch.from_numpy(part) for part in _batch(calls, mean, scale, rng))
        cost = nn.functional.binary_cross_entropy_with_logits(
            net(x), y, weight=w, reduction="sum"
        )
        cost = cost / w.sum()
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
    x = np.zeros((BATCH, SEQUENCE_FRAMES, len(mean)), np.float32)
    y = np.zeros((BATCH, SEQUENCE_FRAMES), np.float32)
    w = np.zeros((BATCH, SEQUENCE_FRAMES), np.float32)
    for row in range(BATCH):
        call = int(rng.integers(len(calls.features)))
        frames = len(calls.features[call])
        start = int(rng.integers(0, max(1, frames - SEQUENCE_FRAMES)))
        if rng.random() < FROM_THE_START:
            start = 0
        end = min(frames, start + SEQUENCE_FRAMES)
        x[row, : end - start] = calls.features[call][start:end]
        y[row, : end - start] = calls.labels[call][start:end]
        w[row, : end - start] = calls.weights[call][start:end]
        if start:
            w[row, :WARM_UP_FRAMES] = 0
    x = (x - mean) * scale
    x += NOISE * rng.standard_normal(x.shape, np.float32)
    return x.astype(np.float32), y, w


def weights_of(net: Net) -> bytes:
    """Return the floats in the order of OverWeights, the scaling folded in."""
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


def save(net: Net, path: Path, calls: int, steps: int) -> None:
    """Write the weights: a line of JSON that says what made them, then the floats."""
    here = Path(__file__).parent
    sources = [here / name for name in MADE_OF] + [path.with_name("score.weights")]
    made_of = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    about = {
        "version": VERSION,
        "units": UNITS,
        "inputs": int(net.mean.numel()),
        "calls": calls,
        "steps": steps,
        "torch": torch.__version__,
        "made_of_sha256": made_of.hexdigest(),
    }
    path.write_bytes(orjson.dumps(about) + b"\n" + weights_of(net))
