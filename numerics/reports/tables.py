"""What a validation found, as tables of HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ..formats.tables import table
from ..validation.checks import Check
from ..validation.measurements.distances import Gap, Order


def checks_table(checks: Iterable[Check]) -> str:
    """One row per check, with its verdict."""
    rows = [
        (
            f"<td>{escape(c.name)}</td>",
            '<td class="agrees">agrees</td>'
            if c.passed
            else '<td class="contradicts">contradicts</td>',
            *(f"<td>{x:.5g}</td>" for x in (c.measured, c.expected)),
            *(f"<td>{x:.2g}</td>" for x in (c.error, c.allowance, c.p_value)),
        )
        for c in checks
    ]
    return table(("check", "", "measured", "expected", "error", "allowance", "p"), rows)


def distances_table(gaps: Iterable[Gap]) -> str:
    """One row per pair (α, σ): the distance between recursion and limits."""
    rows = [
        (
            f"<td>{g.alpha:g}</td><td>{g.sigma:.4g}</td>",
            f"<td>{g.at_step:.2%}</td><td>{g.asymptotic:.2%}</td><td>{g.error:.2%}</td>",
        )
        for g in gaps
    ]
    return table(("α", "σ", "from limit at α", "from limit α → 0", "error"), rows)


def orders_table(orders: Iterable[Order]) -> str:
    """One row per ladder: the measured order of convergence; empty without ladders."""
    rows = [
        (f"<td>{escape(o.name)}</td>", f"<td>{o.value:.2f}</td><td>{o.error:.2f}</td>")
        for o in orders
    ]
    return table(("order of convergence", "measured", "error"), rows) if rows else ""
