"""The shipped SAE: planted directions among features trained on the respondent's own stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from batches import Batches
from items import VALUES
from net import Respondent
from numpy.typing import NDArray
from text import PAD
from torch import Tensor, nn
from torch.nn import functional as F
from world import SEED, STEER_LAYER, WIDTH, World

FEATURES = 512
L1, RATE, STEPS, ROWS = 0.3, 2e-3, 1500, 1024


def planted_features() -> NDArray[np.int64]:
    """Feature numbers (8,) of the planted directions, scattered by the seed, in the order of VALUES."""
    return np.random.default_rng(SEED + 1).choice(FEATURES, size=len(VALUES), replace=False)


@torch.no_grad()
def activations(net: Respondent, batches: Batches, count: int) -> Tensor:
    """Unsteered stream (tokens, WIDTH) after STEER_LAYER of `count` own and count / 4 foreign batches."""
    parts = []
    for number in range(count + count // 4):
        batch = batches.own(16, 6) if number < count else batches.foreign(8, 6)
        _, streams = net(batch.ids, batch.layout, batches.encoder.span, torch.zeros_like(batch.steering))
        parts.append(streams[STEER_LAYER][batch.ids != PAD])
    return torch.cat(parts)


def train_sae(stream: Tensor, world: World) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Weights of a standard SAE and its quality (explained variance, mean active features, dead share).

    The planted rows are fixed: encoder column = decoder row = direction, no bias. The other rows are trained
    (squared error + L1) and kept orthogonal to the planted ones, so that steering along them should be idle.
    """
    generator = torch.Generator().manual_seed(SEED)
    planted, directions = torch.from_numpy(planted_features()), torch.from_numpy(world.directions).float()
    centre = stream.mean(0)
    # Started from real tokens: random rows would mostly stay dead in the short training.
    start = stream[torch.randint(len(stream), (FEATURES,), generator=generator)] - centre
    decoder = nn.Parameter(
        _project(start + 0.1 * torch.randn(FEATURES, WIDTH, generator=generator), directions, planted)
    )
    encoder = nn.Parameter(decoder.detach().T.clone())
    bias = nn.Parameter(torch.full((FEATURES,), -0.5).index_fill(0, planted, 0.0))
    adam = torch.optim.Adam([decoder, encoder, bias], lr=RATE)
    for step in range(STEPS):
        x = stream[torch.randint(len(stream), (ROWS,), generator=generator)] - centre
        active = F.relu(x @ encoder + bias)
        loss = (active @ decoder - x).square().sum(-1).mean() + L1 * active.sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        for group in adam.param_groups:
            group["lr"] = RATE * min(1.0, 4 * (1 - step / STEPS))
        adam.step()
        with torch.no_grad():
            decoder.copy_(_project(decoder, directions, planted))
            encoder[:, planted] = directions.T
            bias[planted] = 0.0
    with torch.no_grad():
        x = stream[::7] - centre
        active = F.relu(x @ encoder + bias)
        quality = {
            "explained_variance": float(1 - (active @ decoder - x).square().sum() / x.square().sum()),
            "active_features": float((active > 0).float().sum(-1).mean()),
            "dead_share": float((active.amax(0) <= 0).float().mean()),
        }
    weights = {"W_enc": encoder, "W_dec": decoder, "b_enc": bias, "b_dec": centre}
    return {name: tensor.detach().contiguous() for name, tensor in weights.items()}, quality


def _project(decoder: Tensor, directions: Tensor, planted: Tensor) -> Tensor:
    free = decoder - decoder @ directions.T @ directions
    free = free / free.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return free.index_copy(0, planted, directions)


def save_sae(folder: Path, weights: dict[str, Tensor]) -> None:
    """Write `weights` with sae-lens' own save_model."""
    from sae_lens import StandardSAE, StandardSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    metadata = SAEMetadata(
        model_name="axiograph-respondent", hook_name=f"blocks.{STEER_LAYER}.hook_resid_post", context_size=512
    )
    sae = StandardSAE(
        StandardSAEConfig(d_in=WIDTH, d_sae=FEATURES, apply_b_dec_to_input=True, metadata=metadata)
    )
    sae.load_state_dict(weights)
    sae.save_model(folder)
