"""Limits, paths and reports in files: equal when read back, refused when something else."""

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    CustomLaw,
    Gaussian,
    Limit,
    NoisyGradientDescent,
    Rademacher,
    TwoPoint,
    alpha,
    derive_limit,
    sigma,
)
from derive.errors import SavedFileError
from derive.files.codec import FUNCTIONS, Decoder, Encoder
from derive.files.limit_file import digest_of
from derive.optimizers import (
    Adam,
    HeavyBall,
    LookAhead,
    RandomCoordinates,
    RMSProp,
    SharpnessAware,
    Window,
)
from numerics import Paths, Status, ValidationReport, compile_limit
from numerics.reports.report import Settings, weight_observables
from numerics.validation.checks import Check
from numerics.validation.measurements.bursts import FastPhase, Scaling
from numerics.validation.measurements.comparison import Comparison
from numerics.validation.measurements.statistics import Estimate, PowerLaw
from tests.derive.rules.test_update_rules import each
from tests.truth.catalogue import CATALOGUE, RINGS
from tests.truth.fields import derived

w1, w2, theta = sp.symbols("w1 w2 theta", real=True)
eta = sp.Symbol("eta", real=True)
NAMED = {entry.name: entry.problem for entry in CATALOGUE}
ROUND = w1**2 + w2**2 - 1


def again(limit: Limit, folder: Path) -> Limit:
    limit.save(folder / "limit.json")
    return Limit.load(folder / "limit.json")


def assert_same(loaded: Limit, limit: Limit) -> None:
    assert loaded == limit
    assert str(loaded) == str(limit)
    assert loaded.latex() == limit.latex()
    assert (loaded.drift, loaded.diffusion) == (limit.drift, limit.diffusion)
    assert loaded.manifold.projector == limit.manifold.projector


LOOK_AHEAD = LookAhead(2, sp.Rational(1, 2), HeavyBall(sp.Rational(3, 5)))
OPTIMIZERS = {
    "look-ahead": LOOK_AHEAD,
    "sharpness-aware": SharpnessAware(sp.Rational(1, 5)),
    "masks": RandomCoordinates(1),
}


@pytest.mark.parametrize("optimizer", each(OPTIMIZERS))
def test_limits_of_rules_survive(optimizer, tmp_path: Path) -> None:
    problem = NAMED["linear scalar noise on the uneven ring"]
    limit = derive_limit(replace(problem, optimizer=optimizer))
    for asked in (limit, limit.at_step(sp.Rational(1, 10))):
        loaded = again(asked, tmp_path)
        assert loaded == asked
        assert type(loaded) is type(asked)
        assert str(loaded) == str(asked)
        assert (loaded.drift, loaded.diffusion) == (asked.drift, asked.diffusion)
        assert loaded.built == asked.built
        with mpmath.workdps(30):
            g = next(asked.manifold.local())
            assert loaded.at_points.drift(g) == asked.at_points.drift(g)


ADAPTIVE = {
    "constant": Adam(sp.Rational(1, 500), "constant"),
    "comparable": RMSProp(3 * alpha),
    "drifting": RMSProp(3 * alpha**2 * sigma**2),
}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ADAPTIVE.values(), ids=ADAPTIVE)
def test_limits_of_adaptive_optimizers_survive(optimizer, tmp_path: Path) -> None:
    problem, tenth = NAMED["linear scalar noise on the uneven ring"], sp.Rational(1, 10)
    near = (sp.Rational(3, 5), sp.Rational(4, 5))
    limit = derive_limit(replace(problem, near=near, optimizer=optimizer))
    comparable = limit.window is Window.COMPARABLE
    for asked in (limit, limit if comparable else limit.at_step(tenth)):
        loaded = again(asked, tmp_path)
        assert loaded == asked
        assert type(loaded) is type(asked)
        assert str(loaded) == str(asked)
        assert loaded.potential == asked.potential
        assert loaded.run(0.1, 0.01, 0.001) == asked.run(0.1, 0.01, 0.001)
        with mpmath.workdps(30):
            g = next(asked.manifold.local())
            assert loaded.at_points.drift(g) == asked.at_points.drift(g)


