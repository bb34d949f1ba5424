"""Several noise mechanisms on one loss, over the same iterations: one table, one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from derive import Limit
from derive.display.statements import equations

from .. import plots
from ..errors import ArgumentError
from ..models.compiled_limit import compile_limit
from ..validation.measurements.comparison import (
    Comparison,
    compare_with_limit,
    iterations_per_time,
    survey,
)
from ..validation.measurements.statistics import Estimate, mean


@dataclass(frozen=True)
class Row:
    """What one mechanism does.

    Attributes
    ----------
    mechanism, regularizer, outcome, time_scale, equation : str
        Its name; Reg on Γ; the kind of limit; iterations per unit of slow time; the limit.
    moved : Estimate
        Distance from Φ_α(w₀) to the mean of Φ_α(w_k) at the end.
    predicted : float
        The same for the limit at this step size.
    """

    mechanism: str
    regularizer: str
    outcome: str
    time_scale: str
    equation: str
    moved: Estimate
    predicted: float


@dataclass(frozen=True)
class SideBySide:
    """Noise mechanisms on one loss, each beside its limit.

    Attributes
    ----------
    comparisons : mapping of str to Comparison
        By the mechanisms' names.
    """

    comparisons: Mapping[str, Comparison]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table, one row per mechanism."""
        return tuple(_row(name, comparison) for name, comparison in self.comparisons.items())

    def plot(self) -> plots.Figure:
        """Level sets with the limits' paths if there are two weights; the weights over time."""
        first = next(iter(self.comparisons.values()))
        landscape = None
        if len(first.names) == 2:
            traces = [c.trace.weights.reshape(-1, 2) for c in self.comparisons.values()]
            landscape = survey(compile_limit(first.limit), np.concatenate(traces))
        return plots.side_by_side(self.comparisons, landscape)

    def __str__(self) -> str:
        """The table in Markdown."""
        head = (
            "| mechanism | Reg on Γ | class | iterations per unit of time | limit "
            "| moved along Γ | predicted |\n|---|---|---|---|---|---|---|"
        )
        lines = (
            f"| {r.mechanism} | `{r.regularizer}` | {r.outcome} | {r.time_scale} | {r.equation} "
            f"| {float(r.moved.value):.4f} ± {float(r.moved.error):.4f} | {r.predicted:.4f} |"
            for r in self.rows
        )
        return "\n".join([head, *lines])


def compare_mechanisms(
    limits: Mapping[str, Limit],
    start: Sequence[float],
    *,
    alpha: float,
    sigma: float,
    iterations: int,
    paths: int,
    seed: int,
) -> SideBySide:
    """Run several noise mechanisms on one loss from one start, for the same number of iterations.

    Parameters
    ----------
    limits : mapping of str to Limit
        Names, and the limits α → 0 of problems with one loss and the same weights.
    start : sequence of N float
        w₀.
    alpha, sigma : float
        Step size and noise scale of all.
    iterations : int
        Length of the runs.
    paths : int
        Paths of each mechanism.
    seed : int
        Seed of the experiment.

    Raises
    ------
    ArgumentError
        If there is no limit, or the losses or weights differ.
    """
    problems = [limit.problem for limit in limits.values()]
    if not problems or any(
        (p.loss, p.weights) != (q.loss, q.weights) for p in problems for q in problems
    ):
        raise ArgumentError(
            "limits: expected at least one, all of problems with one loss and weights"
        )
    comparisons = {
        name: compare_with_limit(
            limit,
            start,
            alpha=alpha,
            sigma=sigma,
            time=iterations / iterations_per_time(limit, alpha, sigma),
            paths=paths,
            seed=seed,
        )
        for name, limit in limits.items()
    }
    return SideBySide(comparisons)


def _row(name: str, comparison: Comparison) -> Row:
    limit = comparison.limit
    statements = {statement.label: statement.text for statement in equations(limit)}
    begin = comparison.expected[0, 0]
    moved = mean(comparison.projected[-1][:, -1] - begin)
    length = np.linalg.norm(moved.value)
    error = np.linalg.norm(moved.value * moved.error) / length if length else length
    return Row(
        name,
        str(limit.regularizer_on_manifold),
        limit.outcome.value,
        "none" if limit.time_scale is None else f"`{limit.time_scale}`",
        statements.get("limit", "at rest"),
        Estimate(np.asarray(length), np.asarray(error)),
        float(np.linalg.norm(comparison.expected[:, -1].mean(axis=0) - begin)),
    )
