"""The atlas as one HTML page that needs nothing else: formulas as MathML, pictures as SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

import sympy as sp
from latex2mathml.converter import convert

from derive.display.mathml import statement_html
from derive.display.notation import Equality, Notation
from derive.display.statements import Statement, as_array, equations, outcome_statements
from derive.symbolic.zero_tests import Verdict
from numerics.plots.style import AT_STEP, INK, RECURSION, few_ticks, sheet, styled
from numerics.reports.html import STYLE

from .entry import Judgement, Read
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
<p>Each entry states a published limit, derives the limit of the same rule anew on a small model,
and compares the two on the manifold Γ of minimisers. “Agrees” rests on a proof, or on 50-digit
values at points of Γ, as said; “differs” on a point where the two are not the same. Where the
motion was measured, the recursion itself was run, without any of the theory; speeds are per step,
and the exponents are fitted to them, beside those that the derived limit has at the same step
sizes.</p>
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
        f"{len(judgements)} entries, {len(printed)} of them published: {agreeing} agree with "
        f"print, {kinds.count('differs')} differ from it, {kinds.count('failed')} are not "
        "confirmed."
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
    if entry.remark:
        rows.append(("remark", escape(entry.remark)))
    if motion is not None:
        rows.append(("measured", _measured(motion)))
    items = "\n".join(f"<div><dt>{escape(a)}</dt><dd>{b}</dd></div>" for a, b in rows)
    figure = "" if motion is None else _figure(_picture(motion))
    latex = as_array(_statements(judgement), Notation())
    source = ", ".join(filter(None, (entry.source.authors, entry.source.where)))
    return (
        f'<section id="{entry.name}"><h2>{escape(entry.title)}</h2>'
        f'<p class="source">{escape(source)}: {escape(entry.source.read.value)}.</p>'
        f"<dl>{items}</dl>{figure}"
        f"<details><summary>LaTeX</summary><pre>{escape(latex)}</pre></details></section>"
    )


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
    finest = min((*motion.by_alpha, *motion.by_sigma), key=lambda p: (p.alpha, p.sigma))
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
