"""Trains the built-in respondent and writes its assets; one command, one seed.

    python examples/respondent/train.py [--out DIR] [--finish-from DIR]

Recipe: Muon for the hidden matrices and AdamW for embeddings and norms, constant then cosine; a short first
stage of many roles with few items, then fewer roles with more; foreign steps among the own ones once the own
items are understood; matrix products in bfloat16, the last part in float32. A finish at low rates, mostly of
random directions, makes those do nothing. It starts from the weights as the first part writes them, so that
`--finish-from` a folder written before repeats it alone.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from assets import load_model, write_assets
from batches import Batch, Batches, Mix
from items import VALUES
from net import Muon, Respondent
from text import Encoder, make_tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from world import FIELDS, SHIFT_PER_STRENGTH, SLOPE, WIDTH, make_world

ASSETS = Path(__file__).resolve().parents[2] / "engine" / "assets" / "respondent"
SEED = 1
STEPS, FINISH_STEPS = 3000, 500
FINISH_SCALE = 0.08  # of the full rates, at the start of the finish
MIX = Mix(steered=0.5, planted=(0.2, 0.4, 0.4), idle=4.0)
FINISH_MIX = Mix(steered=0.75, planted=(0.6, 0.2, 0.2), idle=12.0)
MUON_RATE, ADAM_RATE, DECAY = 0.02, 0.003, 0.3
NORM_LIMIT = 5.0  # the stream's norm is held near this
PROBE_LAYER = 2
PREFIX_WEIGHT, CUE_WEIGHT, ASKED_WEIGHT = 0.3, 0.3, 1.0  # of the probes
ODDS_WEIGHT, FINISH_ODDS_WEIGHT, LARGEST_LOG_ODDS = 0.4, 4.0, 9.0
FOREIGN_FROM, FOREIGN_EVERY = 0.25, 5
# Foreign answers never fit as well as own ones: at full weight their noise would drown what the own items
# teach, the more so the better those are known.
FOREIGN_WEIGHT = (0.3, 0.03)  # at the start and at the end


class Probes(nn.Module):
    """Linear readings of the stream after PROBE_LAYER, thrown away after the training.

    `prefix`: the values, at the last token before the question. Where an answer is predicted, `cue`: the
    values, and `asked`: what the question asks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prefix, self.cue = nn.Linear(WIDTH, len(VALUES)), nn.Linear(WIDTH, len(VALUES))
        self.asked = nn.Linear(WIDTH, len(VALUES) + 1)

    def forward(self, batch: Batch, stream: Tensor) -> Tensor:
        """The weighted squared errors; without them training sits on a plateau for minutes."""
        last = stream[torch.arange(len(batch.last)), batch.last]
        loss = PREFIX_WEIGHT * F.mse_loss(self.prefix(last), batch.values)
        if batch.foreign:
            return loss
        cue = stream[:, batch.layout.prefix :].flatten(0, 1)[batch.answer_at]
        values = batch.values.repeat_interleave(batch.layout.tails, dim=0)
        loss = loss + CUE_WEIGHT * F.mse_loss(self.cue(cue), values)
        return loss + ASKED_WEIGHT * F.mse_loss(self.asked(cue), batch.asked)


