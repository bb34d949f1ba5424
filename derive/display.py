"""What a limit says, as labelled statements: `equations` says what, the rest says how.

Text, notebook and LaTeX are made from the same statements and cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from .classify import Outcome
from .laws import Gaussian, Law

if TYPE_CHECKING:
    from .limit import Limit

READABLE_OPERATIONS = 250
"""Operations up to which an expression is shown in full."""

MEANINGS = {
    Outcome.NON_DEGENERATE: "constrained gradient flow of Reg (Theorem A)",
    Outcome.DIFFUSIVE: "constrained SDE on Γ (Theorem B)",
    Outcome.DETERMINISTIC: "constrained flow, no diffusion along Γ (Theorem B)",
    Outcome.TRIVIAL: "no motion on either time scale; a slower scale may act",
    Outcome.FROZEN: "∇L̂(w, η) = 0 on Γ for all η: nothing ever moves",
}


@dataclass(frozen=True)
class Statement:
    """One line of a result: a label, and the same content as text and as LaTeX."""

    label: str
    text: str
    latex: str


def equations(limit: Limit) -> list[Statement]:
    """What the derivation found, in the order in which it is read."""
    return [
        *_setting(limit),
        *_manifold(limit),
        *_noise(limit),
        *_outcome(limit),
        *_equation(limit),
    ]


def as_text(limit: Limit) -> str:
    """The result as plain text, one statement a line."""
    statements = equations(limit)
    width = max(len(s.label) for s in statements)
    margin = "\n" + " " * (width + 2)
    return "\n".join(f"{s.label:<{width}}  " + s.text.replace("\n", margin) for s in statements)


def as_latex(limit: Limit) -> str:
    """The result as one LaTeX array, to be set in mathematics mode."""
    rows = [rf"\text{{{phrase(s.label)}}} & {s.latex}" for s in equations(limit)]
    body = " \\\\\n".join(rows)
    return f"\\begin{{array}}{{ll}}\n{body}\n\\end{{array}}"


def phrase(text: str) -> str:
    """Words with a few of the theory's letters, as LaTeX text."""
    for letter, tex in _LETTERS.items():
        text = text.replace(letter, f"${tex}$")
    return text.replace("$$", " ")


_LETTERS = {
    "σ²/α": r"\sigma^2/\alpha",
    "σ/α": r"\sigma/\alpha",
    "∇_wL̂": r"\nabla_w \hat L",
    "L̂": r"\hat L",
    "σ²": r"\sigma^2",
    "½": r"\tfrac{1}{2}",
    "D²": "D^2",
    "C³": "C^3",
    "∇": r"\nabla",
    "≥": r"\ge",
    "→": r"\to",
    "Γ": r"\Gamma",
    "Φ": r"\Phi",
    "Σ": r"\Sigma",
    "α": r"\alpha",
    "σ": r"\sigma",
    "η": r"\eta",
}


def _setting(limit: Limit) -> list[Statement]:
    p = limit.problem
    statements = [Statement("loss", f"L = {_text(p.loss)}", f"L = {_tex(p.loss)}")]
    if p.noisy_loss is not None:
        noisy = p.noisy_loss
        statements.append(
            Statement("noisy loss", f"L̂ = {_text(noisy)}", rf"\hat L = {_tex(noisy)}")
        )
    else:
        name, tex = ("G", "G") if p.noise else ("Σ", r"\Sigma")
        matrix = sp.Matrix(p.noise_matrix)
        statements.append(
            Statement("gradient noise", f"{name} = {_text(matrix)}", f"{tex} = {_tex(matrix)}")
        )
    law = _law(p.law)
    statements.append(Statement("noise", law, rf"\text{{{phrase(law)}}}"))
    return statements


def _law(law: Law) -> str:
    if isinstance(law, Gaussian):
        return f"Gaussian, covariance σ² {'I' if law.covariance is None else _text(law.covariance)}"
    return repr(law)


def _manifold(limit: Limit) -> list[Statement]:
    m = limit.manifold
    chosen = [m.constraints[i] for i in m.independent]
    zero = ", ".join(f"{_text(c)} = 0" for c in chosen)
    zero_tex = r",\; ".join(f"{_tex(c)} = 0" for c in chosen)
    dims = f"dimension {m.dimension} in R^{limit.problem.dimension}"
    dims_tex = rf"\dim\Gamma = {m.dimension},\; w \in \mathbb{{R}}^{{{limit.problem.dimension}}}"
    statements = [Statement("Γ", f"{zero}; {dims}", rf"{zero_tex};\quad {dims_tex}")]
    if limit.projector is None:
        text, tex = "I − J⁺J, pointwise", r"P = I - J^+ J"
    else:
        text, tex = _text(limit.projector), f"P = {_tex(limit.projector)}"
    return [*statements, Statement("projector on Γ", text, tex)]


def _noise(limit: Limit) -> list[Statement]:
    reg = limit.regularizer
    on_gamma = limit.regularizer_on_manifold
    statements = [Statement("Reg", _text(reg), rf"\mathrm{{Reg}} = {_tex(reg)}")]
    if on_gamma != reg:
        statements.append(
            Statement("Reg on Γ", _text(on_gamma), rf"\mathrm{{Reg}}|_\Gamma = {_tex(on_gamma)}")
        )
    return statements


def _outcome(limit: Limit) -> list[Statement]:
    beyond = limit.equation.name not in ("Theorem A", "Theorem B", "at rest")
    meaning = limit.equation.name if beyond else MEANINGS[limit.outcome]
    name = limit.outcome.value
    statements = [Statement("outcome", f"{name}: {meaning}", rf"\text{{{name}}}")]
    why = str(limit.evidence)
    because = r",\; ".join(
        f"{question_latex(step.question)}\\text{{: {_answer(step.verdict.value)}}}"
        for step in limit.evidence.steps
    )
    statements.append(Statement("because", why, because))
    if limit.time_scale is not None:
        scale = limit.time_scale
        text = f"one unit of slow time is {_text(scale)} iterations: t = k·{_text(1 / scale)}"
        tex = rf"t = k\,{sp.latex(1 / scale)}"
        statements.append(Statement("time scale", text, tex))
    return statements