def test_a_rule_in_a_file_is_of_its_type(tmp_path: Path) -> None:
    limit = derive_limit(
        replace(NAMED["linear scalar noise on the uneven ring"], optimizer=LOOK_AHEAD)
    )
    path = tmp_path / "limit.json"
    limit.save(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["content"]["equation"] = document["content"]["classification"]
    del document["sha256"]
    path.write_text(json.dumps(document | {"sha256": digest_of(document)}), encoding="utf-8")
    with pytest.raises(SavedFileError, match="equation to be of the type RuleEquation"):
        Limit.load(path)


@pytest.mark.parametrize("entry", RINGS[::3], ids=str)
def test_limit_survives(entry, tmp_path: Path) -> None:
    assert_same(again(derived(entry.problem), tmp_path), derived(entry.problem))


@pytest.mark.slow
@pytest.mark.parametrize("entry", CATALOGUE, ids=str)
def test_every_limit_survives(entry, tmp_path: Path) -> None:
    limit = derived(entry.problem)
    for one in (limit, *(limit.scales() if entry in RINGS else ())):
        assert_same(again(one, tmp_path), one)


def scalar() -> NoisyGradientDescent:
    chart = ((theta,), (sp.cos(theta), sp.sin(theta)))
    loss = ROUND**2 * (2 + w1) / 4
    return NoisyGradientDescent(
        loss, loss + ROUND * eta / 2, (w1, w2), eta, TwoPoint(1), chart=chart
    )


@pytest.mark.parametrize(
    "variant",
    [
        lambda limit: limit,
        lambda limit: limit.at_step(0.1, momentum=0.5),
        lambda limit: limit.effective(0.1, 0.2),
        lambda limit: limit.scales()[0],
    ],
    ids=["leading", "at a step", "next order", "slower scale"],
)
def test_other_equations_survive(variant: Callable[[Limit], Limit], tmp_path: Path) -> None:
    limit = variant(derived(scalar()))
    assert_same(again(limit, tmp_path), limit)


def test_loaded_limit_computes(tmp_path: Path) -> None:
    limit = derived(scalar())
    loaded, w = again(limit, tmp_path), np.array([[0.6, 0.8], [-1.0, 0.0]])
    np.testing.assert_array_equal(compile_limit(loaded).drift(w), compile_limit(limit).drift(w))
    assert loaded.check(limit.drift)
    assert [s.outcome for s in loaded.scales()] == [s.outcome for s in limit.scales()]
    assert loaded.explain() == limit.explain()


def test_parameters_and_odd_names_survive(tmp_path: Path) -> None:
    u, v = sp.Symbol(r"\theta_{1}", real=True), sp.Symbol("größe x", real=True)
    a = sp.Symbol("alpha", positive=True)
    loss = (u + a * v - 1) ** 2 / 2
    problem = NoisyGradientDescent(
        loss, loss + eta * u, (u, v), eta, Rademacher(), near=(1, 0), parameters=(a,)
    )
    loaded = again(derive_limit(problem), tmp_path)
    assert loaded.problem == problem
    assert loaded.subs({a: 2}).problem == problem.subs({a: 2})


LAWS = (
    Gaussian([[2]]),
    CustomLaw([[1]], [((2,), sp.Rational(1, 3))]),
    TwoPoint(sp.Rational(-1, 2)),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_laws_survive(law, tmp_path: Path) -> None:
    loss = ROUND**2 / 4
    problem = NoisyGradientDescent(loss, loss + ROUND * eta, (w1, w2), eta, law)
    assert again(derived(problem), tmp_path).problem == problem


def test_a_penalty_survives(tmp_path: Path) -> None:
    """Of both sizes, one with a symbolic factor: in the problem, the moments and what moves."""
    a = sp.Symbol("a", positive=True)
    loss = ROUND**2 / 4
    penalty = sigma**2 * a * w1**2 / 2 + alpha * sigma**2 * w2
    problem = NoisyGradientDescent(
        loss, loss + ROUND * eta / 2, (w1, w2), eta, parameters=(a,), penalty=penalty
    )
    limit = derived(problem)
    loaded = again(limit, tmp_path)
    assert loaded.problem.penalty == penalty
    assert loaded.moments.penalty == limit.moments.penalty != 0
    assert_same(loaded, limit)
    bound, expected = loaded.subs({a: 2}), limit.subs({a: 2})
    assert_same(bound, expected)
    assert [s.drift for s in bound.scales()] == [s.drift for s in expected.scales()]


x = sp.Symbol("x", positive=True)
ODD = (
    2 * sp.sin(x, evaluate=False) * (x + 1),
    sp.Mul(2, x + 1, evaluate=False),
    sp.Pow(sp.Integer(4), sp.Rational(1, 2), evaluate=False),
    sp.Integer(7) ** 900 / sp.Integer(3) ** 500,
    sp.Max(w1, w2, 0) + sp.Abs(w1) - sp.Heaviside(w2) * sp.sign(w1),
    sp.atan2(w1, w2) + sp.E**w1 + sp.pi + sp.exp(1) - sp.sqrt(2),
    sp.polygamma(1, x) + sp.loggamma(x) + sp.erf(w1) + sp.floor(w2),
)


@pytest.mark.parametrize("expression", ODD, ids=str)
def test_expressions_keep_their_form(expression: sp.Expr) -> None:
    encoder = Encoder({})
    document = json.loads(json.dumps([encoder.encode(expression), encoder.table]))
    assert Decoder({}, document[1]).decode(document[0]) == expression


def test_shared_parts_are_written_once() -> None:
    expression = w1
    for _ in range(60):
        expression = sp.Add(expression, sp.sin(expression), evaluate=False)
    encoder = Encoder({})
    place = encoder.encode(expression)
    assert len(encoder.table) < 130
    assert Decoder({}, encoder.table).decode(place) == expression


def test_numbers_keep_all_digits() -> None:
    with mpmath.workdps(60):
        third = -mpmath.mpf(1) / 3
    assert Decoder({}, ()).decode(Encoder({}).encode(third)) == third


def test_what_has_no_word_is_not_saved(tmp_path: Path) -> None:
    noisy = ROUND**2 + eta * w1 * sp.besselj(0, w1)
    problem = NoisyGradientDescent(ROUND**2, noisy, (w1, w2), eta)
    (tmp_path / "limit.json").write_text("older")
    with pytest.raises(SavedFileError, match=r"besselj\(0, w1\) is not made of"):
        derive_limit(problem).save(tmp_path / "limit.json")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("limit.json", "older")]


def hostile(table: list[list[object]], tmp_path: Path) -> Path:
    derived(scalar()).save(tmp_path / "limit.json")
    document = json.loads((tmp_path / "limit.json").read_text())
    document["expressions"][: len(table)] = table
    del document["sha256"]
    document["sha256"] = digest_of(document)  # as who means harm would
    (tmp_path / "limit.json").write_text(json.dumps(document))
    return tmp_path / "limit.json"


@pytest.mark.parametrize(
    "entry",
    [
        ["__import__", "os"],
        ["eval", "1"],
        ["Add", 5],
        ["Add", -1],
        ["Add", "x"],
        ["rational", "1/0", "x"],
        ["symbol", "w1", {"real": True, "imaginary": True}],
        ["symbol", 3, {}],
        ["scale", "omega"],
        [],
        "Add",
    ],
    ids=str,
)
def test_entries_are_never_executed(entry, tmp_path: Path) -> None:
    with pytest.raises(SavedFileError, match=r"limit\.json: not a whole file"):
        Limit.load(hostile([entry], tmp_path))


# Files of another kind ------------------------------------------------------------------------


def some_paths() -> Paths:
    status = np.array([Status.OK, Status.DIVERGED])
    weights = np.arange(12.0).reshape(2, 3, 2)
    return Paths(np.arange(3.0), weights, "iterations", status, np.array([-1, 2]))


@pytest.fixture(scope="module")
def report() -> ValidationReport:
    """A report with something in each of its fields."""
    limit, runs = derived(NAMED["linear scalar noise on the uneven ring"]), (some_paths(),) * 2
    ends = runs[0].weights
    several = Estimate(np.arange(2.0), np.ones(2))
    comparison = Comparison(
        limit,
        0.1,
        (0.1, 0.07),
        np.arange(3.0),
        runs,
        (ends, ends),
        ends + 1,
        ends + 2,
        runs[0],
        np.zeros(3),
    )
    check = Check("mean of w1", 1.0, np.float64(1.1), 0.2, 0.0, 0.7, parts=3, passed=True)
    exponents = PowerLaw(several, np.zeros(3), (1, 0), np.zeros(2), math.nan)
    return ValidationReport(
        limit,
        Settings((0.6, 0.8), (0.1,), (0.1, 0.07), 1.0, 100, 0, 0.01),
        (check, replace(check, name="drift", passed=False)),
        (comparison,),
        Scaling(np.ones(2), np.ones(2), np.ones(2), several, exponents),
        FastPhase(np.ones(2), np.ones(2), 0.1, 2.0, 0.5, np.arange(2.0), several, several),
        weight_observables(limit),
    )


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(100)


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"Dear Sir or Madam",
    "binary": png(),
    "list": b"[]",
    "object": b"{}",
    "nested": b"[" * 100_000,
    "another format": b'{"format": "something else", "version": 1}',
    "npz": npz(a=np.zeros(3)),
    "npy": npy(),
}


