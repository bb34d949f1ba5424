"""The verdict as one HTML page that needs nothing else: formulas as MathML, figures as SVG."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from itertools import islice
from os import PathLike
from pathlib import Path
from string import Template

import numpy as np

from derive import Limit
from derive.display.mathml import statement_html
from derive.display.statements import Statement, equations
from derive.documents.html import statement_of
from derive.errors import DeriveError
from derive.files.atomic_write import write_atomically

from .. import plots
from ..formats.tables import table
from .json import versions
from .report import ValidationReport
from .tables import checks_table, distances_table, orders_table

VERBS = {"agrees": "follows", "contradicts": "contradicts"}

SCREEN_WIDTH = 5.5
"""Width on the screen, in units of the text's size, of an inch of a figure."""

SOUGHT_WEIGHTS = 4
"""Weights up to which the page looks for the equilibria of the slow flow."""

FIRST_POINTS = 3
"""Points of Γ from which they are sought first: a search that finds none takes longest."""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="verdict $word">$conclusion</p>
<h2>Model and limit</h2>
<dl>$derivation</dl>
<h2>What is stated</h2>
$statement
<h2>Evidence for the outcome</h2>
<ul>$evidence</ul>
<h2>Checks</h2>
<p>Compared is the projected iterate Φ<sub>α</sub>(w<sub>k</sub>), extrapolated to σ = 0, with the
limit at the same α. Holm’s procedure keeps the probability that a right limit fails any check below
$level. The allowance bounds what the extrapolation may leave.</p>
$checks
<h2>Distance to the limits</h2>
<p>Largest distance between the means of recursion and limit, relative to the motion.</p>
$distances
$ends
<h2>Figures</h2>
$figures
<h2>To repeat</h2>
<pre><code>$command</code></pre>
$settings
</main>
</body>
</html>
""")

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fdfdfb; --line: #d5d5d2;
  --good: #00694b; --bad: #a83a00; --soft: #f2f2ee; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --paper: #17181b; --line: #3a3b40; --good: #4fd1a5; --bad: #ff9a5c;
    --soft: #202227; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; border-bottom: 1px solid var(--line); }
.verdict { font-size: 1.05rem; padding: .8rem 1rem; background: var(--soft);
  border-left: .35rem solid var(--good); }
.verdict.contradicts { border-color: var(--bad); }
dl { margin: 0; }
dl > div { display: grid; grid-template-columns: 9rem minmax(0, 1fr); gap: .2rem 1rem;
  padding: .35rem 0; }
dt { font-weight: 600; }
dd { margin: 0; overflow-x: auto; overflow-y: hidden; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td.agrees { color: var(--good); } td.contradicts { color: var(--bad); font-weight: 700; }
figure { margin: 1rem 0 2rem; }
figure svg { width: 100%; max-width: var(--width); height: auto; display: block; }
figcaption { font-size: .9rem; }
pre { background: var(--soft); padding: .7rem 1rem; font-size: .88rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl > div { grid-template-columns: minmax(0, 1fr); }
  main { padding: 1rem .8rem 3rem; } figure svg { min-width: min(44rem, var(--width)); }
  figure { overflow-x: auto; } }
"""


def write_report(report: ValidationReport, path: str | PathLike[str], command: str) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    report : ValidationReport
        The verdict.
    path : path-like
        Name of the file.
    command : str
        The command that repeats the run.
    """
    page = as_html(report, command).encode()
    write_atomically(Path(path), lambda file: file.write(page))


def as_html(report: ValidationReport, command: str) -> str:
    """The page as text."""
    verdict = "agrees" if report.passed else "contradicts"
    return PAGE.substitute(
        title=f"Noisy gradient descent {VERBS[verdict]} its derived limit",
        style=STYLE,
        word=verdict,
        conclusion=escape(report.conclusion),
        derivation="\n".join(_statement(s) for s in equations(report.limit)),
        statement=statement_of(report.limit),
        evidence="".join(
            f"<li>{escape(step.question)}: {escape(str(step.verdict))}</li>"
            for step in report.limit.evidence.steps
        ),
        level=f"{report.settings.level:g}",
        checks=checks_table(report.checks),
        distances=distances_table(report.gaps) + orders_table(report.orders),
        ends=end_states_section(report.limit),
        figures="\n".join(_figures(report)),
        command=escape(command),
        settings=_settings(report),
    )


def _statement(statement: Statement) -> str:
    return f"<div><dt>{escape(statement.label)}</dt><dd>{statement_html(statement)}</dd></div>"


def end_states_section(limit: Limit) -> str:
    """Where the slow flow ends; nothing for a limit at rest or with diffusion."""
    if limit.time_scale is None or limit.has_diffusion or limit.problem.parameters:
        return ""
    return f"<h2>Where the slow flow ends</h2>\n{_end_states(limit)}"


def _end_states(limit: Limit) -> str:
    """What `limit.end_states()` says, where that takes some seconds at most."""
    if limit.problem.dimension > SOUGHT_WEIGHTS or limit.problem.samples is not None:
        return (
            "<p>Not sought for this page, as it may take minutes: <code>limit.end_states()</code> "
            "finds the equilibria, with their stability and rates.</p>"
        )
    points = islice((geometry.point for geometry in limit.manifold.local()), FIRST_POINTS)
    try:
        states = limit.end_states(points)
        if states.equilibria:
            states = limit.end_states()
    except DeriveError as error:
        return f"<p>{escape(str(error))}</p>"
    return f"<dl>{''.join(map(_statement, states.statements))}</dl>"


def _figures(report: ValidationReport) -> Iterable[str]:
    comparison = report.comparisons[-1]
    landscapes = [report.landscape] if report.landscape else []
    yield _figure(report.plot(), "The recursion and its limits in slow time.")
    title = {report.limit.outcome.value: comparison}
    observables = dict(list(report.observables.items())[:2])
    yield _figure(
        plots.rows(title, observables, landscapes),
        "The fast approach to Γ and the slow motion along it.",
    )
    if report.scaling is not None:
        yield _figure(
            plots.exponents(report.scaling),
            "Speed along Γ, fitted without the predicted equation.",
        )
    if any(np.isfinite(gap.at_step) for gap in report.gaps):
        yield _figure(
            plots.ladder(report.gaps), "Distance to the limits over the ladder of noise scales."
        )


def _figure(figure: plots.Figure, caption: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    svg = text[text.index("<svg") :].replace(plots.INK, "currentColor")
    width = f"{SCREEN_WIDTH * figure.get_figwidth():.0f}rem"
    svg = svg.replace("<svg", f'<svg role="img" style="--width: {width}"', 1)
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _settings(report: ValidationReport) -> str:
    chosen = [(name, str(value)) for name, value in vars(report.settings).items()]
    rows = [
        (f"<td>{escape(a)}</td><td>{escape(b)}</td>",) for a, b in [*chosen, *versions().items()]
    ]
    return table(("setting", "value"), rows)
