"""The atlas as one HTML page that needs nothing else: formulas as MathML, pictures as SVG."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from string import Template
from typing import Any

import sympy as sp
from latex2mathml.converter import convert

from derive import Limit
from derive.cycle_limit import CycleLimit
from derive.display.mathml import statement_html
from derive.display.notation import Equality, Notation
from derive.display.statements import Statement, as_array, equations, outcome_statements
from derive.rule_limit import RuleLimit
from derive.symbolic.zero_tests import Basis, Verdict
from numerics.plots.style import AT_STEP, INK, RECURSION, few_ticks, sheet, styled
from numerics.reports.html import STYLE

from .entry import Judgement, Read, Source
from .measure import Motion

SHOWN = (
    *("loss", "noisy loss", "optimizer", "update", "noise", "one step", "Γ", "outcome", "because"),
    *("time scale", "limit", "Reg on Γ", "Reg", "special form", "drift", "diffusion"),
)
"""Which of the statements of a derivation an entry shows."""

OWN_STYLE = """
ol.index { columns: 2 22rem; padding-left: 1.4rem; } ol.index li { break-inside: avoid; }
section { margin-top: 3rem; } .badge { font-weight: 700; } .agrees { color: var(--good); }
.differs, .failed { color: var(--bad); } .source { color: inherit; opacity: .8; margin: 0 0 .6rem; }
"""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atlas of limits</title>
<style>$style</style>
</head>
<body>
<main>
<h1>Atlas of published limits of noisy gradient descent</h1>
<p>Each entry states a limit, derives the limit of the same rule anew on a small model, and compares
the two on the manifold Γ of minimisers. “Agrees” rests on a proof, or on 50-digit values at points
of Γ, as said; “differs” on a point where the two are not the same. How well the published
statement is known stands below each title; what is not published, but stated here, is said to hold.
To measure the motion the recursion itself is run, without any of the theory; speeds are per step,
and the exponents are fitted to them, beside those of the derived limit at the same step sizes.</p>
<p class="verdict $word">$summary</p>
<ol class="index">$index</ol>
$entries
</main>
</body>
</html>
""")

WORDS = {"agrees": "agrees with print", "differs": "differs from print", "failed": "not confirmed"}


def as_html(judgements: Sequence[Judgement], motions: dict[str, Motion]) -> str:
    """The page."""
    kinds = [kind(j) for j in judgements]
    printed = [j for j in judgements if j.entry.source.read is not Read.OWN]
    agreeing = sum(kind(j) == "agrees" for j in printed)
    counts = (
        f"{len(judgements)} entries, {len(printed)} of them published: agreeing with print "
        f"{agreeing}, differing from it {kinds.count('differs')}, not confirmed "
        f"{kinds.count('failed')}; measured {len(motions)}, against the derivation "
        f"{sum(not m.agrees for m in motions.values())}."
    )
    index = "".join(
        f'<li><a href="#{j.entry.name}">{escape(j.entry.title)}</a> '
        f'<span class="{k}">{"≠ " * (k == "differs")}{"? " * (k == "failed")}</span></li>'
        for j, k in zip(judgements, kinds, strict=True)
    )
    return PAGE.substitute(
        style=STYLE + OWN_STYLE,
        word="contradicts" if "failed" in kinds else "agrees",
        summary=counts,
        index=index,
        entries="\n".join(_entry(j, motions.get(j.entry.name)) for j in judgements),
    )


def kind(judgement: Judgement) -> str:
    """Whether an entry agrees with print, differs from it as it says, or fails."""
    if not judgement.confirmed:
        return "failed"
    return "agrees" if judgement.verdict else "differs"


def _entry(judgement: Judgement, motion: Motion | None) -> str:
    entry = judgement.entry
    word = WORDS[kind(judgement)] if entry.source.read is not Read.OWN else "holds"
    basis = f": {judgement.verdict}" if isinstance(judgement.verdict, Verdict) else ""
    rows = [
        ("statement", " ".join(map(_piece, entry.statement))),
        *((s.label, statement_html(s)) for s in _statements(judgement) if s.label in SHOWN),
        ("verdict", f'<span class="badge {kind(judgement)}">{word}</span>{escape(basis)}'),
    ]
    if entry.corrected is not None:
        rows.append(("as printed", _printed(judgement)))
    if entry.remark:
        rows.append(("remark", escape(entry.remark)))
    if motion is not None:
        rows.append(("measured", _measured(motion)))
    rows.append(("believed, because", escape(" ".join(_reasons(judgement, motion)))))
    items = "\n".join(f"<div><dt>{escape(a)}</dt><dd>{b}</dd></div>" for a, b in rows)
    figure = "" if motion is None else _figure(_picture(motion))
    latex = as_array(_statements(judgement), Notation())
    return (
        f'<section id="{entry.name}"><h2>{escape(entry.title)}</h2>'
        f'<p class="source">{escape(_source(entry.source))}</p>'
        f"<dl>{items}</dl>{figure}"
        f"<details><summary>LaTeX</summary><pre>{escape(latex)}</pre></details></section>"
    )


