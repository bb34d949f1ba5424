"""Tables of HTML, for the page of a report and for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..validation.checks import Check

if TYPE_CHECKING:
    from ..simulation.paths import Paths
    from ..validation.distances import Gap, Order

SHOWN_WEIGHTS = 8
"""Number of weights that a table of paths has a row for."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table from its titles, as text, and its cells, as HTML."""
    titles = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def checks_table(checks: Iterable[Check]) -> str:
    """A row a check, with its verdict."""
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
    """A row a pair (α, σ): the distance between recursion and limits."""
    rows = [
        (
            f"<td>{g.alpha:g}</td><td>{g.sigma:.4g}</td>",
            f"<td>{g.at_step:.2%}</td><td>{g.asymptotic:.2%}</td><td>{g.error:.2%}</td>",
        )
        for g in gaps
    ]
    return table(("α", "σ", "from limit at α", "from limit α → 0", "error"), rows)


def orders_table(orders: Iterable[Order]) -> str:
    """A row a ladder: the order at which recursion and limit approach; nothing without ladders."""
    rows = [
        (f"<td>{escape(o.name)}</td>", f"<td>{o.value:.2f}</td><td>{o.error:.2f}</td>")
        for o in orders
    ]
    return table(("order of convergence", "measured", "error"), rows) if rows else ""


def paths_table(paths: Paths) -> str:
    """What the paths are, and where those that reach the end start and end, a row a weight."""
    summary = f"<p>{escape(str(paths))}</p>"
    reached = paths.weights[paths.ok]
    if not len(reached):
        return summary
    start, end = reached[:, 0].mean(axis=0), reached[:, -1]
    cells = zip(start, end.mean(axis=0), end.std(axis=0), strict=True)
    rows = [
        (f"<td>{i}</td>", *(f"<td>{x:.4g}</td>" for x in row))
        for i, row in enumerate(cells)
        if i < SHOWN_WEIGHTS
    ]
    hidden = paths.weights.shape[2] - len(rows)
    more = f"<p>and {hidden} more weights</p>" if hidden else ""
    times = [f"{t:g}" for t in np.asarray(paths.times)[[0, -1]]]
    head = ("weight", f"mean at {times[0]}", f"mean at {times[1]}", "deviation")
    return summary + table(head, rows) + more
