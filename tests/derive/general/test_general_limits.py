"""General limits against instance derivations: every mechanism with concrete losses and sizes."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import mpmath
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    Outcome,
    derive_limit,
    general_limit,
)
from derive.analysis.agreement import pointwise
from derive.errors import ProblemError
from derive.general.statements import GeneralLimit
from derive.general.table import MECHANISMS, B, M, N, d, n
from derive.optimizers import HeavyBall, Preconditioned
from derive.symbolic.numbers.roots import WORKING_DIGITS, evaluator
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived
from tests.truth.instances import Instance

W = sp.symbols("w1:5", real=True)
E = sp.symbols("e1:9", real=True)
CALLED = {m.name: m for m in MECHANISMS}
ENTRIES = {e.name: e for e in CATALOGUE}
HALF = sp.Rational(1, 2)
ROUND_OFF = mpmath.mpf(10) ** -40
"""Of a formula of a few hundred operations, with fifty digits."""

LIMITED = mpmath.mpf(10) ** -20
"""Of the limit α → 0 of a rule, which is extrapolated with fifty digits."""

Vector = Sequence[sp.Expr]


def oval(w: Vector) -> sp.Expr:
    return (w[0] ** 2 + 2 * w[1] ** 2 - 1) ** 2 * (2 + w[0]) / 4


def valley(w: Vector) -> sp.Expr:
    return (w[2] - w[0] ** 2 + w[0] * w[1] / 2) ** 2 / 2


def amplitude(i: int, w: Vector) -> sp.Expr:
    return 1 + w[i] * w[(i + 1) % len(w)] / 2


def height(w: Vector) -> sp.Expr:
    return 2 + w[0] * w[1]


def labels(s: int, w: Vector) -> sp.Expr:
    return [w[0] ** 2 + w[1] * w[2], w[0] + w[1] ** 2 + w[2] ** 2][s]


def outputs(j: int, s: int, w: Vector) -> sp.Expr:
    """Of a unit for a sample."""
    return w[j] * (1 + s * w[2] ** 2) + w[2]


def of_inputs(x: Vector, w: Vector) -> sp.Expr:
    return x[0] * w[0] * w[1] + x[1] ** 2 * w[2] + x[0] * x[1] * w[0]


TARGETS, INPUTS = (1, 2), ((1, 2), (HALF, -1))
COVARIANCE = ((2, HALF, 0, 0), (HALF, 1, 0, 0), (0, 0, 3, 1), (0, 0, 1, 1))


def mean(terms: Sequence[sp.Expr]) -> sp.Expr:
    return sp.Add(*terms) / len(terms)


def turned(w: Vector, e: Vector) -> Vector:
    """Exp(A) w up to second order, for the antisymmetric A of its entries above the diagonal."""
    size = len(w)
    matrix, entries = sp.zeros(size), iter(e)
    for i, j in itertools.combinations(range(size), 2):
        matrix[i, j] = next(entries)
        matrix[j, i] = -matrix[i, j]
    return list((sp.eye(size) + matrix + matrix**2 / 2) * sp.Matrix(w))


Loss = Callable[[Vector], sp.Expr]
OWN: dict[int, Loss] = {2: oval, 3: valley}


@dataclass(frozen=True)
class Case:
    """A mechanism by components: what a user would write without symbolic dimensions."""

    size: int
    loss: sp.Expr
    noisy: sp.Expr
    noise: int
    law: Any = field(default_factory=Gaussian)
    samples: int = 1
    near: Any = None

    @property
    def problem(self) -> NoisyGradientDescent:
        return NoisyGradientDescent(
            self.loss, self.noisy, W[: self.size], E[: self.noise], law=self.law, near=self.near
        )

    @property
    def instance(self) -> Instance:
        return Instance(
            {N: self.size, n: self.samples, d: 2, B: 1, M: 2},
            {"w": W[: self.size], "y": TARGETS, "x": INPUTS, "C": COVARIANCE},
            {
                "L": called(self.loss, W[: self.size]),
                "a": lambda *given: amplitude(*given) if len(given) == 2 else height(*given),
                "h": lambda s, w: labels(s, w) if isinstance(s, int) else of_inputs(s, w),
                "u": outputs,
                "ell": lambda s, w: (labels(s, w) - TARGETS[s]) ** 2,
            },
        )


def called(expression: sp.Expr, weights: Vector) -> Callable[..., sp.Expr]:
    """An expression in the weights as a function of them, whatever comes before."""
    return lambda *given: expression.xreplace(dict(zip(weights, given[-1], strict=True)))


def cases(loss: Loss, size: int, near: Any = None) -> dict[str, Case]:
    """The mechanisms with an unknown L, for a loss."""
    w, e, x = W[:size], E[:size], E[size : 2 * size]
    covariance = sp.Matrix(COVARIANCE)[:size, :size]

    def case(noisy: sp.Expr, count: int, law: Any = Gaussian()) -> Case:  # noqa: B008
        return Case(size, loss(w), noisy, count, law, near=near)

    def moved(component: Callable[[int, Vector], sp.Expr], law: Any = Gaussian()) -> Case:  # noqa: B008
        return case(loss([component(i, w) for i in range(size)]), size, law)

    scaled = [a * (1 + b) for a, b in zip(w, e, strict=True)]
    return {
        "parameter noise": moved(lambda i, w: w[i] + E[i]),
        "correlated parameter noise": moved(lambda i, w: w[i] + E[i], Gaussian(covariance)),
        "DropConnect, Gaussian": moved(lambda i, w: w[i] * (1 + E[i])),
        "DropConnect, Bernoulli": moved(lambda i, w: w[i] * (1 + E[i]), Bernoulli()),
        "noise of given amplitudes": moved(lambda i, w: w[i] + E[i] * amplitude(i, w)),
        "random rotation": case(loss(turned(w, E)), size * (size - 1) // 2),
        "additive noise": case(loss(w) + dot(e, w), size),
        "a linear amplitude": case(loss(w) + height(w) * E[0], 1),
        "a quadratic amplitude": case(loss(w) + height(w) * E[0] ** 2 / 2, 1),
        "DropConnect and additive noise": case(loss(scaled) + dot(x, w), 2 * size),
    }


def dot(a: Vector, b: Vector) -> sp.Expr:
    return sp.Add(*(x * y for x, y in zip(a, b, strict=True)))


def of_samples() -> dict[str, Case]:
    """The mechanisms with samples, in 3 dimensions."""
    w = W[:3]
    fits = [labels(s, w) - TARGETS[s] for s in range(2)]
    inputs = [of_inputs(x, w) - y for x, y in zip(INPUTS, TARGETS, strict=True)]
    shifts = [(E[0], E[1]), (E[2], E[3])]
    noisy = [
        of_inputs([a + b for a, b in zip(x, s, strict=True)], w) - y
        for x, s, y in zip(INPUTS, shifts, TARGETS, strict=True)
    ]
    square = [r**2 for r in fits]
    dropped = [sum(E[j] * outputs(j, s, w) for j in range(2)) for s in range(2)]
    return {
        "input noise": Case(
            3, mean([r**2 for r in inputs]) / 2, mean([r**2 for r in noisy]) / 2, 4, samples=2
        ),
        "label noise": Case(
            3, mean(square), mean([(r - e) ** 2 for r, e in zip(fits, E, strict=False)]), 2,
            samples=2,
        ),
        "dropout of units": Case(
            3, mean(square) / 2,
            mean([(r + e) ** 2 for r, e in zip(fits, dropped, strict=True)]) / 2, 2, samples=2,
        ),
        "minibatches": Case(
            3, mean(square), mean([(1 + e) * q for q, e in zip(square, E, strict=False)]), 2,
            Minibatch(2, 1, replacement=True), samples=2,
        ),
    }  # fmt: skip


ALL = {
    **{
        f"{name} in {size} dimensions": case
        for size in (2, 3)
        for name, case in cases(OWN[size], size).items()
    },
    **of_samples(),
}


LONG = {
    *(f"{name} in 3 dimensions" for name in CALLED),
    *("random rotation in 2 dimensions", "DropConnect and additive noise in 2 dimensions"),
}
"""Those that take longer than a second."""


def mechanism(name: str) -> GeneralLimit:
    return CALLED[name.partition(" in ")[0]].derive()


def assert_vanish_on_manifold(limit: Limit, gaps: Sequence[sp.Expr]) -> None:
    value = evaluator(limit.manifold.symbols, gaps)
    with mpmath.workdps(WORKING_DIGITS):
        for place in itertools.islice(limit.manifold.local(), 3):
            assert max(map(abs, value(place.point))) < ROUND_OFF


def potential_of(general: GeneralLimit, instance: Instance) -> sp.Expr | None:
    """V of the drift −P∇V that the general limit states, for the instance."""
    if general.outcome is Outcome.NON_DEGENERATE:
        return instance.value(general.regularizer)
    if general.hessian_multiple is None:
        return None
    quarter = (general.hessian_multiple / 4).subs(instance.sizes)
    return quarter * instance.value(general.laplacian)


def assert_descends(limit: Limit, potential: sp.Expr, rate: int = 1) -> None:
    """Whether the drift is −rate P∇V, and nothing close to it."""
    slope = evaluator(limit.manifold.symbols, [potential.diff(w) for w in limit.problem.weights])
    field = pointwise(limit)
    gaps, sizes = [], []
    with mpmath.workdps(WORKING_DIGITS):
        for place in itertools.islice(limit.manifold.local(), 3):
            along = mpmath.matrix(place.tangential(slope(place.point)))
            drift = field.drift(place)
            gaps.append(mpmath.norm(drift + rate * along))
            sizes.append(mpmath.norm(drift))  # some points may be equilibria
        assert max(gaps) < LIMITED * max(sizes)


def assert_agrees(general: GeneralLimit, limit: Limit, instance: Instance) -> None:
    size = limit.problem.dimension
    k, m = general.free
    gaps = [instance.value(general.regularizer) - limit.regularizer]
    for a, b in itertools.product(range(size), repeat=2):
        entry = instance.value(general.covariance, {k: a, m: b})
        gaps.append(entry - limit.moments.covariance[a, b])
    assert_vanish_on_manifold(limit, gaps)
    potential = potential_of(general, instance)
    if potential is not None and limit.outcome is general.outcome:
        assert_descends(limit, potential)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else []) for name in ALL]
)
def test_a_row_agrees_with_the_derivation_of_an_instance(name: str) -> None:
    general, case = mechanism(name), ALL[name]
    limit = derive_limit(case.problem)
    assert limit.outcome is general.outcome
    assert_agrees(general, limit, case.instance)


FROM_CATALOGUE = {
    "parameter noise on the uneven ring": "parameter noise",
    "Gaussian DropConnect on the round ring": "DropConnect, Gaussian",
    "Bernoulli DropConnect on the round ring": "DropConnect, Bernoulli",
    "scalar multiplicative noise": "a quadratic amplitude",
    "additive noise on an ellipse": "additive noise",
    "additive noise on a surface": "additive noise",
    "label noise on a diagonal net": "label noise",
    "minibatches on a diagonal net": "minibatches",
}


def net(s: int) -> sp.Expr:
    """The residuals of the diagonal net."""
    w1, w2, w3, w4 = sp.symbols("w1:5", real=True)
    return [
        w1**2 + 2 * w2**2 - w3**2 - 2 * w4**2 - 1,
        2 * w1**2 - w2**2 - 2 * w3**2 + w4**2 - 3,
    ][s]


@pytest.mark.parametrize("entry", FROM_CATALOGUE)
def test_rows_agree_with_the_catalogue(entry: str) -> None:
    general, limit = mechanism(FROM_CATALOGUE[entry]), derived(ENTRIES[entry].problem)
    w = limit.problem.weights
    scalar = 1 - sp.Rational(7, 10) * sp.cos(2 * w[0])
    instance = Instance(
        {N: len(w), n: 2, B: 1},
        {"w": w, "y": (0, 0)},
        {
            "L": called(limit.problem.loss, w),
            "a": called(scalar, w),
            "h": lambda s, given: called(net(s), w)(given),
            "ell": lambda s, given: called(net(s) ** 2, w)(given),
        },
    )
    assert limit.outcome is general.outcome
    assert_agrees(general, limit, instance)


EXCEPTIONS = {
    "parameter noise on the round ring": "parameter noise",
    "Gaussian DropConnect on the hyperbola": "DropConnect, Gaussian",
    "Bernoulli DropConnect on the hyperbola": "DropConnect, Bernoulli",
}


@pytest.mark.parametrize("entry", EXCEPTIONS)
def test_exceptional_losses_satisfy_the_condition_that_is_stated(entry: str) -> None:
    general, limit = mechanism(EXCEPTIONS[entry]), derived(ENTRIES[entry].problem)
    assert (general.outcome, limit.outcome.is_degenerate or limit.outcome is Outcome.TRIVIAL) == (
        Outcome.NON_DEGENERATE,
        True,
    )
    w = limit.problem.weights
    instance = Instance({N: 2}, {"w": w}, {"L": called(limit.problem.loss, w)})
    assert limit.manifold.constant_along(instance.value(general.regularizer)).value is True


def test_a_circle_is_at_rest_under_rotations_of_it() -> None:
    """Rotations of the plane leave the loss of a ring alone: Reg is constant on it."""
    general = mechanism("random rotation")
    u = W[:2]
    loss = (u[0] ** 2 + u[1] ** 2 - 1) ** 2 * (2 + u[0]) / 4
    limit = derive_limit(
        Case(2, loss, loss.xreplace(dict(zip(u, turned(u, E), strict=True))), 1).problem
    )
    instance = Instance({N: 2}, {"w": u}, {"L": called(loss, u)})
    assert limit.outcome is Outcome.TRIVIAL
    assert limit.manifold.constant_along(instance.value(general.regularizer)).value is True


# Every row on every loss of the catalogue ---------------------------------------------------------

SURFACES = {(e.problem.loss, e.problem.weights): e for e in CATALOGUE}
PAIRS = [
    pytest.param(row, entry, id=f"{row}, {entry.name}", marks=pytest.mark.slow)
    for entry in SURFACES.values()
    for row in cases(OWN[2], 2)
]


def of_entry(row: str, entry: Entry) -> Case:
    """A row by components, for the loss of an entry."""
    loss = called(entry.problem.loss, entry.problem.weights)
    return cases(loss, entry.problem.dimension, entry.guesses[0])[row]


@pytest.mark.parametrize(("row", "entry"), PAIRS)
def test_every_row_agrees_on_every_loss_of_the_catalogue(row: str, entry: Entry) -> None:
    """Reg, Σ and the drift; or the condition that is stated where the outcome is another one."""
    general, case = CALLED[row].derive(), of_entry(row, entry)
    limit = derive_limit(case.problem)
    assert_agrees(general, limit, case.instance)
    if limit.outcome is general.outcome:
        return
    if general.outcome is Outcome.NON_DEGENERATE:
        reg = case.instance.value(general.regularizer)
        assert limit.manifold.constant_along(reg).value is True
    else:
        assert general.outcome is Outcome.DIFFUSIVE
        assert limit.outcome is Outcome.DETERMINISTIC, "PΣP = 0"


WRONG = {
    "Reg without ½": lambda g: replace(g, regularizer=g.regularizer.scaled(sp.Integer(2))),
    "Σ without ½": lambda g: replace(g, covariance=g.covariance.scaled(sp.Integer(2))),
}


QUICK = ("parameter noise", "label noise")


@pytest.mark.parametrize("mistake", WRONG)
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=() if row in QUICK else pytest.mark.slow)
        for row in CALLED
        if row != "minibatches"
    ],
)
def test_wrong_rows_are_found(row: str, mistake: str) -> None:
    """Whatever is not zero; on Γ additive noise has no Reg, a quadratic amplitude has Σ = 0."""
    general = CALLED[row].derive()
    name = row if row in ALL else f"{row} in 2 dimensions"
    wrong = WRONG[mistake](general)
    if wrong == general:
        assert not (general.regularizer if "Reg" in mistake else general.covariance).terms
        return
    limit = derived(ALL[name].problem)
    with pytest.raises(AssertionError):
        assert_agrees(wrong, limit, ALL[name].instance)


# Jumps -------------------------------------------------------------------------------------------

FAR = CustomLaw([[1]], [([2], 3)])
FAR_IN_THE_PLANE = CustomLaw(sp.eye(2), [([2, 0], 3), ([0, 2], 3)])


def jumping() -> dict[str, tuple[GeneralLimit, Case]]:
    """Jumps of other laws, and inside other compositions."""
    w, e = sp.IndexedBase("w", shape=(N,)), sp.IndexedBase("eta", shape=(N,))
    i, s = sp.symbols("i s", integer=True)
    L, a, h = sp.Function("L"), sp.Function("a"), sp.Function("h")
    y = sp.IndexedBase("y")
    u, v, space = W[:2], E[:2], W[:3]
    scaled, moved = sp.Lambda(i, w[i] * (1 + e[i])), sp.Lambda(i, w[i] + e[i])
    few = [x * (1 + z) for x, z in zip(u, v, strict=True)]
    still = oval(u)
    fits = [
        [labels(s, x) - TARGETS[s] for s in range(2)]
        for x in (space, [x * (1 + z) for x, z in zip(space, E[:3], strict=True)])
    ]
    squares = [mean([r**2 for r in fit]) for fit in fits]
    exponential = still + height(u) * sum(sp.exp(z) - 1 for z in v)
    return {
        "moved weights": (
            general_limit(L(w), L(moved), w, e, law=Bernoulli()),
            Case(2, still, oval([x + z for x, z in zip(u, v, strict=True)]), 2, Bernoulli()),
        ),
        "jumps beside small noise": (
            general_limit(L(w), L(scaled), w, e, law=FAR),
            Case(2, still, oval(few), 2, FAR_IN_THE_PLANE),
        ),
        "amplitudes of a function of the noise": (
            general_limit(
                L(w), L(w) + a(w) * sp.Sum(sp.exp(e[i]) - 1, (i, 1, N)), w, e, law=Bernoulli()
            ),
            Case(2, still, exponential, 2, Bernoulli()),
        ),
        "residuals": (
            general_limit(
                sp.Sum((h(s, w) - y[s]) ** 2, (s, 1, n)) / n,
                sp.Sum((h(s, scaled) - y[s]) ** 2, (s, 1, n)) / n,
                *(w, e),
                law=Bernoulli(),
            ),
            Case(3, squares[0], squares[1], 3, Bernoulli(), samples=2),
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if "function" in name else pytest.mark.slow)
        for name in jumping()
    ],
)
def test_jumps_agree_with_an_instance(name: str) -> None:
    general, case = jumping()[name]
    limit = derive_limit(case.problem)
    assert limit.outcome is general.outcome
    assert_agrees(general, limit, case.instance)
    with pytest.raises(AssertionError):
        wrong = replace(general, regularizer=general.regularizer.scaled(HALF))
        assert_agrees(wrong, limit, case.instance)


def test_linear_noise_does_not_tell_jumps_from_small_noise() -> None:
    """Label noise and additive noise have the limit of their covariance alone."""
    for name in ("label noise", "additive noise"):
        general = CALLED[name].derive()
        jumps = general_limit(*CALLED[name].stated, law=Bernoulli())
        assert (jumps.covariance, jumps.outcome) == (general.covariance, general.outcome)


# Under an optimizer ----------------------------------------------------------------------------

UNDER = (
    "parameter noise in 2 dimensions",
    pytest.param("label noise on a curve", marks=pytest.mark.slow),
)
CURVE = Case(2, (W[1] - W[0] ** 2) ** 2, (W[1] - W[0] ** 2 - E[0]) ** 2, 1)


def optimized(name: str) -> tuple[GeneralLimit, Case, Instance]:
    if name in ALL:
        return mechanism(name), ALL[name], ALL[name].instance
    instance = Instance({N: 2, n: 1}, {"w": W[:2], "y": (0,)}, {"h": lambda s, w: w[1] - w[0] ** 2})
    return CALLED["label noise"].derive(), CURVE, instance


@pytest.mark.parametrize("name", UNDER)
def test_with_a_preconditioner(name: str) -> None:
    general, case, instance = optimized(name)
    matrix = sp.Matrix([[2, HALF], [HALF, 1]])
    problem = case.problem
    limit = derive_limit(
        NoisyGradientDescent(
            problem.loss, problem.noisy_loss, problem.weights, problem.noise,
            optimizer=Preconditioned(matrix),
        )
    )  # fmt: skip
    if general.outcome is Outcome.NON_DEGENERATE:
        potential = instance.value(general.regularizer)
    else:
        k, m = general.free
        entries = itertools.product(range(2), repeat=2)
        trace = sum(
            matrix[a, b] * instance.value(general.hessian, {k: a, m: b}) for a, b in entries
        )
        potential = (general.hessian_multiple / 4).subs(instance.sizes) * trace
    (constraint,) = limit.manifold.constraints
    j = sp.Matrix([constraint]).jacobian(problem.weights)
    oblique = sp.eye(2) - matrix * j.T * (j * matrix * j.T).inv() * j
    slope = sp.Matrix([potential.diff(w) for w in problem.weights])
    assert limit.check(-oblique * matrix * slope).value is True
    assert limit.check(-oblique * slope).value is False


@pytest.mark.parametrize("name", UNDER)
def test_with_a_heavy_ball(name: str) -> None:
    """The same limit in the time of α/(1 − β)."""
    general, case, instance = optimized(name)
    problem, beta = case.problem, HALF
    limit = derive_limit(
        NoisyGradientDescent(
            problem.loss, problem.noisy_loss, problem.weights, problem.noise,
            optimizer=HeavyBall(beta),
        )
    )  # fmt: skip
    power = 1 if general.outcome is Outcome.NON_DEGENERATE else 2
    potential = potential_of(general, instance)
    assert potential is not None
    assert_descends(limit, potential, int(1 / (1 - beta)) ** power)
    with pytest.raises(AssertionError):
        assert_descends(limit, potential)


# What is read, and what is not -----------------------------------------------------------------

w, e = sp.IndexedBase("w", shape=(N,)), sp.IndexedBase("eta", shape=(N,))
i, j = sp.symbols("i j", integer=True)
L, a = sp.Function("L"), sp.Function("a")


def test_matrices_of_one_column_are_vectors() -> None:
    u, v = sp.MatrixSymbol("w", N, 1), sp.MatrixSymbol("eta", N, 1)
    found = general_limit(L(u), L(u + sp.HadamardProduct(u, v)), u, v)
    assert found.regularizer == CALLED["DropConnect, Gaussian"].derive().regularizer


def test_a_composition_that_nobody_listed() -> None:
    """L(w e^{η ∘ a}) + a·η: amplitudes in an exponential, and the same noise once more."""
    argument = sp.Lambda(i, w[i] * sp.exp(e[i] * a(i, w)))
    noisy = L(argument) + sp.Sum(e[i] * w[i] ** 2, (i, 1, N)) / 2
    general = general_limit(L(w), noisy, w, e)
    u = W[:2]
    shifted = [x * sp.exp(E[k] * amplitude(k, u)) for k, x in enumerate(u)]
    added = sum(E[k] * x**2 for k, x in enumerate(u)) / 2
    case = Case(2, oval(u), oval(shifted) + added, 2)
    assert_agrees(general, derive_limit(case.problem), case.instance)


def test_what_is_even_in_the_noise_acts_by_its_second_order() -> None:
    general = general_limit(L(w), L(w) + a(w) * sp.Sum(sp.cos(e[i]) - 1, (i, 1, N)), w, e)
    values = Instance({N: 3}, {"w": W}, {"a": height})
    assert sp.expand(values.value(general.regularizer) + sp.Rational(3, 2) * height(W)) == 0


def test_noise_through_the_hessian_does_not_act_along_the_manifold() -> None:
    """P∇²L = 0 where L vanishes."""
    assert mechanism("parameter noise").covariance.terms
    assert not mechanism("parameter noise").tangential.terms
    assert mechanism("DropConnect and additive noise").tangential.terms


REFUSED = {
    "is no vector as it stands": lambda: general_limit(
        L(w), L(sp.Lambda(i, 2 * w[i] + e[i])), w, e
    ),
    "must equal L": lambda: general_limit(L(w), 2 * L(sp.Lambda(i, w[i] + e[i])), w, e),
    "does not say what Γ is": lambda: general_limit(L(w) * a(w), L(w) * a(w), w, e),
    "unknown size": lambda: general_limit(
        L(sp.IndexedBase("w")), L(sp.IndexedBase("w")), sp.IndexedBase("w"), e
    ),
    "no sum and no Lambda binds": lambda: general_limit(L(w), L(w) + e[i], w, e),
    "Integral is not understood": lambda: general_limit(
        L(w), L(w) + sp.Integral(e[1] * a(w), (j, 0, 1)), w, e
    ),
    "neither an index nor a vector": lambda: general_limit(
        L(w), L(w) + sp.Sum(e[i] * a(w[i]), (i, 1, N)), w, e
    ),
    "undefined function of the weights": lambda: general_limit(
        L(w), L(w) + sp.Sum(e[i] * sp.sin(w[i]), (i, 1, N)), w, e
    ),
    "at a jump of the noise its argument": lambda: general_limit(
        L(w), L(sp.Lambda(i, w[i] * (1 + e[i]) ** 2 + e[i])), w, e, law=Bernoulli()
    ),
    "law: expected that of one entry": lambda: general_limit(L(w), L(w), w, e, law=Minibatch(4, 2)),
    "jumps to rational numbers": lambda: general_limit(
        L(w), L(w), w, e, law=CustomLaw([[1]], [([sp.pi], 1)])
    ),
    "expected an IndexedBase": lambda: general_limit(L(w), L(w), w, W),
    "expected an IndexedBase or a MatrixSymbol, got x": lambda: general_limit(
        L(w), L(w), w, sp.Symbol("x")
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_understood_is_refused_by_name(reason: str) -> None:
    with pytest.raises(ProblemError, match=reason):
        REFUSED[reason]()
