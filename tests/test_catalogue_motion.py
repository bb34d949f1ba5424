"""The recursion moves as the catalogue says: each mechanism by Monte Carlo against its limit.

A run starts on Γ; its end is projected by Φ_α, and its displacement along the predicted one is
compared with that, within four standard errors. A limit with a lost factor ½ is the right one at
half the time: it has to be rejected, each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import pytest

from derive import Gaussian, Limit, Minibatch, NoisyGradientDescent, alpha, derive_limit, sigma
from derive.laws import Law
from numerics import CompiledLimit, compile_limit, simulate_descent, simulate_limit
from tests.catalogue import CATALOGUE

ENTRIES = {entry.name: entry for entry in CATALOGUE}
ERRORS = 4
"""Standard errors within which measured and predicted displacement agree."""


@dataclass(frozen=True)
class Prediction:
    """The equation for a run at (α, σ), and how its error falls where σ² is halved.

    Attributes
    ----------
    equation : callable
        Of a limit, α and σ.
    in_alpha : bool
        Whether α has to be halved too.
    gain : int
        Factor by which the error falls.
    """

    equation: Callable[[Limit, float, float], Limit]
    in_alpha: bool
    gain: int


NEXT_ORDER = Prediction(lambda limit, a, s: limit.effective(a, s), in_alpha=True, gain=4)
AT_STEP = Prediction(lambda limit, a, s: limit.at_step(a), in_alpha=False, gain=2)
THIRD_SCALE = Prediction(lambda limit, a, s: limit.scales()[0].at_step(a), in_alpha=False, gain=2)
THEOREM = Prediction(lambda limit, a, s: limit, in_alpha=True, gain=2)


@dataclass(frozen=True)
class Row:
    """A run of a model of the catalogue.

    Attributes
    ----------
    start : tuple of float
        Beginning, taken to Γ by Φ_α.
    alpha, sigma, time : float
        Step size, noise scale, and slow time on the scale of the prediction.
    paths : int
        Number of paths.
    prediction : Prediction
        What it is held to.
    law : Law, optional
        Another law than the catalogue's.
    """

    start: tuple[float, ...]
    alpha: float
    sigma: float
    time: float
    paths: int
    prediction: Prediction = NEXT_ORDER
    law: Law | None = None


RING, NET, PAIR = (0.6, 0.8), (1.3, 0.7, 0.5, 0.8), (2.3, 1.0, -1.3, 2.4)
ROWS = {
    "parameter noise on the uneven ring": Row(RING, 0.02, 0.05, 0.2, 400),
    "correlated parameter noise on the uneven ring": Row(RING, 0.02, 0.03, 0.1, 400),
    "Gaussian DropConnect on the round ring": Row(RING, 0.05, 0.05, 0.2, 400),
    "Bernoulli DropConnect on the round ring": Row(RING, 0.02, 0.1, 0.6, 4000),
    "scalar multiplicative noise": Row(RING, 0.05, 0.05, 0.3, 400),
    "linear scalar noise on the uneven ring": Row(RING, 0.1, 0.1, 1.0, 400, AT_STEP),
    "uneven normal second moment on the round ring": Row(
        RING, 0.1, 0.1, 0.6, 32, THIRD_SCALE, Gaussian()
    ),
    "Gaussian DropConnect on the hyperbola": Row((-2.0, -0.5), 0.05, 0.01, 0.1, 96, AT_STEP),
    "label noise on a diagonal net": Row(NET, 0.02, 0.1, 0.02, 200, AT_STEP),
    "batches of one with label noise on a diagonal net": Row(NET, 0.0025, 0.2, 0.02, 100, THEOREM),
    "batches of two with replacement and label noise on a diagonal net": Row(
        NET, 0.0025, 0.2, 0.02, 100, THEOREM
    ),
    "Gaussian dropout of two neurons": Row(PAIR, 0.1, 0.05, 0.5, 100),
    "Bernoulli dropout of two neurons": Row(PAIR, 0.1, 0.05, 0.5, 400),
    "input noise on a neuron with bias": Row((0.8, 0.7, 0.2), 0.1, 0.05, 1.0, 400),
    "additive noise on an ellipse": Row((1.2, 0.8), 0.02, 0.2, 1.0, 2000, AT_STEP),
}


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: np.ndarray) -> Mean:
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        return cls(float(values.mean()), float(error))

    def __sub__(self, other: Mean) -> Mean:
        return Mean(self.value - other.value, float(np.hypot(self.error, other.error)))

    def __rmul__(self, factor: float) -> Mean:
        return Mean(factor * self.value, abs(factor) * self.error)

    @property
    def z(self) -> float:
        return self.value / self.error


@dataclass(frozen=True)
class Motion:
    """A run and its prediction."""

    problem: NoisyGradientDescent
    row: Row
    seed: Sequence[int]

    @cached_property
    def equation(self) -> Limit:
        return self.row.prediction.equation(
            derive_limit(self.problem), self.row.alpha, self.row.sigma
        )

    @cached_property
    def fast(self) -> CompiledLimit:
        return compile_limit(self.equation)

    @cached_property
    def start(self) -> np.ndarray:
        return self.fast.descent_limit(self.row.start, self.row.alpha)

    @property
    def rate(self) -> float:
        """Iterations per unit of slow time."""
        return float(self.equation.time_scale.subs({alpha: self.row.alpha, sigma: self.row.sigma}))

    @cached_property
    def steps(self) -> int:
        return 2 * round(self.row.time * self.rate / 2)

    @cached_property
    def measured(self) -> np.ndarray:
        """Displacement of the projected iterate on each path."""
        ends = self.run(self.start, self.steps)
        return self.fast.descent_limit(ends, self.row.alpha) - self.start

    def run(self, start: Sequence[float], steps: int) -> np.ndarray:
        """Last iterates of the recursion."""
        row = self.row
        settings = {"alpha": row.alpha, "sigma": row.sigma, "paths": row.paths, "seed": self.seed}
        run = simulate_descent(self.problem, start, **settings, steps=steps, record=[steps])
        return run.weights[:, 0]

    @cached_property
    def predicted(self) -> np.ndarray:
        """Displacement on each path of the limit, after half the time and in the end."""
        return self.of_limit(self.fast)

    def of_limit(self, fast: CompiledLimit) -> np.ndarray:
        """The same for any limit on this time scale, shape (paths, 2, N)."""
        end, paths = self.steps / self.rate, 4 * self.row.paths
        if np.abs(fast.diffusion(self.start)).max(initial=0.0) < 1e-12:
            # Noise with values in the normal space of Γ: a flow, which one accurate path shows.
            still = replace(fast.limit.equation, noise_weight=0 * alpha)
            fast, paths = compile_limit(replace(fast.limit, equation=still)), 1
        run = simulate_limit(
            fast, self.start, time=end, paths=paths, seed=self.seed, record=[end / 2, end]
        )
        return run.weights - self.start

    @cached_property
    def direction(self) -> np.ndarray:
        """Unit vector of the predicted mean displacement."""
        mean = self.predicted[:, 1].mean(axis=0)
        return mean / np.linalg.norm(mean)

    def along(self, displacements: np.ndarray) -> Mean:
        return Mean.of(displacements @ self.direction)

    @property
    def gap(self) -> Mean:
        """Measured minus predicted displacement."""
        return self.along(self.measured) - self.along(self.predicted[:, 1])

    @property
    def gap_to_half(self) -> Mean:
        """Measured minus the displacement of a limit with a lost factor ½."""
        return self.along(self.measured) - self.along(self.predicted[:, 0])


@cache
def motion(name: str, halvings: int = 0, more: int = 1, law: Law | None = None) -> Motion:
    """The run of a row with `more` paths, σ² halved (and α, where the prediction needs it)."""
    row, problem = ROWS[name], ENTRIES[name].problem
    smaller = 2.0**-halvings
    settings = replace(
        row,
        alpha=row.alpha * smaller if row.prediction.in_alpha else row.alpha,
        sigma=row.sigma * np.sqrt(smaller),
        paths=more * row.paths,
    )
    if law or row.law:
        problem = replace(problem, law=law or row.law)
    return Motion(problem, settings, (3, list(ROWS).index(name), halvings))


def confirm(name: str, found: Motion, gap: Mean, gap_to_half: Mean) -> None:
    """Agreement; a displacement well above the error; and the lost factor ½ seen."""
    expected = found.along(found.predicted[:, 1]).value
    print(
        f"{name}: displacement {expected:.4g} ± {gap.error:.2g}, z = {gap.z:.2f}, "
        f"with a lost factor {gap_to_half.z:.0f}"
    )
    assert expected > 10 * gap.error
    assert abs(gap.z) < ERRORS
    assert gap_to_half.z > 2 * ERRORS


def extrapolate(name: str, more: int = 1) -> None:
    """Halve σ² and take the leading error of the prediction out."""
    coarse, fine = motion(name, 0, more), motion(name, 1, more)
    gain = ROWS[name].prediction.gain

    def combined(quantity: str) -> Mean:
        first, second = getattr(coarse, quantity), getattr(fine, quantity)
        return (1 / (gain - 1)) * (gain * second - first)

    confirm(name, fine, combined("gap"), combined("gap_to_half"))


DIRECT = [n for n, row in ROWS.items() if row.prediction in (NEXT_ORDER, AT_STEP)]


@pytest.mark.parametrize("name", DIRECT)
def test_projected_iterate_moves_as_predicted(name):
    found = motion(name)
    confirm(name, found, found.gap, found.gap_to_half)


@pytest.mark.parametrize("name", [n for n in ROWS if n not in DIRECT])
def test_extrapolated_motion_is_as_predicted(name):
    extrapolate(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_extrapolated_motion_of_many_paths_is_as_predicted(name):
    extrapolate(name, more=16)


def test_additive_noise_spreads_as_predicted():
    found = motion("additive noise on an ellipse")
    half, end = ((found.predicted[:, i] ** 2).sum(axis=-1) for i in (0, 1))
    measured = Mean.of((found.measured**2).sum(axis=-1))
    assert abs((measured - Mean.of(end)).z) < ERRORS
    assert (measured - Mean.of(half)).z > 2 * ERRORS


def test_bernoulli_dropconnect_does_not_follow_the_taylor_formula():
    name = "Bernoulli DropConnect on the round ring"
    found, taylor = motion(name), motion(name, law=Gaussian())
    wrong = found.along(found.measured) - found.along(found.of_limit(taylor.fast)[:, 1])
    print(f"{name}: {found.gap.z:.2f} standard errors from it, {wrong.z:.0f} from Taylor's")
    assert wrong.z < -2 * ERRORS


def test_bernoulli_dropconnect_rests_on_the_hyperbola_where_normal_noise_moves():
    """Reg_B is constant and Σ_B = 0 on Γ; what is left is of relative order σ²."""
    normal = motion("Gaussian DropConnect on the hyperbola")
    problem = ENTRIES["Bernoulli DropConnect on the hyperbola"].problem
    here = -normal.start
    ends = Motion(problem, normal.row, (4,)).run(here, normal.steps)
    moved = normal.fast.descent_limit(-ends, normal.row.alpha) + here
    size = np.linalg.norm(normal.measured, axis=1).mean()
    assert np.linalg.norm(moved, axis=1).mean() < 10 * normal.row.sigma**2 * size


@pytest.mark.parametrize("replacement", [False, True])
def test_minibatches_never_move(replacement):
    """Residuals of the size of rounding move nothing by even one bit."""
    law = Minibatch(2, 2 if replacement else 1, replacement)
    problem = replace(ENTRIES["minibatches on a diagonal net"].problem, law=law)
    here = motion("label noise on a diagonal net").start
    ends = Motion(problem, Row(NET, 0.02, 1.0, 1.0, paths=64), (5,)).run(here, 100_000)
    assert (ends == here).all()


def test_normal_second_moment_moves_on_its_own_scale():
    """Twice the σ in a sixteenth of the iterations moves as far: 1/(ασ⁴), not 1/(ασ²) or slower."""
    name = "uneven normal second moment on the round ring"
    slow = motion(name)
    fast = Motion(slow.problem, replace(slow.row, sigma=2 * slow.row.sigma), (6,))
    assert slow.equation.time_scale == 1 / (alpha * sigma**4)
    assert slow.steps == pytest.approx(16 * fast.steps, rel=1e-3)
    first, second = (m.along(m.measured).value for m in (slow, fast))
    assert second == pytest.approx(first, rel=5 * fast.row.sigma**2)
