"""The limit as users meet it: the limiting equation, shown, explained, checked and kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, singledispatch
from os import PathLike
from typing import Any

import sympy as sp

from .analysis.agreement import compare
from .analysis.end_states import end_states
from .analysis.fluctuations import fluctuations_of
from .deductions.deductions import Explanation
from .deductions.derivation import explain
from .display.answers import EndStates, Fluctuations
from .display.mathml import statements_table
from .display.notation import Notation
from .display.statements import as_latex, as_text, equations
from .equation.coefficients import leading_equation
from .equation.limiting_equation import LimitingEquation
from .errors import NotCoveredError, ProblemError
from .export.source import source
from .files import certificate_file, limit_file
from .model.problem import NoisyGradientDescent
from .model.update_rule import UpdateRule
from .noise.classification import Outcome, Step
from .proofs.certificate import certify_limit
from .proofs.findings import Certificate
from .proofs.questions import Questions, read_positive, read_ranges
from .reading import read_matrix
from .rules.regimes.jump_process import JumpProcess
from .symbolic.zero_tests import Verdict
from .symbols import alpha


class Limit(LimitingEquation):
    """Limiting equation dW = b(W) dt + s(W) dB on Γ, in slow time, with the evidence for it.

    What it holds and what can be asked of the mathematics is said in `LimitingEquation`.
    """

    def check(self, drift: Any, diffusion: Any = None) -> Verdict:
        """Whether a limit derived by hand is the same on Γ.

        Parameters
        ----------
        drift : sequence or matrix of Expr, N entries
            Itô drift in ambient coordinates, per unit of slow time.
        diffusion : matrix of Expr, shape (N, m), optional
            Diffusion matrix; compared by s sᵀ, which is all that the law depends on.

        Returns
        -------
        Verdict
            True, or false with a witness point of Γ.
        """
        return compare(self, drift, diffusion)

    def end_states(self, starts: Iterable[Sequence[Any]] | None = None) -> EndStates:
        """Where the slow flow of a deterministic limit ends: equilibria, stable or repelling.

        Parameters
        ----------
        starts : sequences of N numbers, optional
            Where to look from, near Γ; the points of Γ found in the derivation if not given.

        Returns
        -------
        EndStates
            The equilibria that were found, with their rates per unit of slow time, and the
            conserved quantities of degree one and two, sought for up to 8 weights.

        Raises
        ------
        DeriveError
            If the limit has diffusion, is at rest everywhere, or has free parameters.
        NotCoveredError
            For means over samples.
        """
        return EndStates(**vars(end_states(self, starts)))

    def fluctuations(self) -> Fluctuations:
        """How the iterates fluctuate across Γ around the slow motion, at the limit's step size.

        Returns
        -------
        Fluctuations
            The stationary covariance of w − Φ(w), α σ² ℒ⁻¹(QΣQ), and the rates of relaxation:
            those of the Ornstein-Uhlenbeck process as α → 0, exact ones of `at_step`.

        Raises
        ------
        NotCoveredError
            For too many samples or matrix entries, for the scales beyond the two theorems, and
            for rare jumps at a fixed step.
        """
        return Fluctuations(fluctuations_of(self).limit)

    @abstractmethod
    def at_step(self, step: Any = alpha, momentum: Any = 0) -> Limit:
        """As `LimitingEquation.at_step` says."""

    def jump_process(self, step: Any = alpha) -> JumpProcess:
        """The limit σ → 0 at a fixed step size of descent whose noise jumps rarely, exactly.

        Parameters
        ----------
        step : number or Expr
            α > 0; `derive.alpha` by default.

        Returns
        -------
        JumpLimit
            A jump process on Γ in time t = kσ². `at_step` has its expansion in α.

        Raises
        ------
        NotCoveredError
            If some of the noise does not jump, keeps its size, or L̂ is not given, and for other
            rules than gradient descent.
        """
        raise NotCoveredError("jump_process: it is derived for gradient descent only")

    def latex(self, names: Mapping[sp.Symbol, str] | None = None) -> str:
        r"""The setting, Γ, P, Reg, outcome, time scale and equation as LaTeX.

        Parameters
        ----------
        names : mapping of Symbol to str, optional
            How symbols are to be written, as in ``{w1: r"\theta_1"}``.
        """
        return as_latex(self, Notation(names or {}))

    def to(self, language: str) -> str:
        """The limit as a program without this project: its text.

        Parameters
        ----------
        language : {"numpy", "jax", "c"}
            A Python module of NumPy or JAX, whose functions take points of shape (..., N) and keep
            the leading axes; or a file of C99, whose functions take one point and fill an array.

        Returns
        -------
        str
            A module or file with `drift`, `diffusion`, `projector`, `regularizer` and
            `constraints` as functions of points w of Γ.

        Raises
        ------
        ProblemError
            If a parameter or the step size is still a symbol.
        NotCoveredError
            For too many samples or matrix entries, unknown functions, next-order equations
            without a closed form, or functions that the language lacks.
        """
        return source(self, language)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the limit with its model, evidence and results to a JSON file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Name of the file, taken as it is.

        Raises
        ------
        SavedFileError
            If the model holds a function or a law that the format has no word for.
        """
        limit_file.save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Limit:
        """Read a file written by `save`; nothing is derived again, and nothing executed.

        Parameters
        ----------
        path : path-like
            Name of the file.

        Raises
        ------
        SavedFileError
            If the file is truncated, of another kind, or of a newer version.
        """
        return cls.restored(limit_file.load(path))

    @classmethod
    def restored(cls, parts: Mapping[str, Any]) -> Limit:
        """The limit of the parts that `derive.files.limit_file` has read."""
        return restore_limit(parts["problem"], parts)

    def explain(self) -> Explanation:
        """The derivation step by step, with proofs of its verdicts and with its hypotheses."""
        return explain(self)

    def certificate(
        self,
        path: str | PathLike[str] | None = None,
        *,
        rate: Any = None,
        step: Any = None,
        drift: Any = None,
        ranges: Mapping[sp.Symbol, tuple[Any, Any]] | None = None,
    ) -> Certificate:
        """Proofs of the verdicts that led to the outcome, as data for an independent checker.

        "No" is proved by a box that holds a point of Γ and a value that is enclosed away from 0,
        "yes" by cofactors of the constraints. ``python -m derive.certify FILE`` checks a file.

        Parameters
        ----------
        path : path-like, optional
            Where to write the certificate as JSON, whole or not at all.
        rate : number, optional
            To be shown: descent is attracted at least at this rate, λ > rate for all non-zero
            eigenvalues λ of H at the points of the certificate.
        step : number, optional
            To be shown: at this step size αλ < 2 for them; and where noise keeps its size, or the
            limit is that of an update rule, that Γ attracts in mean square.
        drift : sequence or matrix of Expr, N entries, optional
            To be shown: this is not the drift, for which `check` gives a witness.
        ranges : mapping of Symbol to (low, high), optional
            Parameters, for all values of which in these intervals everything is to be shown.

        Returns
        -------
        Certificate
            With the verdicts that the checker accepts, and a reason for each that is missing.

        Raises
        ------
        DeriveError
            If a number is not positive, or a symbol of `ranges` no parameter.
        NotCoveredError
            For too many samples; for `drift` at a fixed step; for `drift` and `rate` of an update
            rule; under optimizers that cycle, or hold second moments.
        """
        asked = Questions(
            read_positive("rate", rate),
            read_positive("step", step),
            None if drift is None else self._stated(drift),
            read_ranges(ranges, self.problem.parameters),
        )
        found = self._certificate if asked == Questions() else self._certified(asked)
        if path is not None:
            certificate_file.save(found, path)
        return found

    def _stated(self, drift: Any) -> tuple[Step, tuple[sp.Expr, ...]]:
        if self.equation != leading_equation(self.outcome, self.moments, self.problem.law):
            raise NotCoveredError("drift: a difference is certified of the limit α → 0 only")
        entries = tuple(sp.Matrix(read_matrix("drift", drift)))
        return Step(f"the drift is {sp.sstr(entries)}", self.check(drift)), entries

    @cached_property
    def _certificate(self) -> Certificate:
        return self._certified(Questions())

    def _certified(self, asked: Questions) -> Certificate:
        limit = self.written_out()
        return certify_limit(limit.manifold, limit.moments, limit.classification, asked)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return statements_table(equations(self))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return as_text(self)


