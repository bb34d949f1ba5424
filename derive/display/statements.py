"""What a limit says, as labelled statements: `equations` says what, the rest says how.

Text, notebook and LaTeX are made from the same statements and cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..laws.independent import Independent
from ..laws.law import Law
from ..manifold.charts import IntrinsicForm
from ..manifold.discovery.find_manifold import other_components
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Outcome, Step
from ..symbolic.unknown_functions import unknown_names
from .notation import Equality, Formula, Notation, Part, Words, is_too_long
from .special_forms import drift_form

SHOWN_COORDINATES = 8
"""Coordinates of a witness that are shown."""

MEANINGS = {
    Outcome.NON_DEGENERATE: "constrained gradient flow of Reg (Theorem A)",
    Outcome.DIFFUSIVE: "constrained SDE on Γ (Theorem B)",
    Outcome.DETERMINISTIC: "constrained flow, no diffusion along Γ (Theorem B)",
    Outcome.TRIVIAL: "no motion on either time scale as α → 0; a slower scale may act",
    Outcome.FROZEN: "∇L̂(w, η) = 0 on Γ for all η: nothing ever moves",
}


@dataclass(frozen=True)
class Statement:
    """One line of a result.

    Attributes
    ----------
    label : str
        What is stated.
    text : str
        The statement as text.
    parts : tuple of Part
        The same, for those that write it in LaTeX.
    """

    label: str
    text: str
    parts: tuple[Part, ...]

    @property
    def latex(self) -> str:
        """The statement in mathematics mode of LaTeX."""
        return Notation().line(self.parts)


@singledispatch
def equations(limit: LimitingEquation) -> list[Statement]:
    """What the derivation found, in the order in which it is read."""
    return [
        *_setting(limit),
        *manifold_statements(limit),
        *_quantities(limit.problem),
        *_noise(limit),
        *outcome_statements(limit, _meaning(limit)),
        *_equation(limit),
    ]


def as_text(limit: LimitingEquation) -> str:
    """The result as plain text, one statement per line."""
    return lines(equations(limit))


def lines(statements: Sequence[Statement]) -> str:
    """Statements as plain text, one per line, their labels in a column."""
    width = max(len(s.label) for s in statements)
    margin = "\n" + " " * (width + 2)
    return "\n".join(f"{s.label:<{width}}  " + s.text.replace("\n", margin) for s in statements)


def as_latex(limit: LimitingEquation, notation: Notation | None = None) -> str:
    """The result as one LaTeX array, to be set in mathematics mode."""
    return as_array(equations(limit), notation or Notation())


def as_array(statements: Sequence[Statement], notation: Notation) -> str:
    """Statements as one LaTeX array, to be set in mathematics mode."""
    write = notation.line
    rows = [rf"{write((Words(s.label),))} & {write(s.parts)}" for s in statements]
    body = " \\\\\n".join(rows)
    return f"\\begin{{array}}{{ll}}\n{body}\n\\end{{array}}"


def _setting(limit: LimitingEquation) -> list[Statement]:
    p = limit.problem
    statements = [Statement("loss", f"L = {text_of(p.loss)}", (Equality("L", p.loss),))]
    if p.noisy_loss is not None:
        noisy = p.noisy_loss
        statements.append(
            Statement("noisy loss", f"L̂ = {text_of(noisy)}", (Equality(r"\hat L", noisy),))
        )
    else:
        name, tex = ("G", "G") if p.noise else ("Σ", r"\Sigma")
        matrix = sp.Matrix(p.noise_matrix)
        statements.append(
            Statement("gradient noise", f"{name} = {text_of(matrix)}", (Equality(tex, matrix),))
        )
    if p.penalty != 0:
        text = f"U = {text_of(p.penalty)}, added to L̂"
        parts = (Equality("U", p.penalty), Words("added to L̂"))
        statements.append(Statement("penalty", text, parts))
    return [*statements, law_statement(p.law), *_samples(p)]


def _samples(problem: NoisyGradientDescent) -> Iterator[Statement]:
    """How many samples there are, and whose the noise is."""
    if problem.samples is None:
        return
    own = [str(e) for e in problem.noise if e in problem.samples.independent]
    shared = [str(e) for e in problem.noise if e not in problem.samples.independent]
    whose = [f"{', '.join(own)} drawn for each sample"] if own else []
    whose += [f"{', '.join(shared)} shared by all"] if shared else []
    words = Words("; ".join(whose))
    n = len(problem.samples)
    yield Statement("samples", f"n = {n}; {words.text}", (Formula((f"n = {n}",)), words))


def law_statement(law: Law) -> Statement:
    """The law of the noise."""
    return Statement("noise", _law_text(law), tuple(_law_parts(law)))


def _law_text(law: Law) -> str:
    if isinstance(law, Independent):
        named = ((", ".join(map(str, symbols)), part) for symbols, part in law.groups)
        return "; ".join(f"{names}: {_law_text(part)}" for names, part in named)
    quantities = (f", {name} = {text_of(value)}" for name, _, value in law.quantities)
    return law.description + "".join(quantities)


def _law_parts(law: Law) -> Iterator[Part]:
    """A law in words and formulas."""
    if isinstance(law, Independent):
        for symbols, group in law.groups:
            commas = [x for s in symbols for x in (s, r",\, ")][:-1]
            yield Formula((*commas, ":"))
            yield from _law_parts(group)
        return
    yield Words(law.description)
    for _, tex, value in law.quantities:
        yield Equality(tex, value)


def manifold_statements(limit: LimitingEquation) -> list[Statement]:
    """Γ and its projector."""
    m = limit.manifold
    by_loss = m.probe.squares is None and unknown_names(m.problem.loss)
    chosen = [m.problem.loss] if by_loss else [m.constraints[i] for i in m.independent]
    zero = ", ".join(f"{text_of(c)} = 0" for c in chosen)
    each = "" if m.problem.samples is None else " for each sample"
    zero += each
    dims = f"dimension {m.dimension} in R^{m.problem.dimension}"
    dims_tex = rf"\dim\Gamma = {m.dimension},\; w \in \mathbb{{R}}^{{{m.problem.dimension}}}"
    parts: tuple[Part, ...] = (Formula((dims_tex,)), *(Equality("", c, " = 0") for c in chosen))
    if each:
        parts = (*parts, Words(each.strip()))
    statements = [Statement("Γ", f"{zero}; {dims}", parts), *_elsewhere(m), *_minimum(m)]
    if limit.projector is None:
        text, part = "I − J⁺J, pointwise", Formula((r"P = I - J^+ J",))
        return [*statements, Statement("projector on Γ", text, (part,))]
    p = limit.projector
    return [*statements, Statement("projector on Γ", text_of(p), (Equality("P", p),))]


def _elsewhere(manifold: Manifold) -> list[Statement]:
    """Other components of the minimisers, of which nothing else is said."""
    others = () if manifold.problem.samples is not None else other_components(manifold)
    if not others:
        return []
    shown = "; or ".join(", ".join(f"{text_of(c)} = 0" for c in other) for other in others)
    text = f"{shown}: another limit may hold there, derived with near= a point of it"
    parts = tuple(Equality("", c, " = 0") for other in others for c in other)
    words = Words("another limit may hold there, derived with near= a point of it")
    return [Statement("not on Γ", text, (*parts, words))]


def _minimum(manifold: Manifold) -> list[Statement]:
    """L on Γ, where that is not zero."""
    problem = manifold.problem
    if problem.samples is not None or problem.parameters or problem.unknowns:
        return []
    minimum = manifold.minimum
    if minimum == 0:
        return []
    part = Equality(r"L|_\Gamma", minimum)
    return [Statement("minimum", f"L = {text_of(minimum)} on Γ", (part,))]


def _quantities(problem: NoisyGradientDescent) -> Iterator[Statement]:
    """What an objective is told by beside L and L̂."""
    for name, tex, value in problem.objective.quantities:
        yield Statement(name, str(value), (Equality(tex, value),))


def _noise(limit: LimitingEquation) -> list[Statement]:
    reg = limit.regularizer
    on_gamma = limit.regularizer_on_manifold
    statements = [Statement("Reg", text_of(reg), (Equality(r"\mathrm{Reg}", reg),))]
    if on_gamma != reg:
        part = Equality(r"\mathrm{Reg}|_\Gamma", on_gamma)
        statements.append(Statement("Reg on Γ", text_of(on_gamma), (part,)))
    return statements


def _meaning(limit: LimitingEquation) -> str:
    order = limit.classification.step_order
    if limit.outcome is Outcome.TRIVIAL and order is not None:
        power = str(2 + order).translate(SUPERSCRIPT)
        return f"no motion as α → 0; at a fixed step it moves, on 1/(α{power}σ²)"
    beyond = limit.equation.name not in ("Theorem A", "Theorem B", "at rest")
    return limit.equation.name if beyond else MEANINGS[limit.outcome]


def outcome_statements(limit: LimitingEquation, meaning: str) -> list[Statement]:
    """The outcome with what it means, the evidence, and the time scale."""
    name = limit.outcome.value
    why = tuple(
        Words(f"{step.question}: {ANSWERS[step.verdict.value]}") for step in limit.evidence.steps
    )
    statements = [
        Statement("outcome", f"{name}: {meaning}", (Words(f"{name}: {meaning}"),)),
        Statement("because", str(limit.evidence), why),
        *_generically(limit),
    ]
    if limit.time_scale is not None:
        scale = limit.time_scale
        text = f"one unit of slow time is {text_of(scale)} iterations: t = k·{text_of(1 / scale)}"
        statements.append(Statement("time scale", text, (Formula((r"t = k\,", 1 / scale)),)))
    return statements


def _generically(limit: LimitingEquation) -> Iterator[Statement]:
    """For which of the unknown functions the outcome is another one."""
    unknowns = limit.manifold.problem.unknowns
    if not unknowns:
        return
    conditions = [s.question for s in limit.evidence.steps if s.verdict.value is False]
    text = f"for all {', '.join(unknowns)}"
    if conditions:
        text += f" but those with {' or '.join(conditions)}; a witness is a function at random"
    yield Statement("holds", text, (Words(text),))


SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

ANSWERS = {True: "yes", False: "no", None: "undecided"}


def question(step: Step) -> tuple[Part, ...]:
    """A question of the classification with its answer and what that rests on."""
    verdict = step.verdict
    how = f"{verdict.standing}: {verdict.how}"
    words = Words(f"{step.question}? {ANSWERS[verdict.value]} ({how})")
    if verdict.witness is None:
        return (words,)
    shown = list(verdict.witness.items())[:SHOWN_COORDINATES]
    point = tuple(Formula((s, f" = {_decimal(x)}")) for s, x in shown)
    more = (Words("…"),) if len(shown) < len(verdict.witness) else ()
    return (words, Words("at"), *point, *more)


def answered(number: int, step: Step) -> Statement:
    """A question of the classification as a numbered step of a derivation."""
    told = f"{step.question}? {step.verdict.told}"
    return Statement(f"verdict {number}", told, question(step))


def _decimal(value: Any) -> str:
    """LaTeX of a number to six digits."""
    mantissa, _, exponent = mpmath.nstr(value, 6).partition("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _equation(limit: LimitingEquation) -> list[Statement]:
    statements = [_general_form(limit)]
    shows_v2 = limit.second_weight != 0 and not _flows_by_reg(limit)
    if shows_v2 and limit.second_potential is not None:
        v2 = limit.manifold.shortest(limit.second_potential)
        statements.append(Statement("V₂", text_of(v2), (Equality("V_2", v2),)))
    special = limit.special if limit.equation.name == "Theorem B" else None
    if special is not None:
        form = drift_form(special)
        part = Formula((r"b_\parallel = ", *form.formula.pieces))
        statements.append(Statement("special form", form.text, (part,)))
    if special is not None and special.potential is not None:
        v = special.potential
        statements.append(Statement("potential", f"V = {text_of(v)}", (Equality("V", v),)))
    for label, name, matrix in (
        ("drift", "b", limit.drift),
        ("diffusion", "s", limit.diffusion if limit.noise_weight != 0 else None),
    ):
        if matrix is not None and limit.time_scale is not None:
            text = f"{name} = {text_of(matrix)}"
            statements.append(Statement(label, text, (Equality(name, matrix),)))
    if limit.intrinsic is not None and limit.time_scale is not None:
        statements.append(_in_chart(limit.intrinsic))
    return statements


def _in_chart(form: IntrinsicForm) -> Statement:
    a, tau = sp.Matrix(form.drift), sp.Matrix(form.diffusion)
    theta = ", ".join(map(str, form.coordinates))
    text = f"d({theta}) = {text_of(a)} dt" + (f" + {text_of(tau)} dB" if any(tau) else "")
    left = [x for s in form.coordinates for x in (s, ", ")][:-1]
    if not any(tau):
        parts = (Formula(("d(", *left, r") = a\,dt")), Equality("a", a))
        return Statement("in the chart", text, parts)
    equation = Formula(("d(", *left, r") = a\,dt + \tau\,dB"))
    return Statement("in the chart", text, (equation, Equality("a", a), Equality(r"\tau", tau)))


def _general_form(limit: LimitingEquation) -> Statement:
    """The equation in the letters of the theory, each term with its weight."""
    if limit.time_scale is None:
        return Statement("limit", "dW = 0", (Formula(("dW = 0",)),))
    phi, phi_tex = ("Φ", r"\Phi") if limit.step == 0 else ("Φ_α", r"\Phi_\alpha")
    texts: list[str] = []
    tex: list[str | sp.Expr] = []
    if limit.equation.at(limit.equation.potential).has(*limit.problem.weights):
        by_reg = _flows_by_reg(limit)
        texts.append("−P∇Reg" if by_reg else "−P∇U₀")
        tex.append(r"-P\nabla\mathrm{Reg}" if by_reg else r"-P\nabla U_0")
    if limit.second_weight != 0:
        weight, weight_tex = _weight(limit.second_weight)
        name, name_tex = ("P r", "P r") if _flows_by_reg(limit) else ("P∇V₂", r"P\nabla V_2")
        minus = "− " if texts else "−"
        texts.append(f"{minus}{weight}{name}")
        tex += [" - ", *weight_tex, name_tex]
    if limit.ito_weight != 0 and not limit.moments.is_silent:
        weight, weight_tex = _weight(limit.ito_weight)
        plus = "+ " if texts else ""
        texts.append(f"{plus}{weight}D²{phi}[Σ]")
        tex += [plus, *weight_tex, rf"D^2{phi_tex}[\Sigma]"]
    text = " ".join(texts) or "0"
    if len(texts) > 1:
        text, tex = f"[{text}]", [r"\bigl[", *tex, r"\bigr]"]
    text, tex = f"dW = {text} dt", ["dW = ", *(tex or ["0"]), r"\,dt"]
    if limit.noise_weight != 0 and not limit.moments.is_silent:
        weight, weight_tex = _weight(limit.noise_weight)
        text, tex = f"{text} + {weight}P S dB", [*tex, " + ", *weight_tex, r"P S\,dB"]
    if limit.step != 0:
        text = f"{text},  α = {limit.step}"
        tex += [r",\quad \alpha = ", limit.step]
        if limit.equation.momentum != 0:
            text = f"{text}, β = {limit.equation.momentum}"
            tex += [r",\; \beta = ", limit.equation.momentum]
    return Statement("limit", text, (Formula(tuple(tex)),))


def _flows_by_reg(limit: LimitingEquation) -> bool:
    return limit.outcome is Outcome.NON_DEGENERATE


def _weight(weight: sp.Expr) -> tuple[str, tuple[str | sp.Expr, ...]]:
    """A factor in front of a term, as text and as LaTeX."""
    if weight == 1:
        return "", ()
    if weight == sp.Rational(1, 2):
        return "½ ", (r"\tfrac{1}{2}",)
    return f"{sp.sstr(weight)} ", (weight, r"\,")


def text_of(item: Any) -> str:
    """An expression or a matrix as text, or a mark that it is long."""
    if is_too_long(item):
        return "… (long)"
    if isinstance(item, sp.MatrixBase):
        rows = item.tolist()
        return str(sp.sstr([row[0] for row in rows] if item.cols == 1 else rows))
    return str(sp.sstr(item))