def _source(source: Source) -> str:
    if source.read is Read.OWN:
        return "Not published: a statement of this project."
    where = ", ".join(filter(None, (source.authors, source.where)))
    return f"{where}: {source.read.value}."


def _printed(judgement: Judgement) -> str:
    """What is printed, on the model of the entry."""
    ideal = judgement.limit.manifold.ideal
    drift = ideal.shortest_entries(sp.Matrix(list(judgement.entry.printed.drift)))
    return statement_html(Statement("", "", (Equality("b", drift),)))


def _reasons(judgement: Judgement, motion: Motion | None) -> Iterator[str]:
    """Why the limit is believed, in sentences."""
    entry, limit = judgement.entry, judgement.limit
    bases = Counter(step.verdict.basis.value for step in limit.evidence.steps)
    ways = ", ".join(f"{count} by {basis}" for basis, count in bases.items())
    yield f"It is derived anew from the recursion by {_theorem(limit)}; questions decided: {ways}."
    if entry.corrected is not None:
        yield "The derived drift is not the printed one at that point, but the one that is shown."
    elif isinstance(judgement.verdict, Verdict):
        exact = judgement.verdict.basis is Basis.PROOF
        yield (
            f"The stated drift, written out independently, equals the derived one on Γ, by "
            f"{'proof' if exact else judgement.verdict.basis.value}."
        )
    if motion is not None:
        moved = "at that speed" if motion.agrees else "at ANOTHER speed"
        yield f"The recursion moves {moved} in {len(motion.points)} runs at different α and σ."
    elif entry.printed.scale is None:
        yield "Where nothing moves there is no speed to measure."
    else:
        yield "The recursion was not run for this entry."


def _theorem(limit: Limit) -> str:
    if isinstance(limit, CycleLimit):
        return "averaging over the chain across Γ"
    if isinstance(limit, RuleLimit):
        return "the theorem for any update rule"
    return "Theorems A and B" if limit.time_scale is None else str(limit.equation.name)


def _statements(judgement: Judgement) -> list[Statement]:
    """Our derivation; where it is long, what was found, and the drift that it agrees with."""
    entry, limit = judgement.entry, judgement.limit
    if entry.is_short:
        return equations(limit)
    drift = sp.Matrix(list(entry.printed.drift))
    agreed = Statement("drift", "", (Equality("b", drift),))
    return [*outcome_statements(limit, "as printed"), agreed]


def _piece(piece: str) -> str:
    if piece.startswith("$"):
        return str(convert(piece.strip("$"), display="inline"))
    return escape(piece)


def _measured(motion: Motion) -> str:
    shown = []
    for name, found, expected in zip("ασ", motion.exponents, motion.expected, strict=True):
        if math.isfinite(found):  # else there was one value
            shown.append(f"exponent of {name} {found:.3f}, predicted {expected:.3f} at these steps")
    finest = motion.points[0]
    ratio, error = finest.measured / finest.predicted, finest.error / finest.predicted
    spread = f" ± {error:.4f}" if error else ", without randomness,"
    shown.append(
        f"speed {ratio:.4f}{spread} of what is predicted at α = {finest.alpha:g}, "
        f"σ = {finest.sigma:g}"
    )
    return escape("; ".join(shown))


@styled
def _picture(motion: Motion) -> Any:
    """Speed along Γ against the step size, and against the noise scale."""
    parts = [("alpha", r"$\alpha$", motion.by_alpha), ("sigma", r"$\sigma$", motion.by_sigma)]
    parts = [part for part in parts if len(part[2]) > 1]
    figure, axes = sheet(1, len(parts), width=2.6, height=2.0)
    for ax, (name, label, points) in zip(axes[0], parts, strict=True):
        x = [getattr(p, name) for p in points]
        ax.plot(x, [p.predicted for p in points], color=AT_STEP, lw=1.2, label="limit")
        ax.errorbar(
            x,
            [p.measured for p in points],
            [2 * p.error for p in points],
            fmt="o",
            ms=3.5,
            color=RECURSION,
            label="recursion",
        )
        ax.set(xscale="log", yscale="log", xlabel=label)
        few_ticks(ax, x)
    axes[0, 0].set_ylabel("speed per step")
    axes[0, 0].legend(frameon=False)
    return figure


def _figure(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    svg = text[text.index("<svg") :].replace(INK, "currentColor")
    width = figure.get_figwidth() * 5.5
    return f'<figure style="--width: {width:.1f}rem">{svg}</figure>'
