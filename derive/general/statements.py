"""What a general limit says: its equation, time scale and degeneracy, also under optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ..equation.special_forms import CURVATURE, SpectralSum
from ..laws.law import Law
from ..noise.classification import Outcome
from ..optimizers.optimizer import GradientDescent, HeavyBall, Optimizer
from ..symbols import alpha
from .limit import GeneralDerivation, derive_general
from .modes import effective_step
from .tensors import Tensor
from .words import Words

BETA = sp.Symbol("beta", real=True)
"""The momentum of the table's heavy ball."""


@dataclass(frozen=True)
class Statements:
    """A general limit in words, as text or as LaTeX.

    A heavy ball has the step of `effective_step`. With a constant preconditioner Ω = R² the weights
    are w = R v, and v follows gradient descent on L(Rv), to which the theorems apply: as
    R (I − P_v) R = (I − P_Ω) Ω, the flow of −P_v∇_vV is that of −P_ΩΩ∇V.

    Attributes
    ----------
    limit : GeneralLimit
        What is said.
    tex : bool
        Whether to write LaTeX.
    """

    limit: GeneralDerivation
    tex: bool = False

    @property
    def words(self) -> Words:
        """How tensors are written."""
        return Words(self.limit.weights, self.limit.free[0].size, self.tex)

    @property
    def cells(self) -> tuple[str, ...]:
        """Reg, Σ, class, time scale, limit, those of optimizers, and where it degenerates."""
        return (
            self._mathematics(self.words(self.limit.regularizer)),
            self._mathematics(self.words(self.limit.covariance)),
            self.limit.outcome.value,
            self._mathematics(self.time_scale()),
            self._mathematics(self.equation),
            self.with_momentum,
            self._mathematics(self.preconditioned),
            self._mathematics(self.degeneracy),
        )

    def time_scale(self, optimizer: Optimizer | None = None) -> str:
        """Iterations per unit of slow time, with the effective step of an optimizer for α."""
        if self.limit.time_scale is None:
            return r"\text{none}" if self.tex else "none"
        slowed = sp.cancel(alpha / effective_step(optimizer or GradientDescent()))
        power = "" if self.limit.outcome is Outcome.NON_DEGENERATE else "²"
        shown = "1" if slowed == 1 else f"({sp.sstr(slowed)}){power}"
        return self._put(f"{shown}/(α{power}σ²)".replace("-", "−").replace("beta", "β"))

    @property
    def equation(self) -> str:
        """The limit of gradient descent."""
        return self._equation(self.limit, _DESCENT)

    @property
    def with_momentum(self) -> str:
        """The limit of a heavy ball."""
        if self.limit.time_scale is None:
            return self._mathematics(self.equation)
        return "the same, time scale " + self._mathematics(self.time_scale(HeavyBall(BETA)))

    @property
    def preconditioned(self) -> str:
        """The limit with a constant preconditioner."""
        return self._equation(self.limit.preconditioned, _PRECONDITIONED)

    def _equation(self, limit: GeneralDerivation, letters: _Letters) -> str:
        outcome = limit.outcome
        if outcome is Outcome.NON_DEGENERATE:
            return self._put(f"dW = −{letters.projector}∇( ") + self._flow(limit.regularizer)
        if outcome is Outcome.DETERMINISTIC and limit.hessian_multiple is not None:
            slope = SpectralSum.of(limit.hessian_multiple * CURVATURE).slope
            trace = limit.laplacian.scaled(slope)
            return self._put(f"dW = −{letters.projector}∇( ") + self._flow(trace)
        if outcome is Outcome.DIFFUSIVE and limit.isotropy == 1:
            ((rate, _),) = SpectralSum.of(limit.isotropy).logarithms
            return self._put(f"dW = P ∘ dB − {self.words.number(rate)} P∇ log det₊H dt")
        if outcome.is_degenerate:
            noise = "" if outcome is Outcome.DETERMINISTIC else f"{letters.projector}S dB + "
            return self._put(f"dW = {noise}½ D²{letters.flow}[{letters.covariance}] dt")
        return self._put("dW = 0")

    def _flow(self, potential: Tensor) -> str:
        return self.words(potential) + self._put(" ) dt")

    @property
    def degeneracy(self) -> str:
        """The equation on Γ under which the outcome is another one."""
        outcome = self.limit.outcome
        if outcome is Outcome.NON_DEGENERATE:
            return self._put("P∇Reg = 0 on all of Γ")
        if outcome is Outcome.DIFFUSIVE:
            return self._put("PΣP = 0 on all of Γ")
        if outcome is Outcome.DETERMINISTIC and self.limit.hessian_multiple is not None:
            return self._put("P∇ΔL = 0 on all of Γ")
        return self._put("never")

    def _put(self, text: str) -> str:
        if not self.tex:
            return text
        for letter, command in _COMMANDS.items():
            text = text.replace(letter, command)
        return text

    def _mathematics(self, text: str) -> str:
        return f"${text}$" if self.tex else text