@pytest.mark.parametrize("kind", [Limit, Paths, ValidationReport])
@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_files_are_refused(kind, content: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.dat"
    path.write_bytes(FOREIGN[content])
    with pytest.raises(SavedFileError, match=r"foreign\.dat: "):
        kind.load(path)
    assert path.read_bytes() == FOREIGN[content]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["limit", "paths", "report"])
def test_truncated_files_are_refused(kind: str, part: float, report, tmp_path: Path) -> None:
    saved = {"limit": report.limit, "paths": some_paths(), "report": report}[kind]
    path = tmp_path / "saved"
    saved.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(SavedFileError, match="saved: not a whole file"):
        type(saved).load(path)


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    some_paths().save(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 255
    path.write_bytes(whole)
    with pytest.raises(SavedFileError, match="saved: "):
        Paths.load(path)


def test_no_flipped_bit_of_a_limit_is_read_as_another(tmp_path: Path) -> None:
    path = tmp_path / "limit.json"
    derived(scalar()).save(path)
    whole = path.read_bytes().strip()
    places = np.random.default_rng(0).integers(len(whole), size=300)
    for k, place in enumerate(map(int, places)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << k % 8
        path.write_bytes(flipped)
        with pytest.raises(SavedFileError, match=r"limit\.json: "):
            Limit.load(path)


def test_no_flipped_bit_of_an_archive_is_read_as_another(tmp_path: Path) -> None:
    """Some change nothing that is read, and zip tells the others by its own checksums."""
    path, paths = tmp_path / "saved", some_paths()
    paths.save(path)
    whole, refused = path.read_bytes(), 0
    for k, place in enumerate(range(0, len(whole), 3)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << k % 8
        path.write_bytes(flipped)
        try:
            assert Paths.load(path).weights.tobytes() == paths.weights.tobytes()
        except SavedFileError:
            refused += 1
    assert refused > len(whole) / 6


def test_the_digest_is_of_the_content_not_of_the_order_of_keys(tmp_path: Path) -> None:
    path, limit = tmp_path / "limit.json", derived(scalar())
    limit.save(path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document, sort_keys=True, indent=1))
    assert_same(Limit.load(path), limit)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    path.write_bytes(npz(format=np.array([print], dtype=object)))
    with pytest.raises(SavedFileError, match="saved: not a whole file"):
        Paths.load(path)


def test_newer_versions_are_refused(tmp_path: Path) -> None:
    derived(scalar()).save(tmp_path / "limit.json")
    document = json.loads((tmp_path / "limit.json").read_text())
    (tmp_path / "limit.json").write_text(json.dumps({**document, "version": 4}))
    with pytest.raises(SavedFileError, match="version 4 of the format, this release reads up to 3"):
        Limit.load(tmp_path / "limit.json")
    for older in (2, 1, -7):
        (tmp_path / "limit.json").write_text(json.dumps({**document, "version": older}))
        with pytest.raises(SavedFileError, match=f"version {older} .* derive the limit again"):
            Limit.load(tmp_path / "limit.json")
    (tmp_path / "paths").write_bytes(
        npz(
            format="singular-limit paths",
            version=2,
            unit="",
            times=0,
            weights=0,
            status=0,
            stopped=0,
        )
    )
    with pytest.raises(SavedFileError, match="version 2 of the format, this release reads up to 1"):
        Paths.load(tmp_path / "paths")


def test_wrong_status_is_refused(tmp_path: Path) -> None:
    fields = vars(some_paths()) | {"status": np.array([0, 99])}
    (tmp_path / "paths").write_bytes(npz(format="singular-limit paths", version=1, **fields))
    with pytest.raises(SavedFileError, match="paths: damaged paths"):
        Paths.load(tmp_path / "paths")


def test_missing_file_is_named(tmp_path: Path) -> None:
    for kind in (Limit, Paths, ValidationReport):
        with pytest.raises(FileNotFoundError, match="nothing"):
            kind.load(tmp_path / "nothing")


# Reports -------------------------------------------------------------------------------------


def test_report_survives(report: ValidationReport, tmp_path: Path) -> None:
    report.save(tmp_path / "report.npz")
    loaded = ValidationReport.load(tmp_path / "report.npz")
    assert str(loaded) == str(report)
    assert loaded.to_dict() == report.to_dict()
    assert loaded.limit == report.limit
    assert loaded.checks == report.checks
    for name in ("times", "expected", "asymptotic"):
        mine, other = (getattr(r.comparisons[-1], name) for r in (loaded, report))
        np.testing.assert_array_equal(mine, other)
    assert loaded.comparisons[0].limit is loaded.limit
    assert list(loaded.observables) == ["w1", "w2"]
    assert math.isnan(loaded.scaling.law.misfit)
    assert loaded.fast.expected == report.fast.expected
    assert list(loaded.comparisons[0].trace.status) == list(report.comparisons[0].trace.status)


def test_observables_that_are_functions_give_way_to_weights(report, tmp_path: Path) -> None:
    own = replace(report, observables={"radius": lambda w: np.hypot(*w.T).T})
    own.save(tmp_path / "report.npz")
    assert list(ValidationReport.load(tmp_path / "report.npz").observables) == ["w1", "w2"]


def test_functions_are_those_of_sympy() -> None:
    assert all(getattr(sp, name) is function for name, function in FUNCTIONS.items())
