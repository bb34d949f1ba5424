"""Simulation of the limit, against closed forms: on Γ, with the right law, at weak order one."""

import numpy as np
import pytest
import sympy as sp
from scipy import stats
from scipy.integrate import solve_ivp

from derive import Limit, NoisyGradientDescent, Outcome
from numerics import ArgumentError, Status, StepSizeWarning, compile_limit, simulate_limit
from numerics.simulation.limit.integrate import default_step, recorded_times
from tests.truth.fields import derived

w1, w2, w3 = sp.symbols("w1:4", real=True)
etas = sp.symbols("eta1:4", real=True)


def additive(loss: sp.Expr, *weights: sp.Symbol) -> Limit:
    """The limit of additive noise on every weight."""
    noise = etas[: len(weights)]
    kick = sum(w * e for w, e in zip(weights, noise, strict=True))
    return derived(NoisyGradientDescent(loss, loss + kick, weights, noise))


CIRCLE = (w1**2 + w2**2 - 1) ** 2 / 4
SPHERE = (w1**2 + w2**2 + w3**2 - 1) ** 2 / 4
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4


def ring() -> Limit:
    """Linear scalar noise on the uneven ring: θ' = sin θ / (4 (2 + cos θ))."""
    noisy = RING + etas[0] * (w1**2 + w2**2) / 2
    return derived(NoisyGradientDescent(RING, noisy, (w1, w2), etas[0]))


def angles(points: np.ndarray) -> np.ndarray:
    return np.arctan2(points[..., 1], points[..., 0])


# Without noise ----------------------------------------------------------------------------------


def test_flow_on_the_ring() -> None:
    paths = simulate_limit(ring(), (0.6, 0.8), time=2.0, paths=3, seed=0, record=21)

    def slope(_: float, angle: np.ndarray) -> np.ndarray:
        return np.sin(angle) / (4 * (2 + np.cos(angle)))

    exact = solve_ivp(
        slope, (0, 2), [np.arctan2(0.8, 0.6)], rtol=1e-12, atol=1e-13, t_eval=paths.times
    )
    for path in paths.weights:
        assert angles(path) == pytest.approx(exact.y[0], abs=1e-9)
    assert np.hypot(*paths.weights.T) == pytest.approx(1.0, abs=1e-15)
    assert paths.unit == "slow time"
    assert paths.ok.all()


def test_starts_at_the_end_of_the_flow_and_of_descent() -> None:
    start = (0.3, 1.2)
    limit = ring()
    fast = compile_limit(limit)
    options = {"time": 0.5, "paths": 2, "seed": 0, "record": 3}
    assert simulate_limit(fast, start, **options).weights[:, 0] == pytest.approx(
        np.tile(fast.flow_limit(start), (2, 1)), abs=1e-14
    )
    finite = simulate_limit(fast, start, alpha=0.1, **options)
    assert finite.weights[:, 0] == pytest.approx(
        np.tile(fast.descent_limit(start, 0.1), (2, 1)), abs=1e-14
    )
    same = simulate_limit(limit.at_step(0.1), start, **options)
    assert (same.weights == finite.weights).all()


def test_each_path_has_its_start() -> None:
    starts = np.array([(0.6, 0.8), (0.0, 1.0), (0.6, 0.8)])
    together = simulate_limit(ring(), starts, time=1.0, paths=3, seed=0, record=4)
    for start, path in zip(starts, together.weights, strict=True):
        alone = simulate_limit(ring(), start, time=1.0, paths=1, seed=0, record=4)
        assert (alone.weights[0] == path).all()


def test_nothing_moves_on_a_trivial_limit() -> None:
    noisy = CIRCLE + (w1**2 + w2**2 - 1) * etas[0] ** 2 / 2
    limit = derived(NoisyGradientDescent(CIRCLE, noisy, (w1, w2), etas[0]))
    assert limit.outcome is Outcome.TRIVIAL
    paths = simulate_limit(limit, {w1: 0.6, w2: 0.8}, time=5.0, paths=2, seed=0)
    assert paths.weights == pytest.approx(np.broadcast_to((0.6, 0.8), (2, 100, 2)), abs=1e-15)


