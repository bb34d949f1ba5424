"""The checker of certificates: it stands alone, and takes nothing that does not follow."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import mpmath
import pytest
import sympy as sp
from flint import arb, ctx, fmpq

from derive import NoisyGradientDescent, derive_limit
from derive.certify import checker
from derive.certify.checker import Claim
from derive.proofs.tables import ExpressionTable
from derive.proofs.writer import REFUSALS
from tests.truth.catalogue import CATALOGUE

getcontext().prec = 100
CHECKER = Path(checker.__file__)
MODELS = {entry.name: entry.problem for entry in CATALOGUE}
Document = dict[str, Any]


def document_of(problem: NoisyGradientDescent, **asked: Any) -> Document:
    """A certificate as it comes out of a file."""
    certificate = derive_limit(problem).certificate(**asked)
    assert certificate.is_complete
    return json.loads(json.dumps(certificate.document))


NET = "Gaussian dropout of two neurons"
DRIFT = "label noise on a diagonal net, a sample too many"
STILL = "parameter noise on the round ring"
FROZEN = "minibatches on a diagonal net"
RATE = "parameter noise on the uneven ring"
TRIVIAL = "uneven normal second moment on the round ring"


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    found = {name: document_of(MODELS[name]) for name in (NET, DRIFT, STILL, FROZEN, TRIVIAL)}
    return found | {RATE: document_of(MODELS[RATE], rate=sp.Rational(1, 100))}


def test_it_is_short_and_imports_flint_and_the_standard_library_only() -> None:
    text = CHECKER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    imported = {
        line.split()[1].split(".")[0]
        for line in text.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= {"flint", *sys.stdlib_module_names}


@pytest.mark.parametrize("start", [["-I", str(CHECKER)], ["-m", "derive.certify"]])
def test_it_checks_files(start: list[str], tmp_path: Path, documents: dict[str, Document]) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    derive_limit(MODELS[NET]).certificate(good)
    spoilt = copy.deepcopy(documents[NET])
    spoilt["claims"][0]["value"][0] = "1"
    bad.write_text(json.dumps(spoilt), encoding="utf-8")
    root = CHECKER.parent.parent.parent
    run = [
        subprocess.run(
            [sys.executable, *start, path], cwd=root, capture_output=True, text=True, check=False
        )
        for path in (good, bad, tmp_path / "absent.json")
    ]
    assert [done.returncode for done in run] == [0, 1, 1]
    assert run[0].stdout == "P∇Reg = 0 on Γ: proved not (slope)\n"
    assert run[1].stderr.startswith("REJECTED: ArithmeticError")


# -- values in balls ----------------------------------------------------------------------------

x = sp.Symbol("x", real=True)
SMOOTH = (
    sp.exp(-x / 3), sp.log(x), sp.sqrt(x), x ** sp.Rational(-3, 2), x ** sp.Rational(2, 3),
    x**sp.pi, sp.sin(x), sp.cos(x), sp.tan(x), sp.cot(x), sp.sec(x), sp.csc(x), sp.sinh(x),
    sp.cosh(x), sp.tanh(x), sp.coth(x), sp.sech(x), sp.csch(x), sp.asin(x), sp.acos(x),
    sp.atan(x), sp.asinh(x), sp.acosh(x + 1), sp.atanh(x), sp.erf(x), sp.erfc(x), sp.Abs(x - 1),
    sp.sign(x - 1) * x, sp.Heaviside(x) * x**2, sp.Max(x, x**2, sp.S.Half), sp.Min(x, x**2),
    1 / (1 + x**7), sp.E * x, sp.exp(100 * x),
)  # fmt: skip


def balls_around(
    expression: sp.Expr, place: sp.Rational, radius: float = 0.0
) -> tuple[Claim, int, int]:
    """What evaluates an expression on an interval, the expression's place, that of the symbol."""
    table = ExpressionTable()
    root, symbol = table.place(expression), table.place(x)
    box = {str(symbol): arb(fmpq(int(place.p), int(place.q)), radius)}
    balls = Claim.__new__(Claim)
    balls.table, balls.box = table.entries, box
    return balls, root, symbol


