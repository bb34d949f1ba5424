"""The result of a validation: checks judged together, and what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive import Limit

from .. import plots
from ..models.compiled_limit import compile_limit
from ..validation.checks import Check
from ..validation.measurements.bursts import FastPhase, Scaling
from ..validation.measurements.comparison import Comparison, Landscape, survey
from ..validation.measurements.distances import Gap, Order, gap, orders
from ..validation.measurements.experiment import Settings
from .npz import load_parts, save_parts
from .tables import checks_table, distances_table, orders_table

Array = NDArray[np.float64]
Observables = Mapping[str, Callable[[Array], Array]]

OBSERVED_WEIGHTS = 6
"""Number of weights followed where no observables are given."""


@dataclass(frozen=True)
class ValidationReport:
    """The verdict with everything it rests on.

    Attributes
    ----------
    limit : Limit
        What was validated.
    settings : Settings
        With what.
    checks : tuple of Check
        The tests, judged together at `settings.level`.
    comparisons : tuple of Comparison
        The recursion beside its limits, one per step size.
    scaling : Scaling or None
        The measured exponents; None where nothing moves.
    fast : FastPhase or None
        The approach to Γ; None for update rules, whose rates are not those of H alone.
    observables : mapping of str to callable
        What was followed.
    """

    limit: Limit
    settings: Settings
    checks: tuple[Check, ...]
    comparisons: tuple[Comparison, ...]
    scaling: Scaling | None
    fast: FastPhase | None
    observables: Observables

    @property
    def passed(self) -> bool:
        """Whether no check contradicts the limit."""
        return all(check.passed for check in self.checks)

    @property
    def conclusion(self) -> str:
        """The verdict in a sentence."""
        failed = [check.name for check in self.checks if not check.passed]
        if failed:
            return f"The recursion contradicts the derived limit: {'; '.join(failed)}."
        return (
            f"The recursion agrees with the derived limit in all {len(self.checks)} checks; "
            f"a right limit fails any of them with probability at most {self.settings.level:g}."
        )

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Distance to the limits at every (α, σ)."""
        return tuple(gap(c, i, sigma) for c in self.comparisons for i, sigma in enumerate(c.sigmas))

    @property
    def orders(self) -> tuple[Order, ...]:
        """Orders of convergence over the ladder, where distances stand out of the noise."""
        return orders(self.gaps)

    def plot(self) -> plots.Figure:
        """The recursion and its limits side by side."""
        title = self.limit.outcome.value
        return plots.overview(self.comparisons[-1], self.observables, self.landscape, title)

    @property
    def landscape(self) -> Landscape | None:
        """L around the paths, for problems with two weights; around the limit if all are lost."""
        if self.limit.problem.dimension != 2:
            return None
        comparison = self.comparisons[-1]
        reached = comparison.trace.weights[comparison.trace.ok]
        return survey(compile_limit(self.limit), reached if len(reached) else comparison.expected)

    def to_dict(self) -> dict[str, Any]:
        """Settings, verdict, checks and gaps in plain types, for JSON."""
        return {
            "outcome": self.limit.outcome.value,
            "passed": self.passed,
            "conclusion": self.conclusion,
            "settings": asdict(self.settings),
            "checks": [{**asdict(c), "statistic": c.statistic} for c in self.checks],
            "distances": [asdict(g) for g in self.gaps],
            "orders": [asdict(order) for order in self.orders],
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write limit, verdict and all paths to one `.npz` file, whole or not at all.

        Of the observables the names are kept; those that are no weights are functions, which a file
        cannot hold, and the first weights stand in their place when it is loaded.

        Parameters
        ----------
        path : path-like
            Name of the file, taken as it is.
        """
        parts = {name: part for name, part in vars(self).items() if name != "limit"}
        parts |= {"settings": asdict(self.settings), "observables": list(self.observables)}
        save_parts(path, self.limit, parts)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ValidationReport:
        """Read a file written by `save`; nothing is simulated again, and nothing executed.

        Parameters
        ----------
        path : path-like
            Name of the file.

        Raises
        ------
        SavedFileError
            If the file is truncated, of another kind, or of a newer version.
        """
        limit, parts = load_parts(path)
        parts["settings"] = Settings(**parts["settings"])
        every = weight_observables(limit, limit.problem.dimension)
        named = {name: every[name] for name in parts["observables"] if name in every}
        parts["observables"] = named or weight_observables(limit)
        return cls(limit=limit, **parts)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        tables = checks_table(self.checks) + distances_table(self.gaps) + orders_table(self.orders)
        return f"<p>{escape(self.conclusion)}</p>{tables}"

    def __str__(self) -> str:
        marks = {True: "agrees     ", False: "CONTRADICTS"}
        width = max(len(check.name) for check in self.checks)
        rows = [
            f"{marks[c.passed]}  {c.name:<{width}}  {c.measured:>11.5g}  {c.expected:>11.5g}  "
            f"{c.error:>8.2g}  {c.allowance:>9.2g}  {c.p_value:>7.2g}"
            for c in self.checks
        ]
        head = f"{'':11}  {'':<{width}}  {'measured':>11}  {'expected':>11}  {'error':>8}  "
        gaps = [
            f"at α = {g.alpha:g}, σ = {g.sigma:.3g}: off by {g.at_step:.2%} of the motion from the "
            f"limit at this α, by {g.asymptotic:.2%} from the limit α → 0 (± {g.error:.2%})"
            for g in self.gaps
        ]
        fitted = [
            f"order of convergence {o.name}: {o.value:.2f} ± {o.error:.2f}" for o in self.orders
        ]
        head += f"{'allowance':>9}  {'p':>7}"
        return "\n".join([head, *rows, *gaps, *fitted, self.conclusion])


def weight_observables(
    limit: Limit, count: int = OBSERVED_WEIGHTS
) -> dict[str, Callable[[Array], Array]]:
    """The first weights, by name."""

    def coordinate(i: int) -> Callable[[Array], Array]:
        return lambda w: w[..., i]

    weights = limit.problem.weights[:count]
    return {str(w): coordinate(i) for i, w in enumerate(weights)}
