"""Train a learned score on generated calls, and write its weights.

The net is a GRU with two outputs (dsp/score.pxd). Training is truncated
back-propagation over parts of calls, with weighted binary cross-entropy and AdamW with
a cosine rate. Parts are heard alone, or one after another with the net's state, as in
production (`Recipe.carried`). The only regularisers are feature noise, an offset of
features, a shift of the far level, and weight decay. Only this module needs PyTorch.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import nn

from bench.gate.calls import Calls
from bench.gate.quantise import Trained, quantised

NOISE = 0.1
VERSION = 2
OUTPUTS = 2
# The largest shift of a call's far level; columns as in features.pxd.
FAR_DB = 6.0
FAR_SILENCE_DB = 12.05
FAR_LOUDEST, UNDER_FAR, FAR_COLUMNS = 36, 37, (36, 38, 39, 40)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The parameters of a training."""

    steps: int
    units: int = 48
    # Errors are propagated back through a part of a call, 16 s at most.
    part_frames: int = 800
    batch: int = 64
    # The share of each batch in which a call's parts follow one another, and the net's
    # state with them.
    carried: float = 0.0
    # Of the rest: the share of parts that are the start of a call. Others have no
    # history, and their first frames no weight.
    from_the_start: float = 0.35
    warm_up_frames: int = 50
    rate: float = 5e-3
    # What an error of the second output costs, beside one of the first.
    double_talk_share: float = 0.6
    decay: float = 1e-2
    # The deviation of what is added to each feature of a call, the same in each frame:
    # other lines and voices.
    offset: float = 0.0


