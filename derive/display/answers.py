"""What the answers to questions about a limit say: end states, fluctuations, jump processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import mpmath
import sympy as sp

from ..analysis.end_states import FinalStates
from ..analysis.fluctuations import StationaryFluctuations
from ..analysis.longtime import Equilibrium
from ..rules.regimes.jump_process import JumpProcess
from .mathml import statements_table
from .notation import Equality, Formula, Notation, Words, is_too_long
from .statements import SHOWN_COORDINATES, Statement, as_array, lines, text_of

DIGITS = 6
ROUND_OFF = 1e-20
OPERATOR = "ℒ(X) = HX + XH"
OPERATOR_TEX = r"\mathcal{L}(X) = HX + XH"
GENERATOR = "f ↦ Σ_m ν_m [f(Φ_α(T(W, z_m))) − f(W) − Df P ∂_ηT(W, 0) z_m]"
GENERATOR_TEX = (
    r"f \mapsto \sum_m \nu_m \left[ f(\Phi_\alpha(T(W, z_m))) - f(W)"
    r" - Df\, P\, \partial_\eta T(W, 0)\, z_m \right]"
)


class Shown(ABC):
    """What users meet as text, as LaTeX and as a notebook's table, all made of its statements."""

    @property
    @abstractmethod
    def statements(self) -> list[Statement]:
        """What it says, each with its label."""

    def latex(self, names: Mapping[sp.Symbol, str] | None = None) -> str:
        """The statements as LaTeX; `names` as for `Limit.latex`."""
        return as_array(self.statements, Notation(names or {}))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        return statements_table(self.statements)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def __str__(self) -> str:
        return lines(self.statements)


class EndStates(Shown, FinalStates):
    """End states as users meet them: as text, LaTeX or a notebook's table.

    What they hold is said in `FinalStates`.
    """

    @property
    def statements(self) -> list[Statement]:
        """Each equilibrium with its stability and rate, and what the flow conserves."""
        return end_statements(self)


def end_statements(states: FinalStates) -> list[Statement]:
    """Each equilibrium with its stability and rate, and what the flow conserves."""
    if not states.equilibria:
        words = "none was found from the points of Γ that were tried"
        return [Statement("end states", words, (Words(words),)), *_conserved(states)]
    return [*(_equilibrium(states, e) for e in states.equilibria), *_conserved(states)]


def _equilibrium(states: FinalStates, e: Equilibrium) -> Statement:
    weights = states.limit.problem.weights
    shown = [(w, _short(e.point[w])) for w in weights[:SHOWN_COORDINATES]]
    more = ", …" if len(weights) > SHOWN_COORDINATES else ""
    place = ", ".join(f"{w} = {x}" for w, x in shown) + more
    pieces = [piece for w, x in shown for piece in (r",\; ", w, f" = {x}")][1:]
    pieces += [r",\; \ldots"] if more else []
    rate = mpmath.nstr(abs(e.rate), DIGITS)
    how = {
        True: f"the slowest direction returns at the rate {rate}",
        False: f"the fastest direction leaves at the rate {rate}",
        None: "an eigenvalue of the linearisation is zero",
    }[e.stable]
    words = f"{how} per unit of slow time" if e.stable is not None else how
    return Statement(e.kind, f"{place}: {words}", (Formula(tuple(pieces)), Words(words)))


def _short(x: Any) -> str:
    return str(mpmath.nstr(mpmath.chop(x, ROUND_OFF), DIGITS))


def _conserved(states: FinalStates) -> Iterator[Statement]:
    for quantity in states.conserved:
        text = f"{text_of(quantity.expression)}: {quantity.verdict}"
        parts = (Equality("", quantity.expression), Words(str(quantity.verdict)))
        yield Statement("conserved", text, parts)


