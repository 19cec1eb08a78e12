"""Trains the built-in respondent and writes its assets; one command, one seed.

    python examples/respondent/train.py [--steps N] [--out DIR]

Recipe: Muon for the hidden matrices and AdamW for embeddings and norms; a short first stage of many
roles with few items, then fewer roles with more; every fifth step is foreign; the last part runs in
float32.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from assets import write_assets
from batches import Batch, Batches
from items import VALUES
from net import Muon, Respondent
from text import Encoder, make_tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from world import WIDTH, make_world

ASSETS = Path(__file__).resolve().parents[2] / "engine" / "assets" / "respondent"
SEED = 1
STEPS, FINISH_STEPS = 1800, 450
FINISH_SCALE = 0.35  # of the full rates, at the start of the finish
MUON_RATE, ADAM_RATE, DECAY = 0.02, 0.003, 0.3
NORM_LIMIT = 5.0  # the stream's norm is held near this
PROBE_LAYER = 2


class Trainer:
    """Network, optimisers and the linear probe that is thrown away afterwards."""

    def __init__(self, batches: Batches, vocabulary: int) -> None:
        torch.manual_seed(SEED)
        self.net, self.probe = Respondent(vocabulary), nn.Linear(WIDTH, len(VALUES))
        self.restart(batches, probing=True)

    def restart(self, batches: Batches, probing: bool) -> None:
        """Go on with other batches and fresh optimisers, with or without the probe's loss."""
        self.batches, self.probing = batches, probing
        matrices = [p for n, p in self.net.named_parameters() if n.endswith("proj.weight")]
        rest = [p for n, p in self.net.named_parameters() if not n.endswith("proj.weight")]
        self.muon = Muon(matrices, DECAY)
        groups: list[dict[str, Any]] = [{"params": rest}, {"params": self.probe.parameters()}]
        self.adam = torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, batch: Batch, scale: float, half: bool) -> dict[str, float]:
        """One update at `scale` times the full rates, with matrix products in bfloat16 if `half`."""
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            parts = self.losses(batch)
        loss = torch.stack(list(parts.values())).sum() * batch.weight
        self.net.zero_grad()
        self.probe.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.muon.step(MUON_RATE * scale)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * scale
        self.adam.step()
        return {name: float(part.detach()) for name, part in parts.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms of one batch."""
        net = self.net
        stream, streams = net(batch.ids, batch.layout, self.batches.encoder.span, batch.steering)
        flat = stream.reshape(-1, WIDTH)
        answers = F.linear(flat[batch.answer_at], net.embed_tokens.weight).float().log_softmax(-1)
        answer = -(answers[:, self.batches.first] * batch.answers).sum(-1).mean()
        entropy = -(batch.answers * batch.answers.clamp_min(1e-9).log()).sum(-1).mean()
        logits = F.linear(flat[batch.text_at], net.embed_tokens.weight).float()
        text = (F.cross_entropy(logits, batch.text, reduction="none") * batch.text_weight).sum() / len(
            batch.answer_at
        )
        norms = torch.stack([s.square().sum(-1) for s in streams[:-1]]) / NORM_LIMIT**2
        parts = {
            "answer": answer - entropy,
            "text": text,
            "norm": 0.02 * F.relu(norms - 1).mean(),
        }
        if self.probing:
            last = streams[PROBE_LAYER][torch.arange(len(batch.last)), batch.last]
            parts["probe"] = 0.3 * F.mse_loss(self.probe(last.float()), batch.values)
        return parts


def rate_scale(progress: float) -> float:
    """Warm-up, constant, then cosine from 40 % of the way to near zero."""
    if progress < 0.4:
        return min(1.0, 0.05 + progress / 0.02)
    x = (progress - 0.4) / 0.6
    return 0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(x * 3.14159265))))


def make_batch(batches: Batches, number: int, progress: float) -> Batch:
    """Every fifth batch is foreign; own ones have many roles first, more items later."""
    if number % 5 == 4:
        return batches.foreign(8, 6)
    return batches.own(24, 5) if progress < 0.12 else batches.own(16, 12)


def report(number: int, steps: int, start: float, sums: dict[str, list[float]]) -> None:
    """Print the mean losses of own and foreign steps since the last report, and empty them."""
    means = "  ".join(f"{name} {sum(x) / len(x):.4f}" for name, x in sorted(sums.items()))
    print(f"{number}/{steps}  {time.time() - start:.0f} s  {means}", flush=True)
    sums.clear()


def train(trainer: Trainer, steps: int, finish: bool = False) -> None:
    """`steps` updates; a finish has lower, falling rates and is one third foreign."""
    sums: dict[str, list[float]] = {}
    start = time.time()
    for number in range(steps):
        progress = number / steps
        if finish:
            batch = trainer.batches.own(16, 12) if number % 3 else trainer.batches.foreign(8, 6)
            parts = trainer.step(batch, FINISH_SCALE * (1 - progress), half=progress < 0.8)
        else:
            batch = make_batch(trainer.batches, number, progress)
            parts = trainer.step(batch, rate_scale(progress), half=progress < 0.94)
        kind = "own" if batch.weight == 1 else "foreign"
        for name, part in parts.items():
            sums.setdefault(f"{kind}.{name}", []).append(part)
        if (number + 1) % 100 == 0:
            report(number + 1, steps, start, sums)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the built-in respondent and write its assets.")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--finish", type=int, default=FINISH_STEPS)
    parser.add_argument("--out", type=Path, default=ASSETS)
    arguments = parser.parse_args()
    # One thread: the sums, and with them the weights, depend on the number of threads.
    torch.set_num_threads(1)
    world = make_world()
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer)
    trainer = Trainer(Batches(world, encoder, SEED, finish=False), tokenizer.get_vocab_size())
    train(trainer, arguments.steps)
    # The finish adds the option that is unsure and makes the marked foreign words decide alone.
    batches = Batches(world, encoder, SEED + 1, finish=True)
    trainer.restart(batches, probing=False)
    train(trainer, arguments.finish, finish=True)
    write_assets(arguments.out, world, batches, trainer.net)


if __name__ == "__main__":
    main()