def _answer(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "undecided"}[value]


def question_latex(question: str) -> str:
    """LaTeX of a question of the classification, which is written in the theory's letters."""
    for symbol, tex in {
        "½": r"\tfrac{1}{2} ",
        "∇_wL̂": r"\nabla_w \hat L",
        "∇": r"\nabla ",
        "Reg": r"\mathrm{Reg}",
        "Φ": r"\Phi ",
        "Σ": r"\Sigma ",
        "²": "^2",
        "η": r"\eta",
        "on Γ": r"\text{ on } \Gamma ",
        "for all": r"\text{ for all }",
    }.items():
        question = question.replace(symbol, tex)
    return question


def _equation(limit: Limit) -> list[Statement]:
    general, general_tex = _general_form(limit)
    statements = [Statement("limit", general, general_tex)]
    shows_v2 = limit.second_weight != 0 and not _flows_by_reg(limit)
    if shows_v2 and limit.second_potential is not None:
        v2 = limit.manifold.shortest(limit.second_potential)
        statements.append(Statement("V₂", _text(v2), f"V_2 = {_tex(v2)}"))
    special = limit.special if limit.equation.name == "Theorem B" else None
    if special is not None:
        statements.append(
            Statement("special form", special.text, rf"b_\parallel = {special.statement}")
        )
    if special is not None and special.potential is not None:
        v = special.potential
        statements.append(Statement("potential", f"V = {_text(v)}", f"V = {_tex(v)}"))
    for label, name, matrix in (
        ("drift", "b", limit.drift),
        ("diffusion", "s", limit.diffusion if limit.noise_weight != 0 else None),
    ):
        if matrix is not None and limit.time_scale is not None:
            statements.append(
                Statement(label, f"{name} = {_text(matrix)}", f"{name} = {_tex(matrix)}")
            )
    if limit.intrinsic is not None and limit.time_scale is not None:
        form = limit.intrinsic
        a, tau = sp.Matrix(form.drift), sp.Matrix(form.diffusion)
        theta = ", ".join(map(str, form.coordinates))
        theta_tex = ", ".join(map(sp.latex, form.coordinates))
        statements.append(
            Statement(
                "in the chart",
                f"d({theta}) = {_text(a)} dt + {_text(tau)} dB",
                rf"d({theta_tex}) = {_tex(a)}\,dt + {_tex(tau)}\,dB",
            )
        )
    return statements


def _general_form(limit: Limit) -> tuple[str, str]:
    """The equation in the letters of the theory, each term with its weight."""
    if limit.time_scale is None:
        return "dW = 0", r"dW = 0"
    phi, phi_tex = ("Φ", r"\Phi") if limit.step == 0 else ("Φ_α", r"\Phi_\alpha")
    terms = []
    if any(limit.slope):
        terms.append(("−P∇Reg", r"-P\nabla\mathrm{Reg}") if _flows_by_reg(limit) else _FLOW)
    if limit.second_weight != 0:
        weight, tex = _weight(limit.second_weight)
        name, name_tex = ("P r", "P r") if _flows_by_reg(limit) else ("P∇V₂", r"P\nabla V_2")
        minus = "− " if terms else "−"
        terms.append((f"{minus}{weight}{name}", rf"- {tex}{name_tex}"))
    if limit.moments.columns.cols and limit.ito_weight != 0:
        weight, tex = _weight(limit.ito_weight)
        plus = "+ " if terms else ""
        terms.append((f"{plus}{weight}D²{phi}[Σ]", rf"{plus}{tex}D^2{phi_tex}[\Sigma]"))
    text = " ".join(t for t, _ in terms) or "0"
    body = " ".join(t for _, t in terms) or "0"
    text, body = (f"[{text}]", rf"\left[{body}\right]") if len(terms) > 1 else (text, body)
    text, body = f"dW = {text} dt", rf"dW = {body}\,dt"
    if limit.moments.columns.cols and limit.noise_weight != 0:
        weight, tex = _weight(limit.noise_weight)
        text, body = f"{text} + {weight}P S dB", rf"{body} + {tex}P S\,dB"
    if limit.step != 0:
        text, body = f"{text},  α = {limit.step}", rf"{body},\quad \alpha = {_tex(limit.step)}"
    return text, body


_FLOW = ("−P∇V", r"-P\nabla V")


def _flows_by_reg(limit: Limit) -> bool:
    return limit.outcome is Outcome.NON_DEGENERATE


def _weight(weight: sp.Expr) -> tuple[str, str]:
    """A factor in front of a term, as text and as LaTeX."""
    if weight == 1:
        return "", ""
    if weight == sp.Rational(1, 2):
        return "½ ", r"\tfrac{1}{2}"
    return f"{sp.sstr(weight)} ", rf"{sp.latex(weight)}\,"


def _too_long(item: Any) -> bool:
    entries = item if isinstance(item, sp.MatrixBase) else [item]
    return sum(x.count_ops() for x in entries) > READABLE_OPERATIONS


def _text(item: Any) -> str:
    if _too_long(item):
        return "… (long)"
    if isinstance(item, sp.MatrixBase):
        rows = item.tolist()
        return sp.sstr([row[0] for row in rows] if item.cols == 1 else rows)
    return str(sp.sstr(item))


def _tex(item: Any) -> str:
    return r"\ldots" if _too_long(item) else str(sp.latex(item))
