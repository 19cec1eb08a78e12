"""How sure is every edge: PC on many resamples of the roles (DESIGN 12).

Half of the roles without replacement by default (Meinshausen & Bühlmann 2010, JRSS B 72, stability
selection); sampling with replacement is offered, and makes edges of its own, since copied roles look
like agreement: the inflation is measured and part of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.graph import CausalGraph
from discovery.pc import MIN_ROWS, Engine, FloatArray, PCResult, check_input, pc
from engine.errors import AxiographError, InputError

CountArray = NDArray[np.int64]
Progress = Callable[[int, int], None]
Part = TypeVar("Part")

NULL_REPLICATES = 20
MASSES = ("adjacent", "forward", "backward", "undirected", "bidirected", "absent")
_CHUNK = 8  # replicates a task: small enough for progress, large enough to hide the dispatch


class Resample(StrEnum):
    """How the rows of a replicate are drawn."""

    HALF_OF_ROLES = "half_of_roles"
    ROLES_WITH_REPLACEMENT = "roles_with_replacement"


@dataclass(frozen=True)
class Inflation:
    """Mean edges a graph: of the data, of its replicates, and of a null with every column permuted.

    Where `replicates` lies far above `full`, or `null_replicates` above `null_full`, resampling itself
    makes edges. `runs` permuted tables give two graphs each; `failed` of those 2 × runs could not be
    found and are in no mean, which is None where none is left."""

    full: int
    replicates: float | None
    null_full: float | None
    null_replicates: float | None
    runs: int
    failed: int = 0


@dataclass(frozen=True)
class BootstrapResult:
    """Edge counts over the replicates; `names` are the values, n of them, in column order.

    `forward` [n, n]: replicates with i → j; `undirected`, `bidirected` [n, n], symmetric; `together`
    [n, n]: replicates in which neither column was constant, which is what frequencies are taken over;
    `constant`: value → replicates in which it was constant; `failed`: reason → replicates. A failed
    replicate says nothing about any edge and is in no count."""

    names: tuple[str, ...]
    resample: Resample
    seed: int
    alpha: float
    n_roles: int
    rows: int
    replicates: int
    used: int
    forward: CountArray
    undirected: CountArray
    bidirected: CountArray
    together: CountArray
    constant: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    inflation: Inflation | None = None

    def adjacent(self) -> CountArray:
        """[n, n], symmetric: replicates in which any edge joins i and j."""
        return self.forward + self.forward.T + self.undirected + self.bidirected

    def edge_table(self) -> pl.DataFrame:
        """One row a pair a, b (a before b in column order): `replicates` it is counted over, and the
        frequencies of `adjacent`, `forward` (a → b), `backward`, `undirected`, `bidirected`, `absent`.

        `*_mc_low`, `*_mc_high`: 95 % Wilson interval of the Monte-Carlo error, that is of what infinitely
        many replicates of this same data would give; no statement about the truth of an edge. Null where
        the pair was never counted."""
        i, j = np.triu_indices(len(self.names), k=1)
        total = self.together[i, j]
        adjacent = self.adjacent()[i, j]
        counts = {
            "adjacent": adjacent,
            "forward": self.forward[i, j],
            "backward": self.forward[j, i],
            "undirected": self.undirected[i, j],
            "bidirected": self.bidirected[i, j],
            "absent": total - adjacent,
        }
        columns: dict[str, object] = {
            "a": [self.names[k] for k in i],
            "b": [self.names[k] for k in j],
            "replicates": total,
        }
        for name in MASSES:
            low, high = wilson(counts[name], total)
            columns |= {name: _share(counts[name], total), f"{name}_mc_low": low, f"{name}_mc_high": high}
        schema = dict.fromkeys(columns, pl.Float64) | {"a": pl.String, "b": pl.String, "replicates": pl.Int64}
        return pl.DataFrame(columns, schema=schema, nan_to_null=True)

    def consensus(self, threshold: float = 0.5) -> CausalGraph:
        """The graph of the pairs adjacent in at least `threshold` of their replicates.

        A pair is → (or ←, ↔) where more than half of the replicates that join it say so; otherwise it
        is undirected: the data do not settle its direction. InputError for a threshold outside (0, 1]."""
        if not 0 < threshold <= 1:
            raise InputError("threshold", "a share in (0, 1]", f"{threshold}", "0.5 is usual.")
        directed: list[tuple[str, str]] = []
        undirected: list[tuple[str, str]] = []
        bidirected: list[tuple[str, str]] = []
        adjacent = self.adjacent()
        for i, j in np.argwhere(np.triu(adjacent > 0)):
            joined = adjacent[i, j]
            if joined < threshold * self.together[i, j]:
                continue
            pair = (self.names[i], self.names[j])
            if 2 * self.forward[i, j] > joined:
                directed.append(pair)
            elif 2 * self.forward[j, i] > joined:
                directed.append(pair[::-1])
            else:
                (bidirected if 2 * self.bidirected[i, j] > joined else undirected).append(pair)
        return CausalGraph.from_edges(self.names, directed, undirected, bidirected)


def bootstrap(
    data: FloatArray,
    names: Sequence[str],
    *,
    full: CausalGraph,
    alpha: float = 0.05,
    replicates: int = 1000,
    resample: Resample | str = Resample.HALF_OF_ROLES,
    seed: int = 0,
    n_jobs: int = 1,
    null_replicates: int = NULL_REPLICATES,
    progress: Progress | None = None,
    engine: Engine = pc,
) -> BootstrapResult:
    """Run PC on `replicates` resamples of the rows of `data` [n_roles, n_values].

    `full`: the graph of all roles, for the inflation. Replicate r draws from child seed r, so the result
    is the same for any `n_jobs` and replicate r is the same whatever `replicates` is. `progress` is
    called with (done, total). `null_replicates`: runs of the permuted null, two graphs each.

    Raises InputError for settings or data that PC cannot work with; a replicate that fails is counted.
    """
    resample = _resample(resample)
    check_input(data, names, alpha)
    rows = _rows(len(data), resample)
    if replicates < 1 or null_replicates < 0 or seed < 0:
        found = f"{replicates}, {null_replicates} and {seed}"
        raise InputError(
            "replicates, null replicates, seed",
            "at least 1, 0 and 0",
            found,
            "Correct the discovery settings.",
        )
    work = _Work(np.ascontiguousarray(data, dtype=np.float64), tuple(names), alpha, resample, seed, engine)
    total = replicates + null_replicates
    tally = _Tally.zero(len(names))
    for part in _run(work.count, replicates, n_jobs, progress, (0, total)):
        tally.add(part)
    null = _NullTally()
    for null_part in _run(work.count_null, null_replicates, n_jobs, progress, (replicates, total)):
        null.add(null_part)
    return BootstrapResult(
        names=tuple(names),
        resample=resample,
        seed=seed,
        alpha=alpha,
        n_roles=len(data),
        rows=rows,
        replicates=replicates,
        used=tally.used,
        forward=tally.forward,
        undirected=tally.undirected,
        bidirected=tally.bidirected,
        together=tally.together,
        constant={name: int(k) for name, k in zip(names, tally.constant, strict=True) if k},
        failed=dict(sorted(tally.failed.items())),
        inflation=Inflation(
            full.n_edges, _mean(tally.edges, tally.used), *null.means(), null_replicates, null.failed
        ),
    )


def draw_rows(n_roles: int, resample: Resample, rng: np.random.Generator) -> NDArray[np.int64]:
    """The row numbers of one replicate: half of the roles (rounded up), or n_roles with replacement."""
    rows = _rows(n_roles, resample)
    return rng.choice(n_roles, size=rows, replace=resample is Resample.ROLES_WITH_REPLACEMENT)


def wilson(counts: CountArray, totals: CountArray, z: float = 1.959964) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of counts / totals (95 % by default); NaN where the total is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = counts / totals
        centre = (share + z * z / (2 * totals)) / (1 + z * z / totals)
        half = z / (1 + z * z / totals) * np.sqrt(share * (1 - share) / totals + z * z / (4 * totals**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


@dataclass
class _Tally:
    """Counts over replicates; plain sums, so that the order in which workers finish cannot matter."""

    forward: CountArray
    undirected: CountArray
    bidirected: CountArray
    together: CountArray
    constant: CountArray
    used: int = 0
    edges: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @classmethod
    def zero(cls, n: int) -> _Tally:
        a, b, c, d = np.zeros((4, n, n), np.int64)
        return cls(forward=a, undirected=b, bidirected=c, together=d, constant=np.zeros(n, np.int64))

    def count(self, result: PCResult, names: Sequence[str]) -> None:
        index = {name: i for i, name in enumerate(names)}
        kept = np.array([index[name] for name in result.graph.names], dtype=np.int64)
        block = np.ix_(kept, kept)
        self.forward[block] += result.graph.directed_mask()
        self.undirected[block] += result.graph.undirected_mask()
        self.bidirected[block] += result.graph.bidirected_mask()
        self.together[block] += ~np.eye(len(kept), dtype=bool)
        self.constant[[index[name] for name in result.constant]] += 1
        self.used += 1
        self.edges += result.graph.n_edges

    def add(self, other: _Tally) -> None:
        for name in ("forward", "undirected", "bidirected", "together", "constant"):
            getattr(self, name).__iadd__(getattr(other, name))
        self.used += other.used
        self.edges += other.edges
        self.failed += other.failed


@dataclass
class _NullTally:
    full: list[int] = field(default_factory=list)
    replicates: list[int] = field(default_factory=list)
    failed: int = 0

    def add(self, other: _NullTally) -> None:
        self.full += other.full
        self.replicates += other.replicates
        self.failed += other.failed

    def means(self) -> tuple[float | None, float | None]:
        return _mean(sum(self.full), len(self.full)), _mean(sum(self.replicates), len(self.replicates))


@dataclass(frozen=True)
class _Work:
    """What a worker needs to make any replicate from its number alone."""

    data: FloatArray
    names: tuple[str, ...]
    alpha: float
    resample: Resample
    seed: int
    engine: Engine

    def count(self, numbers: range) -> _Tally:
        tally = _Tally.zero(len(self.names))
        for r in numbers:
            rows = draw_rows(len(self.data), self.resample, child_rng(self.seed, r))
            try:
                result = self.engine(self.data[rows], self.names, self.alpha)
            except AxiographError as error:
                tally.failed[error.found] += 1
            else:
                tally.count(result, self.names)
        return tally

    def count_null(self, numbers: range) -> _NullTally:
        tally = _NullTally()
        for r in numbers:
            # A grandchild: no replicate of the data shares its stream.
            rng = child_rng(self.seed, r, 0)
            permuted = rng.permuted(self.data, axis=0)
            rows = draw_rows(len(permuted), self.resample, rng)
            for edges, sample in ((tally.full, permuted), (tally.replicates, permuted[rows])):
                try:
                    edges.append(self.engine(sample, self.names, self.alpha).graph.n_edges)
                except AxiographError:
                    tally.failed += 1
        return tally


def child_rng(seed: int, *key: int) -> np.random.Generator:
    """The generator of child `key` of `seed`: that of `SeedSequence(seed).spawn(r + 1)[r]` for key (r,)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _run(
    task: Callable[[range], Part], count: int, n_jobs: int, progress: Progress | None, offset: tuple[int, int]
) -> Iterator[Part]:
    start, total = offset
    chunks = [range(k, min(k + _CHUNK, count)) for k in range(0, count, _CHUNK)]
    for chunk, part in zip(chunks, _parallel(task, chunks, n_jobs), strict=True):
        yield part
        if progress is not None:
            progress(start + chunk.stop, total)


def _parallel(task: Callable[[range], Part], chunks: list[range], n_jobs: int) -> Iterator[Part]:
    if n_jobs == 1 or len(chunks) < 2:
        return map(task, chunks)
    from joblib import Parallel, delayed

    return Parallel(n_jobs=n_jobs, return_as="generator")(delayed(task)(chunk) for chunk in chunks)


def _rows(n_roles: int, resample: Resample) -> int:
    rows = n_roles if resample is Resample.ROLES_WITH_REPLACEMENT else (n_roles + 1) // 2
    if rows < MIN_ROWS:
        raise InputError(
            "bootstrap",
            f"at least {MIN_ROWS} roles in a replicate",
            f"{rows} of {n_roles}",
            "Ask more roles.",
        )
    return rows


def _resample(name: Resample | str) -> Resample:
    try:
        return Resample(name)
    except ValueError:
        known = ", ".join(Resample)
        raise InputError("resample", f"one of {known}", f"{name!r}", "Choose one of them.") from None


def _share(counts: CountArray, totals: CountArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts / totals


def _mean(total: int, count: int) -> float | None:
    return total / count if count else None
