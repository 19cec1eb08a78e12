"""Roles and traits of a run as proposals: whose baseline scores they are chosen by."""

from __future__ import annotations

import polars as pl

from cluster.guide_choosing import Chosen, asked_alike
from cluster.guide_judges import Judges
from cluster.stages import scored_items
from discovery.guide_proposal import Proposal
from discovery.guide_roles import RoleScores, role_proposals
from discovery.guide_search import Search
from discovery.guide_traits import trait_proposals
from engine.conditions import BASELINE
from engine.roles import NO_ROLE
from engine.run_dir import RunDir
from engine.scores import part_scores


def proposals_by_roles(
    run: RunDir, chosen: Chosen, judges: Judges, search: Search, top: int
) -> list[Proposal]:
    """At most `top` roles, and `top` traits, by rising cost of each."""
    scores = _scores(run, chosen, judges, search)
    texts = {role.name: role.text for role in chosen.inputs.roles}
    given = [role.text for role in judges.roles]
    roles = role_proposals(scores, search, top, ratio=judges.ratio if judges.new_items else 1.0)
    ratio = judges.ratio if judges.new_items else None
    return roles + trait_proposals(scores, texts, given, search, top, ratio=ratio)


def _scores(run: RunDir, chosen: Chosen, judges: Judges, search: Search) -> RoleScores:
    """Of all roles that were asked alike. They are compared with "no role", where that is among them."""
    scored = scored_items(run).filter(
        pl.col("role").cast(pl.String).is_in(asked_alike(run, chosen, judges))
        & (pl.col("condition").cast(pl.String) == BASELINE)
    )
    parts = part_scores(scored, "item", drop_shared=chosen.inputs.study.scoring.drop_shared_items)
    asked = NO_ROLE.name in parts["role"].unique().to_list()
    return RoleScores.of(parts, search.model.names, NO_ROLE.name if asked else None)