def test_stops_where_the_manifold_ends() -> None:
    """H = w₂² on w₁ = 0 falls to nothing as w₂ does, by e^{−2t} along the flow of Reg = w₂²/2."""
    loss = w1**2 * w2**2 / 2
    noisy = loss + etas[0] ** 2 * w2**2 / 2
    problem = NoisyGradientDescent(loss, noisy, (w1, w2), etas[0], constraints=(w1,), near=(0, 1))
    paths = simulate_limit(derived(problem), (0, 1), time=10.0, paths=1, seed=0, record=101)
    assert paths.status[0] is Status.LEFT_NEIGHBOURHOOD
    end = np.log(1e6) / 2
    recorded = np.isfinite(paths.weights[0, :, 1])
    assert recorded[paths.times < end - 1].all()
    assert not recorded[paths.times > end].any()
    assert paths.stopped[0] > 0


# With noise -------------------------------------------------------------------------------------


@pytest.fixture(params=["closed form", "numeric geometry"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to simulate a limit of few weights."""
    if request.param == "numeric geometry":
        monkeypatch.setattr("numerics.simulation.limit.sde_closed_form.MOST_WEIGHTS", 0)
    return request.param


@pytest.mark.usefixtures("route")
def test_brownian_motion_on_the_circle() -> None:
    """E w = w₀ e^{−t/2}; the angle is normal with variance t."""
    limit = additive(CIRCLE, w1, w2)
    count, time = 2000, 0.5
    paths = simulate_limit(limit, (0.6, 0.8), time=time, paths=count, seed=1, step=0.005, record=3)
    end = paths.weights[:, -1]
    mean = np.array([0.6, 0.8]) * np.exp(-time / 2)
    # 4 standard errors, and the weak error of the scheme, h t |mean| on the circle.
    allowed = 4 * end.std(axis=0) / np.sqrt(count) + 0.005 * time
    assert (np.abs(end.mean(axis=0) - mean) < allowed).all()
    turned = (angles(end) - np.arctan2(0.8, 0.6) + np.pi) % (2 * np.pi) - np.pi
    wrapped = stats.norm(scale=np.sqrt(time))
    assert stats.kstest(turned, wrapped.cdf).pvalue > 1e-3
    assert np.hypot(*paths.weights.T) == pytest.approx(1.0, abs=4e-16)


@pytest.mark.usefixtures("route")
def test_brownian_motion_on_the_sphere() -> None:
    """E w = w₀ e^{−t}."""
    limit = additive(SPHERE, w1, w2, w3)
    count, time, step = 2000, 0.25, 0.0025
    paths = simulate_limit(
        limit, (0.6, 0.0, 0.8), time=time, paths=count, seed=2, step=step, record=2
    )
    end = paths.weights[:, -1]
    mean = np.array([0.6, 0.0, 0.8]) * np.exp(-time)
    allowed = 4 * end.std(axis=0) / np.sqrt(count) + 4 * step * time
    assert (np.abs(end.mean(axis=0) - mean) < allowed).all()


@pytest.mark.slow
def test_weak_order_is_one(route: str) -> None:
    """The error of E w₁ on the circle is about h/2 or h/4, and halves with the step."""
    limit, time = additive(CIRCLE, w1, w2), 1.0
    count = 1_000_000 if route == "closed form" else 60_000
    errors, steps = [], (0.1, 0.05, 0.025)
    for step in steps:
        paths = simulate_limit(limit, (1, 0), time=time, paths=count, seed=3, step=step, record=2)
        errors.append(paths.weights[:, -1, 0].mean() - np.exp(-time / 2))
    order = np.polyfit(np.log(steps), np.log(np.abs(errors)), 1)[0]
    # A standard error is below 15 % of the least error, so the slope is good to 0.1; the terms of
    # order h² take another 0.2 off it in closed form.
    assert order == pytest.approx(1.0, abs=0.3)


@pytest.mark.slow
def test_invariant_density_on_an_ellipse() -> None:
    """Additive noise: the density on Γ is proportional to (det₊H)^{-1/2}."""
    limit = additive((w1**2 + 4 * w2**2 - 4) ** 2 / 8, w1, w2)
    paths = simulate_limit(limit, (2, 0), time=30.0, paths=4000, seed=4, step=0.01, record=[30.0])
    angle = np.arctan2(2 * paths.weights[:, 0, 1], paths.weights[:, 0, 0])
    grid = np.linspace(-np.pi, np.pi, 20_001)
    x, y = 2 * np.cos(grid), np.sin(grid)
    # ds = |γ'| dθ and det₊H = |∇r|² with r = (w₁² + 4w₂² − 4)/2.
    density = np.hypot(2 * np.sin(grid), np.cos(grid)) / np.hypot(x, 4 * y)
    cdf = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    result = stats.kstest(angle, lambda a: np.interp(a, grid, cdf / cdf[-1]))
    assert result.pvalue > 1e-3


def falling() -> Limit:
    """H = w₂² on w₁ = 0, and log w₂ = 2B − 2t falls."""
    loss = w1**2 * w2**2 / 2
    noisy = loss + etas[0] * w2**2
    problem = NoisyGradientDescent(loss, noisy, (w1, w2), etas[0], constraints=(w1,), near=(0, 1))
    return derived(problem)


@pytest.mark.usefixtures("route")
def test_the_step_at_which_a_path_stopped() -> None:
    """It is the first without a record, where every step is recorded."""
    steps = np.arange(301)
    paths = simulate_limit(
        falling(), (0, 1), time=3.0, paths=40, seed=0, step=0.01, record=steps / 100
    )
    recorded = np.isfinite(paths.weights[..., 1]).sum(axis=1)
    assert 0 < np.count_nonzero(paths.ok) < 40
    np.testing.assert_array_equal(paths.stopped, np.where(paths.ok, -1, recorded))


@pytest.mark.usefixtures("route")
def test_a_diffusion_stops_where_the_manifold_ends() -> None:
    """A path ends where w₂ < 10⁻³ of its start."""
    paths = simulate_limit(falling(), (0, 1), time=5.0, paths=40, seed=0, step=0.01)
    ended = paths.status == Status.LEFT_NEIGHBOURHOOD
    assert (ended | paths.ok).all()
    # P(2t − 2B exceeds log 1000 for some t ≤ 5) = 0.834, with a standard error of 0.06.
    assert abs(ended.mean() - 0.834) < 4 * 0.06
    below = np.abs(paths.weights[..., 1]) < 1e-3
    assert not below[~ended].any()
    # What is recorded between the step that crosses and the look that follows is one time at most.
    assert (below.sum(axis=1) <= 1).all()
    assert np.isnan(paths.weights[ended, -1]).all()


def test_paths_do_not_depend_on_each_other() -> None:
    limit = compile_limit(additive(SPHERE, w1, w2, w3))
    options = {"time": 0.1, "seed": 5, "step": 0.01, "record": [0.03, 0.1]}
    many = simulate_limit(limit, (0.6, 0.0, 0.8), paths=40, threads=2, **options)
    few = simulate_limit(limit, (0.6, 0.0, 0.8), paths=3, threads=1, **options)
    late = simulate_limit(limit, (0.6, 0.0, 0.8), paths=4, first_path=36, **options)
    assert (many.weights[:3] == few.weights).all()
    assert (many.weights[36:] == late.weights).all()
    assert len(np.unique(many.weights[:, -1, 0])) == 40


@pytest.mark.usefixtures("route")
def test_finite_step_noise_beside_a_flow() -> None:
    """L̂ = L + η w₁ + η² w₂/2 at step α: Reg = w₂/2, and s = √α P e₁."""
    noisy = CIRCLE + etas[0] * w1 + etas[0] ** 2 * w2 / 2
    limit = derived(NoisyGradientDescent(CIRCLE, noisy, (w1, w2), etas[0])).at_step(0.04)
    assert limit.outcome is Outcome.NON_DEGENERATE
    count, time = 4000, 0.01
    assert compile_limit(limit).diffusion([0.6, 0.8])[:, 0] == pytest.approx(
        0.2 * np.array([0.64, -0.48]), abs=1e-14
    )
    paths = simulate_limit(limit, (0.6, 0.8), time=time, paths=count, seed=6, step=1e-3, record=2)
    ends = angles(paths.weights[:, -1])
    spread = ends.var() / time
    # 4 standard errors of a variance; the coefficients change by 3 % over a standard deviation.
    assert spread == pytest.approx(0.04 * 0.64, rel=4 * np.sqrt(2 / count) + 0.01)
    # θ' = −½ cos θ, but for a correction of relative order α.
    moved, error = ends.mean() - np.arctan2(0.8, 0.6), ends.std() / np.sqrt(count)
    assert moved == pytest.approx(-0.3 * time, abs=4 * error + 0.04 * 0.3 * time)


def test_default_step_follows_the_curvature() -> None:
    """A circle of radius R: P changes by √2/R per length, so the step is 0.01 · R²/2."""
    for radius in (1, 3):
        limit = additive((w1**2 + w2**2 - radius**2) ** 2 / 4, w1, w2)
        step = default_step(compile_limit(limit), np.array([[radius, 0.0]]), 100.0)
        assert step == pytest.approx(0.005 * radius**2, rel=1e-3)
    assert default_step(compile_limit(ring()), np.array([[1.0, 0.0]]), 0.01) == 1e-4


# Refusals ---------------------------------------------------------------------------------------


def test_warns_of_an_unstable_step() -> None:
    with pytest.warns(StepSizeWarning, match=r"α λ_max"):
        simulate_limit(ring(), (0.6, 0.8), time=0.1, paths=1, seed=0, alpha=0.5)


def test_a_start_from_which_descent_diverges() -> None:
    paths = simulate_limit(ring(), (30.0, 40.0), time=0.1, paths=1, seed=0, alpha=0.1)
    assert paths.status[0] is Status.DIVERGED
    assert paths.stopped[0] == 0
    assert np.isnan(paths.weights).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": 0.0}, "time: expected a positive number"),
        ({"step": -0.1}, "step: expected a positive number"),
        ({"paths": 0}, "paths: expected an integer, at least 1"),
        ({"record": 1}, "record: expected at least 2"),
        ({"record": [0.5, 0.2]}, "record: expected times that increase"),
        ({"start": (1.0, 0.0, 0.0)}, r"start: expected shape \(2,\)"),
        ({"start": {w1: 1.0}}, "start: expected a value for each of w1, w2"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    options = {"start": (0.6, 0.8), "time": 1.0, "paths": 2, "seed": 0} | change
    start = options.pop("start")
    with pytest.raises(ValueError, match=message):
        simulate_limit(ring(), start, **options)


@pytest.mark.parametrize("noise", [False, True], ids=["flow", "diffusion"])
def test_a_time_without_end_is_refused(noise: bool) -> None:
    limit = additive(CIRCLE, w1, w2) if noise else ring()
    with pytest.raises(ArgumentError, match=r"1e\+300|steps"):
        simulate_limit(limit, (0.6, 0.8), time=1e300, paths=1, seed=0)


def test_a_flow_that_slows_down_is_followed_far() -> None:
    """x' = −x³, whose steps grow with time: x = 1/√(1 + 2t)."""
    noisy = w2**2 / 2 + etas[0] ** 2 * w1**4 / 4
    limit = derived(NoisyGradientDescent(w2**2 / 2, noisy, (w1, w2), etas[0]))
    path = simulate_limit(limit, (1.0, 0.0), time=1e12, paths=1, seed=0).weights[0, -1]
    assert path[0] == pytest.approx((1 + 2e12) ** -0.5, rel=1e-4)


def test_recorded_times_may_be_given() -> None:
    assert recorded_times([0.1, 0.2], 0.2) == pytest.approx([0.1, 0.2])
    assert recorded_times(3, 1.0) == pytest.approx([0.0, 0.5, 1.0])