class Net(nn.Module):
    """The net of dsp/score.pxd; its scaling is kept apart."""

    def __init__(
        self, units: int, mean: NDArray[np.float32], scale: NDArray[np.float32]
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.units, self.inputs = units, len(mean)
        self.gru = nn.GRU(len(mean), units, batch_first=True)
        self.out = nn.Linear(units, OUTPUTS)

    def forward(
        self, x: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-odds [calls, frames, outputs] of scaled features, and the state.

        `hidden` [1, calls, units] is the state before the first frame.
        """
        states, hidden = self.gru(x, hidden)
        return self.out(states), hidden


def train(
    recipe: Recipe, calls: Calls, seed: int = 1, start: Trained | None = None
) -> Net:
    """Train by the recipe, from random weights or from `start`; print the losses.

    On one thread, because the order of sums would change the weights.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean, scale = _scaling(calls) if start is None else (start.mean, start.scale)
    net = Net(recipe.units, mean, scale)
    if start is not None:
        _put(net, start)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    shares = torch.tensor([1.0, recipe.double_talk_share])
    parts = _Parts(recipe, calls, mean, scale, rng)
    hidden = torch.zeros(1, recipe.batch, recipe.units)
    began, total = time.monotonic(), np.zeros(OUTPUTS)
    for step in range(1, recipe.steps + 1):
        hidden = hidden.detach()
        hidden[0, parts.renewed()] = 0
        x, y, w = (torch.from_numpy(part) for part in parts.next())
        odds, hidden = net(x, hidden)
        cost = nn.functional.binary_cross_entropy_with_logits(
            odds, y[..., None].expand(-1, -1, OUTPUTS), weight=w, reduction="none"
        ).sum((0, 1)) / w.sum((0, 1)).clamp(min=1)
        optimiser.zero_grad()
        (cost * shares).sum().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += cost.detach().numpy()
        if step % 100 == 0:
            spent = time.monotonic() - began
            losses = " ".join(f"{one:.4f}" for one in total / 100)
            line = f"step {step} of {recipe.steps}: loss {losses}, {spent:.0f} s"
            print(line, flush=True)
            total[:] = 0
    return net


def _scaling(calls: Calls) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and 1 / deviation of each feature."""
    count = sum(len(rows) for rows in calls.features)
    mean = sum(rows.sum(0, dtype=np.float64) for rows in calls.features) / count
    square = sum(((rows - mean) ** 2).sum(0) for rows in calls.features) / count
    scale = 1 / (np.sqrt(square) + 1e-3)
    return mean.astype(np.float32), scale.astype(np.float32)


class _Parts:
    """The parts of calls that a batch consists of, step by step.

    A part that ends with its call is filled up with frames of no weight.
    """

    def __init__(
        self,
        recipe: Recipe,
        calls: Calls,
        mean: NDArray[np.float32],
        scale: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> None:
        self._recipe, self._calls, self._rng = recipe, calls, rng
        self._mean, self._scale = mean, scale
        self._call, self._start = [0] * recipe.batch, [0] * recipe.batch
        self._far_db = np.zeros(recipe.batch)
        self._offset = np.zeros((recipe.batch, len(mean)), np.float32)
        for row in range(recipe.batch):
            # They must not all end together.
            self._renew(row, from_the_start=False)

    def renewed(self) -> list[int]:
        """Begin other calls where one has ended, or everywhere; return their rows."""
        rows = [
            row
            for row in range(self._recipe.batch)
            if not self._is_carried(row) or self._start[row] >= self._frames(row)
        ]
        for row in rows:
            share = self._recipe.from_the_start
            self._renew(row, self._is_carried(row) or self._rng.random() < share)
        return rows

    def next(self) -> tuple[NDArray[np.float32], ...]:
        """Return the next parts' scaled features, labels and weights."""
        recipe = self._recipe
        shape = (recipe.batch, recipe.part_frames)
        x = np.zeros((*shape, len(self._mean)), np.float32)
        y = np.zeros(shape, np.float32)
        w = np.zeros((*shape, OUTPUTS), np.float32)
        for row, (call, start) in enumerate(zip(self._call, self._start, strict=True)):
            end = min(self._frames(row), start + recipe.part_frames)
            x[row, : end - start] = self._calls.features[call][start:end]
            _shift_far(x[row, : end - start], self._far_db[row])
            y[row, : end - start] = self._calls.labels[call][start:end]
            w[row, : end - start] = self._calls.weights[call][start:end]
            if start and not self._is_carried(row):
                w[row, : recipe.warm_up_frames] = 0
            self._start[row] = end
        x = (x - self._mean) * self._scale
        x += NOISE * self._rng.standard_normal(x.shape, np.float32)
        x += self._offset[:, None]
        return x.astype(np.float32), y, w

    def _renew(self, row: int, from_the_start: bool) -> None:
        self._call[row] = int(self._rng.integers(len(self._calls.features)))
        latest = 0 if from_the_start else self._frames(row) - self._recipe.part_frames
        self._start[row] = int(self._rng.integers(0, max(1, latest)))
        self._far_db[row] = self._rng.uniform(-FAR_DB, FAR_DB)
        offset = self._rng.standard_normal(len(self._mean), np.float32)
        self._offset[row] = self._recipe.offset * offset

    def _is_carried(self, row: int) -> bool:
        return row < self._recipe.carried * self._recipe.batch

    def _frames(self, row: int) -> int:
        return len(self._calls.features[self._call[row]])


def _shift_far(x: NDArray[np.float32], shift_db: float) -> None:
    """Move the far level of a call's part, and with it the loss of the echo path."""
    loudest = x[:, FAR_LOUDEST].copy()
    for column in FAR_COLUMNS:
        is_heard = x[:, column] > FAR_SILENCE_DB
        x[is_heard, column] = np.maximum(x[is_heard, column] + shift_db, FAR_SILENCE_DB)
    x[:, UNDER_FAR] += loudest - x[:, FAR_LOUDEST]


def _put(net: Net, weights: Trained) -> None:
    units = net.gru.hidden_size
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]  # torch: r, z, n
    hidden_bias = np.concatenate([np.zeros(2 * units), weights.hidden_bias])
    values = {
        "gru.weight_ih_l0": weights.input[order],
        "gru.weight_hh_l0": weights.hidden[order],
        "gru.bias_ih_l0": weights.bias[order],
        "gru.bias_hh_l0": hidden_bias,
        "out.weight": weights.output,
        "out.bias": weights.output_bias,
    }
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.from_numpy(np.array(values[name], np.float32)))


def weights_of(net: Net) -> bytes:
    """Return the net's weights in the compiled net's order, as 16 bits."""
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    units = net.gru.hidden_size
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]  # torch: r, z, n
    hidden_bias = state["gru.bias_hh_l0"][order]
    bias = state["gru.bias_ih_l0"][order]
    bias[: 2 * units] += hidden_bias[: 2 * units]
    return quantised(
        Trained(
            input=state["gru.weight_ih_l0"][order],
            hidden=state["gru.weight_hh_l0"][order],
            bias=bias,
            hidden_bias=hidden_bias[2 * units :],
            mean=state["mean"],
            scale=state["scale"],
            output=state["out.weight"],
            output_bias=state["out.bias"],
        )
    )


def save(net: Net, path: Path, made_of: Sequence[Path], **made_with: object) -> None:
    """Write the weights: a line of JSON that describes their origin, then the net.

    The header has a hash over this file and `made_of`, and the values of `made_with`.
    """
    sources = [*made_of, Path(__file__)]
    hashed = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    about = {
        "version": VERSION,
        "units": net.units,
        "inputs": net.inputs,
        **made_with,
        "torch": torch.__version__,
        "made_of_sha256": hashed.hexdigest(),
    }
    path.write_bytes(orjson.dumps(about) + b"\n" + weights_of(net))
