"""The limit of noisy gradient descent as users meet it, and its derivation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .equation.coefficients import leading_equation
from .equation.descent import DescentEquation
from .errors import ProblemError, SavedFileError
from .jump_limit import JumpLimit
from .limit import Limit, derive_limit, restore_limit
from .manifold.discovery.find_manifold import manifold_of
from .model.optimized import rule_of
from .model.problem import NoisyGradientDescent
from .noise.classification import Outcome, classify
from .noise.input_checks import check_hypotheses
from .noise.moments import moments_of, persistent_noise
from .optimizers.optimizer import HeavyBall
from .reading import read_expression
from .rules.regimes.jump_process import jump_process
from .symbols import alpha


@dataclass(frozen=True, repr=False)
class DescentLimit(DescentEquation, Limit):
    """The limit of noisy gradient descent along Γ, with Reg and Σ: every question has an answer."""

    def at_step(  # type: ignore[override]
        self, step: Any = alpha, momentum: Any = 0
    ) -> Limit:
        """As `DescentEquation.at_step` says, and for noise that keeps its size as σ → 0.

        With such noise (minibatches) it is the limit of the recursion as an update rule, which
        does not cover means over samples.
        """
        problem = self.problem
        size = read_expression("step", step)
        if size == 0 or problem.samples is not None or not persistent_noise(problem):
            return super().at_step(step, momentum)
        optimizer = HeavyBall(momentum) if momentum != 0 else None
        return derive_limit(rule_of(replace(problem, optimizer=optimizer))).at_step(step)

    def jump_process(self, step: Any = alpha) -> JumpLimit:
        """As `Limit.jump_process` says; `JumpLimit.beside` is this limit."""
        size = read_expression("step", step)
        if not size.is_positive:
            raise ProblemError(f"step: expected a positive step size α, got {step!r}")
        found = jump_process(self.problem, self.manifold, size)
        return JumpLimit(**vars(found), beside=self)


@restore_limit.register
def _restored(problem: NoisyGradientDescent, parts: Mapping[str, Any]) -> DescentLimit:
    known: list[type[DescentLimit]] = [DescentLimit, *DescentLimit.__subclasses__()]
    kinds = {kind.__name__: kind for kind in known}
    if parts["kind"] not in kinds:
        raise SavedFileError(f"{parts['kind']}: no kind of limit of descent; update singular-limit")
    limit = kinds[parts["kind"]](**{f.name: parts[f.name] for f in fields(DescentLimit)})
    vars(limit).update(parts["results"])
    return limit


def derive_descent_limit(
    problem: NoisyGradientDescent, *, assume: Outcome | str | None = None
) -> DescentLimit:
    """Derive the limit of noisy gradient descent by the two theorems; see `derive_limit`."""
    assumed = None if assume is None else Outcome.read(assume)
    problem = problem.objective.covered
    manifold, moments = manifold_of(problem.objective), moments_of(problem.objective)
    check_hypotheses(manifold.few, moments)
    found = classify(manifold, moments, assumed)
    equation = leading_equation(found.outcome, moments, problem.law)
    return DescentLimit(problem, manifold, found, equation, moments)
