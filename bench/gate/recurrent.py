"""Train a small recurrent net on calls by a recipe, and write its weights.

The net is a GRU with one output. Training is truncated back-propagation over sequences,
with weighted binary cross-entropy and AdamW with a cosine rate. The only regularisers
are feature noise and weight decay. Only this module needs PyTorch.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import nn

from bench.gate.corpus import Calls

NOISE = 0.1
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The parameters of a training."""

    units: int
    sequence_frames: int
    batch: int
    # A sequence from mid-call has no history: its first frames have no weight.
    warm_up_frames: int
    # The share of sequences that start at the start of a call.
    from_the_start: float
    rate: float
    decay: float
    # A further change of a sequence's features, in place.
    vary: Callable[[NDArray[np.float32], np.random.Generator], None] | None = None


class Net(nn.Module):
    """A net of dsp/gru.pxd with one output; its scaling is kept apart."""

    def __init__(
        self, units: int, mean: NDArray[np.float32], scale: NDArray[np.float32]
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.gru = nn.GRU(len(mean), units, batch_first=True)
        self.out = nn.Linear(units, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log-odds [calls, frames] of scaled features."""
        hidden, _ = self.gru(x)
        return self.out(hidden).squeeze(-1)


def train(recipe: Recipe, calls: Calls, steps: int, seed: int = 1) -> Net:
    """Train for `steps` steps; print the loss at times.

    On one thread, because the order of sums would change the weights.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    every = np.concatenate(calls.features)
    mean, scale = every.mean(0), 1 / (every.std(0) + 1e-3)
    net = Net(recipe.units, mean, scale.astype(np.float32))
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    began, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        batch = _batch(recipe, calls, mean, scale, rng)
        x, y, w = (torch.from_numpy(part) for part in batch)
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
    recipe: Recipe,
    calls: Calls,
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], ...]:
    shape = (recipe.batch, recipe.sequence_frames)
    x = np.zeros((*shape, len(mean)), np.float32)
    y = np.zeros(shape, np.float32)
    w = np.zeros(shape, np.float32)
    for row in range(recipe.batch):
        call = int(rng.integers(len(calls.features)))
        frames = len(calls.features[call])
        start = int(rng.integers(0, max(1, frames - recipe.sequence_frames)))
        if rng.random() < recipe.from_the_start:
            start = 0
        end = min(frames, start + recipe.sequence_frames)
        x[row, : end - start] = calls.features[call][start:end]
        if recipe.vary is not None:
            recipe.vary(x[row, : end - start], rng)
        y[row, : end - start] = calls.labels[call][start:end]
        w[row, : end - start] = calls.weights[call][start:end]
        if start:
            w[row, : recipe.warm_up_frames] = 0
    x = (x - mean) * scale
    x += NOISE * rng.standard_normal(x.shape, np.float32)
    return x.astype(np.float32), y, w


def weights_of(net: Net) -> bytes:
    """Return the floats in the compiled net's order, with the scaling folded in."""
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    units = net.gru.hidden_size
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]  # torch: r, z, n
    from_input = (state["gru.weight_ih_l0"][order] * state["scale"]).T
    bias = state["gru.bias_ih_l0"][order] - state["mean"] @ from_input
    hidden_bias = state["gru.bias_hh_l0"][order]
    bias[: 2 * units] += hidden_bias[: 2 * units]
    parts = (
        from_input,
        bias,
        state["gru.weight_hh_l0"][order].T,
        hidden_bias[2 * units :],
        state["out.weight"],
        state["out.bias"],
    )
    return b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in parts)


def save(net: Net, path: Path, made_of: Sequence[Path], **made_with: object) -> None:
    """Write the weights: a line of JSON that describes their origin, then the floats.

    The header has a hash over this file and `made_of`, and the values of `made_with`.
    """
    sources = [*made_of, Path(__file__)]
    hashed = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    about = {
        "version": VERSION,
        "units": net.gru.hidden_size,
        "inputs": int(net.mean.numel()),
        **made_with,
        "torch": torch.__version__,
        "made_of_sha256": hashed.hexdigest(),
    }
    path.write_bytes(orjson.dumps(about) + b"\n" + weights_of(net))
