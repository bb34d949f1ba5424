"""Whether a run of an adaptive optimizer is in the window that its limit was taken in."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from derive import Limit
from derive.adaptive_limit import AdaptiveLimit
from derive.cycle_limit import CycleLimit
from derive.errors import DeriveWarning, NotCoveredError
from derive.optimizers import Window
from derive.symbols import alpha as ALPHA
from derive.symbols import sigma

from ..errors import ArgumentError

WARNED, REFUSED = 0.02, 0.5
"""Expected relative errors of the drift from which a run is warned about, and refused."""


def check_window(limit: Limit, runs: Iterable[tuple[float, float]]) -> None:
    """Warn of runs at (α, σ) for which another window's limit would be better, or refuse them.

    Raises
    ------
    ArgumentError
        If the expected error is as large as the motion.
    """
    if not isinstance(limit, AdaptiveLimit):
        return
    plans = [limit.run(alpha, sigma) for alpha, sigma in runs]
    worst = max(plans, key=lambda p: p.errors[limit.window])
    error = worst.errors[limit.window]
    words = (
        f"at α = {worst.alpha:g}, σ = {worst.sigma:g} the limit of the window "
        f"{limit.window.value!r} is wrong by about {error:.0%}; {worst}"
    )
    if error > REFUSED:
        raise ArgumentError(f"alpha, sigma: {words}")
    if error > WARNED:
        warnings.warn(f"alpha, sigma: {words}", DeriveWarning, stacklevel=3)


def require_exact_window(limit: Limit) -> None:
    """Refuse to test, at a step size, a limit with an error that stays there as σ → 0.

    Raises
    ------
    NotCoveredError
        In the windows where δ is not small beside αμ, for a δ that does not shrink with σ, and
        where the drift is simulated.
    """
    if isinstance(limit, CycleLimit) and limit.cycles.is_simulated(ALPHA):
        raise NotCoveredError(
            "limit: under batches the drift is a mean over a simulated chain, with an error of its "
            "own that no check knows of; compare drift and drift_error of "
            "compile_limit(limit.at_step(α)) with short runs of simulate_descent"
        )
    if not isinstance(limit, AdaptiveLimit) or limit.window is Window.DRIFTING:
        return
    if limit.window is not Window.CONSTANT:
        raise NotCoveredError(
            f"limit: in the window {limit.window.value!r} it is that of α → 0, with an error of "
            "order αμ and δ at any step, which a test would find; simulate both at several α and "
            "extrapolate, or validate the windows 'constant' and 'drifting'"
        )
    if not limit.rules.optimizer.delta.has(sigma):
        raise NotCoveredError(
            f"limit: with δ = {limit.rules.optimizer.delta} an error of about δ/(δ + αμ) + δ is "
            "left as σ → 0, which a test would find; state δ = c*derive.sigma, so that it is "
            "extrapolated away"
        )