@pytest.mark.parametrize("expression", SMOOTH, ids=str)
def test_taylor_coefficients_are_those_of_sympy(expression: sp.Expr) -> None:
    """To 40 digits: the evaluation of the derivation and that of the checker share nothing."""
    place = sp.Rational(3, 7)
    with ctx.workprec(192), mpmath.workdps(60):
        balls, root, symbol = balls_around(expression, place)
        for order in range(4):
            found = balls.taylor([root], {symbol: 1}, order)[0]
            expected = (expression.diff(x, order) / sp.factorial(order)).subs(x, place)
            gap = found - arb(sp.N(expected.doit(), 60).__str__())
            assert abs(gap) < arb("1e-40") * (1 + abs(found))


def test_rationals_enter_as_balls_and_not_as_floats() -> None:
    with ctx.workprec(192):
        balls, root, _ = balls_around(sp.Rational(1, 3) + 0 * x, sp.Rational(1))
        third = balls.taylor([root], {})[0]
        assert third.contains(fmpq(1, 3))
        assert third.rad() < arb("1e-50")
        assert not third.contains(fmpq(*(1 / 3).as_integer_ratio()))


@pytest.mark.parametrize(
    "expression",
    [1 / x, sp.log(x), sp.sqrt(x), sp.Abs(x), sp.sign(x), sp.Max(x, 0), sp.tan(x + sp.pi / 2)],
    ids=str,
)
def test_poles_branch_points_and_kinks_in_the_box_are_undefined(expression: sp.Expr) -> None:
    balls, root, symbol = balls_around(expression, sp.Rational(1, 10), radius=0.5)
    with pytest.raises(REFUSALS):
        balls.taylor([root], {symbol: 1}, 1)
    clear, root, symbol = balls_around(expression, sp.Rational(1, 10), radius=0.01)
    assert clear.taylor([root], {symbol: 1}, 1)[0].is_finite()


def test_a_box_is_filled_by_its_values() -> None:
    """The ball of a function on a box holds its values at the ends."""
    balls, root, _ = balls_around(x**2 - x, sp.Rational(1, 2), radius=0.25)
    found = balls.taylor([root], {})[0]
    assert found.contains(fmpq(-3, 16))
    assert found.contains(fmpq(-1, 4))


# -- what does not follow is rejected -------------------------------------------------------------


def shift(interval: list[str], by: str) -> None:
    interval[0] = str(Decimal(interval[0]) + Decimal(by))


def point(d: Document) -> Document:
    return d["points"][d["claims"][-1]["point"]]


def moving(d: Document, k: int = 0) -> list[str]:
    return point(d)["box"][str(point(d)["moving"][k])]


def staying(d: Document) -> list[str]:
    box = point(d)["box"]
    return next(box[k] for k in box if int(k) not in point(d)["moving"])


def entries(d: Document, head: str) -> list[list[Any]]:
    return [e for e in d["expressions"] if e[0] == head]


def appended(d: Document, *entry: str | int) -> int:
    d["expressions"].append(list(entry))
    return len(d["expressions"]) - 1


def put(owner: Any, key: Any, value: Any) -> None:
    owner[key] = value


def fewer_rows(d: Document, vanishing: dict[str, Any]) -> None:
    """One constraint less, though they are independent."""
    left = point(d)["rows"].pop()
    point(d)["moving"].pop()
    point(d)["preconditioner"] = [[point(d)["preconditioner"][0][0]]]
    point(d)["vanishing"] = {str(left): vanishing} if vanishing is not None else {}


def cofactors(d: Document) -> list[list[list[int]]]:
    return d["claims"][0]["cofactors"]


def last(d: Document) -> Document:
    return d["claims"][-1]


def undefined(d: Document) -> None:
    """1 = r · (1/r), which has no value where r = 0: a relation alone makes the identity."""
    claim, r = d["claims"][0], d["constraints"][0]
    pole = appended(d, "inverse", r)
    f = appended(d, "product", r, pole)
    one = appended(d, "rational", "1", "1")
    relation = len(d["constraints"])
    claim.update(of=[f], constants=[one], cofactors=[[[relation, one]]])
    claim["tower"] = sorted({*claim["tower"], f, one})