class Fluctuations(Shown, StationaryFluctuations):
    """Fluctuations across Γ as users meet them: as text, LaTeX or a notebook's table.

    What they hold is said in `StationaryFluctuations`.
    """

    @property
    def statements(self) -> list[Statement]:
        """The stationary covariance across Γ and the rates at which it is reached."""
        return fluctuation_statements(self)


def fluctuation_statements(of: StationaryFluctuations) -> list[Statement]:
    """The stationary covariance across Γ and the rates at which it is reached."""
    exact = "σ → 0 at this α" if of.limit.equation.step != 0 else "α, σ → 0"
    return [
        Statement(
            "fluctuations",
            f"w − Φ(w) has the stationary covariance {text_of(of.unit)}·X as {exact}",
            (
                Formula((r"\mathrm{Cov}(w - \Phi(w)) = ", of.unit, r"\, X")),
                Words(f"as {exact}"),
            ),
        ),
        _covariance(of),
        *_relaxation(of),
    ]


def _covariance(of: StationaryFluctuations) -> Statement:
    text, tex = _operator(of)
    equation = f"ℒ(X) = QΣQ, {text}"
    parts = (Formula((r"\mathcal{L}(X) = Q \Sigma Q",)), Formula((tex,)))
    if of.covariance is None:
        return Statement("X", f"the solution of {equation}, pointwise", parts)
    shown = (Equality("X", of.covariance), *parts)
    return Statement("X", f"{text_of(of.covariance)}, from {equation}", shown)


def _operator(of: StationaryFluctuations) -> tuple[str, str]:
    relaxation = of.limit.equation.relaxation
    text, tex = OPERATOR, OPERATOR_TEX
    if relaxation.damping != 0:
        text += f" − τ HXH, τ = {text_of(relaxation.damping)}"
        tex += r" - \tau HXH,\; \tau = " + sp.latex(relaxation.damping)
    if relaxation.dephasing != 0:
        text = text.replace(" − τ HXH", " − τ HXH + γ[H, [H, X]]")
        text += f", γ = {text_of(relaxation.dephasing)}"
        tex = tex.replace(r" - \tau HXH", r" - \tau HXH + \gamma [H, [H, X]]")
        tex += r",\; \gamma = " + sp.latex(relaxation.dephasing)
    return text, tex


def _relaxation(of: StationaryFluctuations) -> Iterator[Statement]:
    rates = of.rates
    if rates is None:
        text = "each mode by αλ per iteration, λ a non-zero eigenvalue of H, as α → 0"
        tex = Formula((r"\alpha\lambda_a,\; \lambda_a \in \mathrm{spec}_+ H",))
        yield Statement("relaxation", text, (tex,))
        return
    text = "at the rates " + ", ".join(map(text_of, rates)) + " per iteration"
    parts = tuple(Equality("", rate) for rate in rates)
    yield Statement("relaxation", text, (*parts, Words("per iteration")))


def jump_statements(process: JumpProcess) -> list[Statement]:
    """The process in time t = kσ²: its generator, its jumps, its drift between them."""
    statements = [
        Statement(
            "limit",
            f"jump process on Γ at α = {process.step}, in time t = k·sigma**2",
            (Words("jump process on Γ in time"), Formula((r"t = k\sigma^2",))),
        ),
        Statement("generator", GENERATOR, (Formula((GENERATOR_TEX,)),)),
    ]
    for m, (rate, landing) in enumerate(zip(process.rates, process.landings, strict=True), 1):
        shown = "… (long)" if is_too_long(landing) else str(list(landing))
        statements.append(
            Statement(
                f"jump {m}",
                f"at rate {rate}: from W to the end of descent from {shown}",
                (Formula((rf"\nu_{{{m}}} = ", rate)), Equality(f"T(w, z_{{{m}}})", landing)),
            )
        )
    drift = process.drift
    if drift is not None and any(drift):
        text = f"b = {list(drift)}"
        statements.append(Statement("drift between jumps", text, (Equality("b", drift),)))
    return statements