class Trainer:
    """Network, probes and optimisers; `odds_weight` is that of the squared error of the log-odds."""

    def __init__(self, batches: Batches, vocabulary: int) -> None:
        torch.manual_seed(SEED)
        self.batches, self.net, self.probes = batches, Respondent(vocabulary), Probes()
        self.start_options()
        self.probing, self.odds_weight = True, ODDS_WEIGHT
        self.start_optimisers()

    def start_optimisers(self) -> None:
        """Fresh ones."""
        matrices = [p for n, p in self.net.named_parameters() if n.endswith("proj.weight")]
        rest = [p for n, p in self.net.named_parameters() if not n.endswith("proj.weight")]
        self.muon = Muon(matrices, DECAY)
        groups: list[dict[str, Any]] = [{"params": rest}, {"params": self.probes.parameters()}]
        self.adam = torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.01)

    @torch.no_grad()
    def start_options(self) -> None:
        """Start each option's embedding with the strengths that it amounts to, along the planted directions.

        Roles and steering are then read by the same weights. Otherwise the network keeps its roles along
        directions of its own, which at the span must be ignored and at a role must be read.
        """
        world, encoder = self.batches.world, self.batches.encoder
        for options, loadings in zip(FIELDS.values(), world.loadings, strict=True):
            rows = loadings * world.noise_sd / SHIFT_PER_STRENGTH @ world.directions
            for option, row in zip(options, torch.from_numpy(rows).float(), strict=True):
                (token,) = encoder.ids(f" {option}")
                self.net.embed_tokens.weight[token] += row

    def start_finish(self, batches: Batches) -> None:
        """Go on with `batches` from weights rounded to those that are shipped, without probes."""
        self.batches, self.probing, self.odds_weight = batches, False, FINISH_ODDS_WEIGHT
        self.net.half().float()
        self.start_optimisers()

    def step(self, batch: Batch, scale: float, weight: float, half: bool) -> dict[str, float]:
        """One update at `scale` times the full rates, with matrix products in bfloat16 if `half`."""
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            parts = self.losses(batch)
        loss = torch.stack(list(parts.values())).sum() * weight
        self.net.zero_grad()
        self.probes.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.muon.step(MUON_RATE * scale)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * scale
        self.adam.step()
        return {name: float(part.detach()) for name, part in parts.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms of one batch."""
        net, first = self.net, self.batches.first
        stream, streams = net(batch.ids, batch.layout, self.batches.encoder.span, batch.steering)
        flat = stream.flatten(0, 1)
        logits = F.linear(flat[batch.answer_at], net.embed_tokens.weight).float()
        answer = -(logits.log_softmax(-1)[:, first] * batch.answers).sum(-1).mean()
        entropy = -(batch.answers * batch.answers.clamp_min(1e-9).log()).sum(-1).mean()
        words = F.cross_entropy(
            F.linear(flat[batch.text_at], net.embed_tokens.weight).float(), batch.text, reduction="none"
        )
        over = [F.relu(s.square().sum(-1) / NORM_LIMIT**2 - 1).mean() for s in streams[:-1]]
        parts = {
            "answer": answer - entropy,
            "text": (words * batch.text_weight).sum() / len(batch.answer_at),
            "norm": 0.02 * torch.stack(over).mean(),
        }
        if self.probing:
            parts["probe"] = self.probes(batch, streams[PROBE_LAYER])
        if not batch.foreign:
            # Far from a threshold the answer says little of the value; the log-odds go on telling.
            values = F.pad(batch.values.repeat_interleave(batch.layout.tails, dim=0), (0, 1), value=1.0)
            planted = (SLOPE * (values * batch.asked).sum(-1)).clamp(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
            found = logits[:, first[0]] - logits[:, first[1]]
            parts["odds"] = self.odds_weight * F.smooth_l1_loss(found / SLOPE, planted / SLOPE)
        return parts


def rate_scale(progress: float) -> float:
    """Warm-up, constant, then cosine from 30 % of the way to near zero."""
    if progress < 0.3:
        return min(1.0, 0.05 + progress / 0.02)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7))


def train(trainer: Trainer, steps: int) -> None:
    """`steps` updates; prints the mean losses of own and foreign steps now and then."""
    report = Report(steps)
    for number in range(steps):
        progress, weight = number / steps, 1.0
        if progress >= FOREIGN_FROM and number % FOREIGN_EVERY == FOREIGN_EVERY - 1:
            batch = trainer.batches.foreign(8, 6)
            weight = FOREIGN_WEIGHT[0] + (FOREIGN_WEIGHT[1] - FOREIGN_WEIGHT[0]) * progress
        else:
            batch = trainer.batches.own(24, 5) if progress < 0.12 else trainer.batches.own(16, 12)
        parts = trainer.step(batch, rate_scale(progress), weight, half=progress < 0.9)
        report.add(number, batch, parts)


def finish(trainer: Trainer, steps: int) -> None:
    """`steps` updates at low, linearly falling rates."""
    report = Report(steps)
    for number in range(steps):
        progress = number / steps
        foreign = number % FOREIGN_EVERY == FOREIGN_EVERY - 1
        batch = trainer.batches.foreign(8, 6) if foreign else trainer.batches.own(16, 12)
        scale = FINISH_SCALE * (1 - progress) * min(1.0, 0.1 + number / 20)
        weight = FOREIGN_WEIGHT[1] if foreign else 1.0
        report.add(number, batch, trainer.step(batch, scale, weight, half=progress < 0.7))


class Report:
    """Prints the mean losses of own and foreign steps every hundred steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.start = steps, time.time()
        self.sums: dict[str, list[float]] = {}

    def add(self, number: int, batch: Batch, parts: dict[str, float]) -> None:
        for name, part in parts.items():
            self.sums.setdefault(f"{'foreign' if batch.foreign else 'own'}.{name}", []).append(part)
        if (number + 1) % 100 == 0:
            means = "  ".join(f"{name} {sum(x) / len(x):.4f}" for name, x in sorted(self.sums.items()))
            print(f"{number + 1}/{self.steps}  {time.time() - self.start:.0f} s  {means}", flush=True)
            self.sums.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the built-in respondent and write its assets.")
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument(
        "--finish-from", type=Path, help="assets whose model takes the place of the first part"
    )
    arguments = parser.parse_args()
    # One thread: the sums, and with them the weights, depend on the number of threads.
    torch.set_num_threads(1)
    world, tokenizer = make_world(), make_tokenizer()
    encoder = Encoder(tokenizer)
    trainer = Trainer(Batches(world, encoder, SEED, MIX), tokenizer.get_vocab_size())
    if arguments.finish_from is None:
        train(trainer, STEPS)
    else:
        load_model(arguments.finish_from / "model", trainer.net)
    batches = Batches(world, encoder, SEED + 1, FINISH_MIX)
    trainer.start_finish(batches)
    finish(trainer, FINISH_STEPS)
    write_assets(arguments.out, world, batches, trainer.net)


if __name__ == "__main__":
    main()