@dataclass(frozen=True)
class _Letters:
    """What stands for P, Φ and Σ."""

    projector: str
    flow: str
    covariance: str


_DESCENT = _Letters("P", "Φ", "Σ")
_PRECONDITIONED = _Letters("P_Ω Ω", "Φ_Ω", "ΩΣΩ")

_COMMANDS = {
    "on all of Γ": r"\text{ on all of } Γ",
    "never": r"\text{never}",
    "P_Ω Ω": r"P_{\Omega}Ω ",
    "Φ_Ω": r"\Phi_{\Omega}",
    "D²": r"D^2",
    "det₊": r"\det\nolimits_+",
    "log": r"\log ",
    "Reg": r"\,\mathrm{Reg}",
    "∇": r"\nabla ",
    "∘": r"\circ ",
    "−": "-",
    "½": r"\tfrac12 ",
    "¼": r"\tfrac14 ",
    "Δ": r"\Delta ",
    "α": r"\alpha ",
    "β": r"\beta ",
    "σ": r"\sigma ",
    "²": "^2",
    "Γ": r"\Gamma",
    "Φ": r"\Phi",
    "Σ": r"\Sigma ",
    "Ω": r"\Omega ",
    " dt": r"\, dt",
    " dB": r"\, dB",
}

LABELS = (
    *("Reg on Γ", "Σ_kl on Γ", "class", "time scale", "limit"),
    *("heavy ball", "preconditioner Ω", "degenerates where"),
)
"""What `Statements.cells` says."""


class GeneralLimit(GeneralDerivation):
    """A general limit as users meet it: as text, LaTeX or a notebook's mathematics.

    What it holds is said in `GeneralDerivation`.
    """

    def cells(self, tex: bool = False) -> dict[str, str]:
        """What it says, by label, as text or as LaTeX with formulas between dollar signs."""
        return dict(zip(LABELS, Statements(self, tex).cells, strict=True))

    def latex(self) -> str:
        """Everything it says as a LaTeX array, to be set in mathematics mode."""
        rows = (
            rf"\text{{{WORDS.get(label, label)}}} & {_bare(cell)}"
            for label, cell in self.cells(tex=True).items()
        )
        return "\\begin{array}{ll}\n" + " \\\\\n".join(rows) + "\n\\end{array}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        width = max(map(len, LABELS))
        return "\n".join(f"{label:<{width}}  {cell}" for label, cell in self.cells().items())


WORDS = {
    "L̂(w, η)": r"$\hat L(w, \eta)$",
    "Reg on Γ": r"$\mathrm{Reg}$ on $\Gamma$",
    "Σ_kl on Γ": r"$\Sigma_{kl}$ on $\Gamma$",
    "preconditioner Ω": r"preconditioner $\Omega$",
}


def _bare(cell: str) -> str:
    """A cell inside mathematics mode."""
    return cell.strip("$") if cell.startswith("$") else rf"\text{{{cell}}}"


def general_limit(
    loss: sp.Expr,
    noisy_loss: sp.Expr,
    weights: sp.IndexedBase | sp.MatrixSymbol,
    noise: Any,
    covariance: Mapping[Any, sp.Lambda] | None = None,
    *,
    law: Law | None = None,
) -> GeneralLimit:
    """Derive the limit for every loss of a kind, with dimensions that stay symbolic.

    Parameters
    ----------
    loss : Expr
        ``L(w)``; a mean ``Sum(l(s, w), (s, 1, n)) / n`` of losses ≥ 0; or one of squares of
        residuals ``h(s, w) - y[s]``.
    noisy_loss : Expr
        L̂(w, η), which is the loss at η = 0: what is noisy are arguments and factors.
    weights : IndexedBase with a shape, or MatrixSymbol of one column
        w.
    noise : IndexedBase, MatrixSymbol, or a sequence of these
        Independent arrays of noise whose size σ shrinks.
    covariance : mapping of array to Lambda, optional
        E η_i η_j per σ², as ``Lambda((i, j), C[i, j])``, of a matrix of noise with four indices;
        independent entries that follow `law` if not given.
    law : Law, optional
        Law of each independent entry of the noise: `Gaussian` if not given, `Bernoulli`, or a
        `CustomLaw` of one coordinate, whose jumps are rational numbers.

    Returns
    -------
    GeneralLimit

    Raises
    ------
    ProblemError
        If something is not understood, by name, or L̂(w, 0) ≠ L(w).
    """
    found = derive_general(loss, noisy_loss, weights, noise, covariance, law=law)
    return GeneralLimit(**vars(found))
