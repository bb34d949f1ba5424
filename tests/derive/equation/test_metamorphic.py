"""Change the problem: the limit must change as it should. Change the limit: it must be rejected."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import DeriveError, Gaussian, Limit, NoisyGradientDescent, derive_limit
from derive.noise.moments import persistent_noise
from tests.truth import oracles
from tests.truth.catalogue import CATALOGUE, HYPERBOLAS, NETS, RINGS, Entry, descends
from tests.truth.fields import Field, at_fifty_digits, derived
from tests.truth.oracles import Array, Landscape

w1, w2, eta, theta = sp.symbols("w1 w2 eta theta", real=True)
n1, n2 = sp.symbols("eta1 eta2", real=True)
PLANE = (w1, w2)
W = sp.Matrix(PLANE)
STEP = sp.Rational(1, 10)
ROUND_OFF = 1e-12

NAMED = {e.name: e for e in CATALOGUE}
LOCAL = [
    NAMED["parameter noise on the uneven ring"],
    NAMED["linear scalar noise on the uneven ring"],
    NAMED["label noise on a diagonal net"],
    NAMED["correlated additive noise on a twisted cubic"],
    NAMED["gradient noise that depends on the weights, on a surface"],
]
MODELS = [*LOCAL, NAMED["Bernoulli DropConnect on the round ring"]]
BATCHED = NAMED["batches of two with replacement and label noise on a diagonal net"]


def points(entry: Entry) -> list[Array]:
    """Two of the entry's points, on Γ."""
    landscape = Landscape.of(entry.problem.loss, entry.problem.weights)
    return [landscape.retract(guess) for guess in entry.guesses[:2]]


def change(problem: NoisyGradientDescent, how: object, **changes: object) -> NoisyGradientDescent:
    """The problem with `how` applied to loss, noisy loss and gradient noise."""
    stated = {"loss": problem.loss, "noisy_loss": problem.noisy_loss}
    changed = {name: how(e) for name, e in stated.items() if e is not None}
    if problem.noise_matrix is not None and "noise_matrix" not in changes:
        changed["noise_matrix"] = problem.noise_matrix.applyfunc(how)
    return replace(problem, **{**changed, **changes})


def rotation(size: int) -> sp.Matrix:
    """A turn of the first weight towards the last, with rational entries."""
    turn = sp.eye(size)
    turn[0, 0] = turn[-1, -1] = sp.Rational(3, 5)
    turn[0, -1] = sp.Rational(-4, 5)
    turn[-1, 0] = sp.Rational(4, 5)
    return turn


def same(entry: Entry, changed: NoisyGradientDescent) -> tuple[Field, Field]:
    """Limits before and after, of the same outcome."""
    before, after = derived(entry.problem), derived(changed)
    assert after.outcome.value == before.outcome.value == entry.outcome
    return at_fifty_digits(before), at_fifty_digits(after)