def degenerate(d: Document) -> None:
    """L made of r² in place of r: it vanishes with r, but H = 0."""
    for square in d["squares"]:
        r = square[1]
        square[1] = appended(d, "product", r, r)
        point(d)["vanishing"][str(square[1])] = [[point(d)["rows"].index(r), r]]
    point(d)["tower"] = sorted({*d["constraints"], *(r for _, r in d["squares"])})


SPOILT: dict[str, tuple[str, Callable[[Document], Any]]] = {
    "box moved a little": (NET, lambda d: shift(moving(d), "1e-38")),
    "box moved": (NET, lambda d: shift(moving(d), "0.001")),
    "second coordinate moved": (NET, lambda d: put(moving(d, 1), 0, "0.5")),
    "staying coordinate moved": (NET, lambda d: shift(staying(d), "1e-9")),
    "staying coordinate an interval": (NET, lambda d: put(staying(d), 1, "0.5")),
    "box too narrow": (NET, lambda d: put(moving(d), 1, "1e-60")),
    "box too wide": (NET, lambda d: put(moving(d), 1, "3")),
    "box infinite": (NET, lambda d: put(moving(d), 1, "inf")),
    "box a point": (NET, lambda d: put(moving(d), 1, "0")),
    "box nowhere": (NET, lambda d: put(moving(d), 0, "nan")),
    "box without a coordinate": (NET, lambda d: point(d)["box"].popitem()),
    "value of the wrong sign": (NET, lambda d: put(last(d)["value"], 0, "-" + last(d)["value"][0])),
    "value shifted": (NET, lambda d: shift(last(d)["value"], "1e-18")),
    "value that may be zero": (NET, lambda d: put(last(d)["value"], 1, "10")),
    "value too precise": (NET, lambda d: put(last(d)["value"], 1, "1e-45")),
    "value infinite": (NET, lambda d: put(last(d)["value"], 1, "inf")),
    "stale number": (NET, lambda d: put(entries(d, "rational")[-1], 2, "7")),
    "stale symbol": (NET, lambda d: put(entries(d, "tanh")[0], 1, entries(d, "tanh")[1][1])),
    "stale function": (NET, lambda d: put(entries(d, "tanh")[0], 0, "sin")),
    "stale operation": (NET, lambda d: put(entries(d, "sum")[0], 0, "product")),
    "unknown function": (NET, lambda d: put(entries(d, "tanh")[0], 0, "zeta")),
    "entry made of a later one": (NET, lambda d: put(entries(d, "sum")[0], 1, 10**6)),
    "lower precision": (NET, lambda d: put(d, "precision", 53)),
    "much lower precision": (NET, lambda d: put(d, "precision", 8)),
    "lower rank": (NET, lambda d: fewer_rows(d, None)),
    "lower rank, the rest left to vanish": (NET, lambda d: fewer_rows(d, [])),
    "higher rank": (NET, lambda d: point(d)["rows"].append(point(d)["rows"][0])),
    "row that is no constraint": (NET, lambda d: put(point(d)["rows"], 0, last(d)["of"][0])),
    "constraint that is none": (NET, lambda d: d["constraints"].append(last(d)["of"][0])),
    "coordinate that moves twice": (
        NET, lambda d: put(point(d)["moving"], 0, point(d)["moving"][1])
    ),
    "noise that moves": (
        TRIVIAL, lambda d: put(point(d)["moving"], 0, d["expressions"].index(["symbol", "eta"]))
    ),
    "no preconditioner": (NET, lambda d: put(point(d)["preconditioner"], 0, ["0", "0"])),
    "direction zero": (NET, lambda d: put(last(d), "direction", ["0"] * 4)),
    "direction turned": (NET, lambda d: last(d)["direction"].reverse()),
    "weights in another order": (NET, lambda d: d["weights"].reverse()),
    "another quantity": (NET, lambda d: put(last(d), "of", d["constraints"][:1])),
    "another question": (NET, lambda d: put(last(d), "asks", "values")),
    "another point": (NET, lambda d: put(last(d), "point", 7)),
    "negative loss": (NET, lambda d: put(d["squares"][0], 0, appended(d, "rational", "-1", "2"))),
    "another kind of file": (NET, lambda d: put(d, "format", "singular-limit limit")),
    "drift at a step": (DRIFT, lambda d: put(last(d), "step", "0.01")),
    "drift of other columns": (DRIFT, lambda d: last(d)["columns"].reverse()),
    "redundant constraint not shown": (DRIFT, lambda d: put(point(d), "vanishing", {})),
    "redundant constraint with other cofactors": (
        DRIFT, lambda d: put(next(iter(point(d)["vanishing"].values()))[0], 0, 1)
    ),
    "cofactors left out": (STILL, lambda d: put(d["claims"][0], "cofactors", [[]])),
    "cofactor of another constraint": (STILL, lambda d: put(cofactors(d)[0][0], 0, 1)),
    "cofactor exchanged": (STILL, lambda d: put(cofactors(d)[0][0], 1, d["claims"][0]["of"][0])),
    "constant with weights": (
        STILL, lambda d: d["claims"][0].update(constants=d["claims"][0]["of"], cofactors=[[]])
    ),
    "constant that is another": (
        STILL, lambda d: put(d["claims"][0]["constants"], 0, appended(d, "rational", "9", "1"))
    ),
    "cofactors of another claim": (STILL, lambda d: put(d["claims"][0], "asks", "critical")),
    "constant that is not zero": (STILL, lambda d: put(d["claims"][0], "asks", "zero")),
    "function exchanged": (FROZEN, lambda d: put(last(d)["of"], 0, d["constraints"][0])),
    "faster attraction": (RATE, lambda d: put(last(d)["bounds"], 0, "99")),
    "smaller step": (RATE, lambda d: put(last(d)["bounds"], 1, "0.01")),
    "bounds that hold zero": (RATE, lambda d: put(last(d)["bounds"], 0, "nan")),
    "no bounds": (RATE, lambda d: last(d).pop("bounds")),
    "another field beside the noise": (
        DRIFT, lambda d: put(last(d)["of"], 0, last(d)["columns"][0])
    ),
    "no argument at all": (NET, lambda d: last(d).pop("value")),
    "rational number in a rounded form": (NET, lambda d: put(entries(d, "rational")[-1], 1, 1.5)),
    "two symbols of one name": (NET, lambda d: appended(d, "symbol", "w1")),
    "weight that is a number": (
        NET, lambda d: d["weights"].append(appended(d, "rational", "1", "1"))
    ),
    "weight twice": (NET, lambda d: d["weights"].append(d["weights"][0])),
    "place counted from the end": (NET, lambda d: put(last(d), "of", [-1])),
    "place that is true": (STILL, lambda d: put(d["claims"][0], "of", [True])),
    "a function without a value on Γ": (STILL, undefined),
    "an identity without the symbol in the box": (STILL, lambda d: point(d)["box"].popitem()),
    "two bits": (NET, lambda d: put(d, "precision", 2)),
    "an answer that is no number": (NET, lambda d: put(last(d), "value", ["nan", "nan"])),
    "a huge exponent": (NET, lambda d: put(last(d)["value"], 1, "1e999999999999")),
    "digits of another script": (NET, lambda d: put(entries(d, "rational")[-1], 1, "１")),
    "squares that lose the rank": (NET, degenerate),
    "method that is no claim": (NET, lambda d: put(last(d), "asks", "check_point")),
    "an older file": (NET, lambda d: put(d, "format", "singular-limit certificate")),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_what_does_not_follow_is_rejected(name: str, documents: dict[str, Document]) -> None:
    model, spoil = SPOILT[name]
    document = copy.deepcopy(documents[model])
    assert checker.check(document)
    spoil(document)
    assert document != documents[model]
    with pytest.raises(REFUSALS):
        checker.check(document)


def test_a_proof_holds_for_a_whole_interval_of_a_coordinate(documents: dict[str, Document]) -> None:
    """A piece of Γ: for each value of what stays there is one point, and P∇Reg ≠ 0 there."""
    document = copy.deepcopy(documents[NET])
    staying(document)[1] = "1e-12"
    for k in (0, 1):
        moving(document, k)[1] = "1e-10"
    last(document)["value"][1] = "1e-6"
    assert checker.check(document)
    last(document)["value"][1] = "1e-20"
    with pytest.raises(REFUSALS):
        checker.check(document)