@singledispatch
def restore_limit(problem: NoisyGradientDescent | UpdateRule, parts: Mapping[str, Any]) -> Limit:
    """The limit of a problem of the parts that `derive.files.limit_file` has read."""
    raise ProblemError(f"problem: expected a NoisyGradientDescent or a rule, got {problem!r}")


@singledispatch
def derive_limit(
    problem: NoisyGradientDescent | UpdateRule, *, assume: Outcome | str | None = None
) -> Limit:
    """Derive the limiting equation of noisy gradient descent along a manifold of minimisers.

    Parameters
    ----------
    problem : NoisyGradientDescent or UpdateRule
        Loss, noisy loss, weights, noise and its law, where the losses may be means over samples;
        or one step of any recursion.
    assume : Outcome or str, optional
        Outcome to take where a verdict is undecided; it is recorded and printed.

    Returns
    -------
    Limit

    Raises
    ------
    ManifoldError
        If the minimisers are not a manifold of the assumed kind at the point of interest, or
        the chart does not map into it.
    ProblemError
        If a given covariance is negative on Γ, or noise of fixed size does not leave Γ at rest
        where other noise shrinks, or does not enter ∇_wL̂ linearly.
    UndecidedError
        If a zero test on Γ is undecided and nothing is assumed.

    References
    ----------
    Shalova, Schlichting, Peletier, arXiv 2404.12293, Theorems A and B; Katzenberger 1991.
    """
    raise ProblemError(f"problem: expected a NoisyGradientDescent or a rule, got {problem!r}")