def close(expected: Array) -> object:
    """Equal up to double precision of the point at which both are taken."""
    return pytest.approx(expected, rel=0, abs=ROUND_OFF * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("entry", MODELS, ids=str, indirect=True)
def test_rotated_weights(entry):
    weights = sp.Matrix(entry.problem.weights)
    turn = rotation(len(weights))
    moved = dict(zip(weights, turn * weights, strict=True))

    def how(e: sp.Expr) -> sp.Expr:
        return e.xreplace(moved)

    changes = {}
    if entry.problem.noise_matrix is not None:
        changes["noise_matrix"] = turn.T * entry.problem.noise_matrix.applyfunc(how)
    before, after = same(entry, change(entry.problem, how, **changes))
    r = np.array(turn, float)
    for w in points(entry):
        assert r @ after.drift(r.T @ w) == close(before.drift(w))
        assert r @ after.spread(r.T @ w) @ r.T == close(before.spread(w))
        assert r @ after.projector(r.T @ w) @ r.T == close(before.projector(w))


@pytest.mark.parametrize("entry", LOCAL, ids=str, indirect=True)
def test_rescaled_noise_scales_reg_and_sigma_by_the_square(entry):
    c = 3
    scaled = {n: c * n for n in entry.problem.noise}
    changes = {}
    if entry.problem.noise_matrix is not None:
        changes["noise_matrix"] = c * entry.problem.noise_matrix
    changed = change(entry.problem, lambda e: e.xreplace(scaled), **changes)
    before, after = same(entry, changed)
    for w in points(entry):
        assert after.drift(w) == close(c**2 * before.drift(w))
        assert after.spread(w) == close(c**2 * before.spread(w))


@pytest.mark.parametrize("entry", [*MODELS, BATCHED], ids=str, indirect=True)
def test_rescaled_loss(entry):
    """Φ does not change, Reg scales by c and Σ by c²."""
    c = 3
    before, after = same(entry, change(entry.problem, lambda e: c * e))
    factor = c if entry.outcome == "non-degenerate" else c**2
    for w in points(entry):
        assert after.drift(w) == close(factor * before.drift(w))
        assert after.spread(w) == close(factor * before.spread(w))


@pytest.mark.parametrize("entry", MODELS, ids=str, indirect=True)
def test_rescaled_loss_at_a_step_is_another_step(entry):
    """c times the loss at step α is the loss at step cα."""
    c, step = 3, entry.alpha / 3
    changed = derived(change(entry.problem, lambda e: c * e)).at_step(step)
    original = derived(entry.problem).at_step(c * step)
    factor = c if entry.outcome == "non-degenerate" else c**2
    for w in points(entry):
        expected = factor * at_fifty_digits(original).drift(w)
        assert at_fifty_digits(changed).drift(w) == close(expected)


@pytest.mark.parametrize("entry", MODELS, ids=str, indirect=True)
def test_decoupled_block_changes_nothing(entry):
    x, y = sp.symbols("x y", real=True)
    block = (x * y - 1) ** 2 / 2
    problem, n = entry.problem, len(entry.problem.weights)
    changes = {"weights": (*problem.weights, x, y)}
    if problem.noise_matrix is not None:
        rows = sp.zeros(2, problem.noise_matrix.cols)
        changes["noise_matrix"] = sp.ImmutableMatrix.vstack(problem.noise_matrix, rows)
    before, after = same(entry, change(problem, lambda e: e + block, **changes))
    for w in points(entry):
        beside = np.array([*w, 2, 0.5])
        assert after.drift(beside) == close(np.array([*before.drift(w), 0, 0]))
        assert after.spread(beside)[:n, :n] == close(before.spread(w))
        assert after.projector(beside)[:n, :n] == close(before.projector(w))


@pytest.mark.parametrize("entry", [*MODELS, BATCHED], ids=str, indirect=True)
def test_permuted_noise(entry):
    problem = entry.problem
    changes = {"noise": problem.noise[::-1]}
    if problem.noise_matrix is not None:
        changes["noise_matrix"] = problem.noise_matrix[:, ::-1]
    if isinstance(problem.law, Gaussian) and problem.law.covariance is not None:
        changes["law"] = Gaussian(problem.law.covariance[::-1, ::-1])
    before, after = same(entry, replace(problem, **changes))
    for w in points(entry):
        assert after.drift(w) == close(before.drift(w))
        assert after.spread(w) == close(before.spread(w))


def test_geometry(entry, limit, truths):
    """P² = P = Pᵀ, P kills the normals, and Q·drift = ½ II[s sᵀ] keeps the limit on Γ."""
    step = 0 if persistent_noise(entry.problem) else entry.alpha  # batches: α → 0 is all there is
    field = at_fifty_digits(limit.at_step(step))
    for t in truths[:2]:
        p, drift, spread = field.projector(t.w), field.drift(t.w), field.spread(t.w)
        assert p @ p == close(p)
        assert p - p.T == close(np.zeros_like(p))
        assert np.abs(p @ t.landscape.hessian(t.w)).max() < 1e-10
        form = oracles.second_fundamental_form(t.landscape, t.w, spread)
        assert drift - p @ drift == pytest.approx(form / 2, rel=1e-6, abs=1e-8)


# Other forms of the same limit.


def test_stratonovich_drift_of_additive_noise_is_tangential():
    """dW = P ∘ dB − ¼ P∇log det₊H dt."""
    entry = NAMED["additive noise on an ellipse"]
    limit = derived(entry.problem)
    value = oracles.array_function(list(limit.stratonovich_drift), entry.problem.weights)
    force = oracles.array_function(entry.force, entry.problem.weights)
    projector = at_fifty_digits(limit).projector
    for w in points(entry):
        assert value(w) == close(projector(w) @ force(w))


@pytest.mark.parametrize("step", [0, STEP])
def test_chart_of_the_ring(step):
    """An angle: dθ/dt = −¼ (log λ/(1 − αλ/2))′ with λ = 2(2 + cos θ)."""
    entry = NAMED["linear scalar noise on the uneven ring"]
    problem = replace(entry.problem, chart=(theta, (sp.cos(theta), sp.sin(theta))))
    form = derive_limit(problem).at_step(step).intrinsic
    slope = 2 * (2 + sp.cos(theta))
    expected = -sp.log(slope / (1 - step * slope / 2)).diff(theta) / 4
    assert sp.simplify(form.drift[0] - expected) == 0
    assert form.diffusion.is_zero_matrix


def test_chart_of_a_parabola_with_brownian_motion():
    """In x with metric g = 1 + 4x²: da = (½ (g^-½)′ g^-½ − ¼ g^-1 (log g)′) dt + g^-½ dB."""
    x = sp.Symbol("x", real=True)
    loss = (w2 - w1**2) ** 2 / 2
    problem = NoisyGradientDescent(
        loss, loss + n1 * w1 + n2 * w2, PLANE, (n1, n2), chart=(x, (x, x**2))
    )
    form = derive_limit(problem).intrinsic
    g = 1 + 4 * x**2
    expected = (g**-1).diff(x) / 4 - sp.log(g).diff(x) / g / 4
    assert sp.simplify(form.drift[0] - expected) == 0
    assert sp.simplify((form.diffusion * form.diffusion.T)[0] - 1 / g) == 0


# Limits derived by hand: the right one passes, wrong ones are caught with a witness.

# Uneven ring with Σ = wwᵀ: drift −¼ P∇log λ, λ = 2(2 + w₁).
TURN = sp.Matrix([-(w2**2), w1 * w2]) / (4 * (2 + w1))
LOST_FRICTION = TURN / (1 - STEP * (2 + w1))

# Round ring with additive noise of covariance C: Φ = Φ_α = x/|x|.
COVARIANCE = sp.Matrix([[2, 1], [1, 1]])
ROOT = sp.Matrix([[1, 1], [1, 0]])
RING_PROJECTOR = sp.eye(2) - W * W.T


def round_drift(c: sp.Matrix) -> sp.Matrix:
    """½ D²(x/|x|)[C] on the unit circle."""
    return (3 * (W.T * c * W)[0] * W - 2 * c * W - c.trace() * W) / 2


# Parabola with additive noise: ½ curvature vector − ¼ P∇log λ, λ = |∇r|² = 1 + 4w₁².
STEEPNESS = 1 + 4 * w1**2
TANGENT = sp.Matrix([1, 2 * w1])
ALONG = TANGENT * TANGENT.T / STEEPNESS
BEND = (TANGENT / sp.sqrt(STEEPNESS)).diff(w1) / sp.sqrt(STEEPNESS)


def parabola_force(potential: sp.Expr) -> sp.Matrix:
    """−P∇potential on the parabola."""
    return ALONG * sp.Matrix(descends(potential, PLANE))


PARABOLA_DRIFT = BEND / 2 + parabola_force(sp.log(STEEPNESS) / 4)

RING = (w1**2 + w2**2 - 1) ** 2 / 4
PARABOLA = (w2 - w1**2) ** 2 / 2
HAND_MADE = {
    "ring": NAMED["linear scalar noise on the uneven ring"].problem,
    "correlated": NoisyGradientDescent(
        RING, RING + n1 * w1 + n2 * w2, PLANE, (n1, n2), law=Gaussian(COVARIANCE)
    ),
    "parabola": NoisyGradientDescent(PARABOLA, PARABOLA + n1 * w1 + n2 * w2, PLANE, (n1, n2)),
}

RIGHT = {
    "ring": (0, TURN, sp.zeros(2, 1)),
    "ring, drift alone": (0, TURN, None),
    "ring at a finite step": (STEP, LOST_FRICTION, None),
    "ring, off Γ another extension": (0, TURN * (w1**2 + w2**2), None),
    "correlated": (0, round_drift(COVARIANCE), RING_PROJECTOR * ROOT),
    "correlated, another factor": (0, round_drift(COVARIANCE), RING_PROJECTOR * ROOT[:, ::-1]),
    "correlated at a finite step": (STEP, round_drift(COVARIANCE), RING_PROJECTOR * ROOT),
    "parabola": (0, PARABOLA_DRIFT, ALONG),
    "parabola at a finite step": (
        STEP,
        BEND / 2 + parabola_force(sp.log(STEEPNESS / (1 - STEP * STEEPNESS / 2)) / 4),
        ALONG,
    ),
}

WRONG = {
    "ring, a lost ½": (0, 2 * TURN, None),
    "ring, another sign": (0, -TURN, None),
    "ring, a diffusion that is not there": (0, TURN, W),
    "ring at a finite step, −αHXH left out": (STEP, TURN, None),
    "ring, −αHXH put in": (0, LOST_FRICTION, None),
    "correlated, G without C": (0, round_drift(sp.eye(2)), RING_PROJECTOR),
    "correlated, a diffusion without C": (0, round_drift(COVARIANCE), RING_PROJECTOR),
    "correlated, no mixed term": (
        0,
        round_drift(COVARIANCE) + RING_PROJECTOR * COVARIANCE * W,
        None,
    ),
    "correlated, an unprojected diffusion": (0, round_drift(COVARIANCE), ROOT),
    "parabola, a dropped Lyapunov term": (0, BEND / 2, ALONG),
    "parabola, a dropped normal term": (0, PARABOLA_DRIFT - BEND / 2, ALONG),
    "parabola, a lost ½": (0, 2 * PARABOLA_DRIFT, ALONG),
    "parabola at a finite step, −αHXH left out": (STEP, PARABOLA_DRIFT, ALONG),
    "parabola, a Stratonovich drift taken for an Itô one": (
        0,
        parabola_force(sp.log(STEEPNESS) / 4),
        ALONG,
    ),
}


@pytest.fixture(scope="module")
def hand_made():
    return {name: derive_limit(problem) for name, problem in HAND_MADE.items()}


def named_limit(limits: dict[str, Limit], name: str, step: sp.Expr) -> Limit:
    return next(limits[key] for key in limits if name.startswith(key)).at_step(step)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_limit_passes(hand_made, name):
    step, drift, diffusion = RIGHT[name]
    verdict = named_limit(hand_made, name, step).check(drift, diffusion)
    assert verdict.value is True, verdict


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_limit_is_caught_with_a_witness(hand_made, name):
    step, drift, diffusion = WRONG[name]
    verdict = named_limit(hand_made, name, step).check(drift, diffusion)
    assert verdict.value is False
    problem = named_limit(hand_made, name, step).problem
    witness = np.array([float(verdict.witness[w]) for w in problem.weights])
    assert oracles.array_function([problem.loss], problem.weights)(witness) < 1e-30


TANGENTIAL = [
    e for e in (*RINGS, *HYPERBOLAS, *NETS[:1]) if e.outcome in {"non-degenerate", "deterministic"}
]


@pytest.mark.parametrize("entry", TANGENTIAL, ids=str, indirect=True)
def test_a_catalogued_drift_passes_and_its_double_does_not(entry, limit):
    """−P∇potential as printed in the theory, where that is the whole drift."""
    drift = limit.projector * sp.Matrix(entry.force)
    assert limit.check(drift).value is True
    assert limit.check(2 * drift).value is False


@pytest.mark.parametrize(
    ("drift", "diffusion", "message"),
    [
        ([w1], None, r"drift: expected .*got shape \(1, 1\)"),
        ([[w1, w2, w1]], None, r"drift: expected .*got shape \(1, 3\)"),
        ("w1", None, "drift: expected a matrix"),
        ([w1, sp.Symbol("kappa")], None, "drift: .*kappa"),
        ([w1, w2], [w1], r"diffusion: expected 2 rows, got shape \(1, 1\)"),
    ],
    ids=str,
)
def test_a_malformed_limit_is_refused(hand_made, drift, diffusion, message):
    with pytest.raises(DeriveError, match=message):
        hand_made["ring"].check(drift, diffusion)


def test_a_check_does_not_depend_on_the_precision_of_what_was_asked_before():
    """What a point of Γ keeps of itself has all digits, though floats were asked for first."""
    ring = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    noisy = ring + (w1**2 + w2**2) * eta / 2
    limit = derive_limit(NoisyGradientDescent(ring, noisy, (w1, w2), eta))
    with mpmath.workdps(15):
        for geometry in limit.manifold.local():
            assert geometry.frame.projector.rows == 2
    drift = -limit.projector * sp.Matrix([sp.log(2 + w1).diff(w) / 4 for w in (w1, w2)])
    assert limit.check(drift).value is True
