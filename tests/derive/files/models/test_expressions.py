"""The expression parser: what it accepts means what it says, and everything else is refused."""

import builtins
import math
import time
import tracemalloc

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from derive.errors import ModelFileError
from derive.files.models.expressions import MAX_SIZE, parse_expression
from derive.files.models.tokens import MAX_BRACKETS, MAX_DIGITS, MAX_LENGTH, exact_number
from derive.files.models.values import Budget, number, symbol
from derive.symbolic.effort import expanded_terms

x, y, theta = sp.symbols("x y θ", real=True)
NAMES = {
    "x": symbol("x"),
    "y": symbol("y"),
    "θ": symbol("θ"),
    "v": tuple(number(k) for k in (2, 3, 5)),
    "A": ((number("0.5"), symbol("x")), (number(7), symbol("y"))),
}
SECONDS = 4.0
"""What refusing a hostile text may take of a busy machine; an idle one takes less than one."""


def parse(text, names=NAMES):
    return parse_expression(text, names).expr


def refusal(text, names=NAMES):
    with pytest.raises(ModelFileError) as error:
        parse_expression(text, names)
    return error.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", sp.Rational(1, 10)),
        ("1e-3 + .5 + 5.", sp.Rational(5501, 1000)),
        ("-x**2", -(x**2)),
        ("(-x)**2", x**2),
        ("2--x", 2 + x),
        ("+x - y - 1", x - y - 1),
        ("x/y/2", x / (2 * y)),
        ("x**2**3", x**8),
        ("x**-1", 1 / x),
        ("x**0.5", sp.sqrt(x)),
        ("x**y", x**y),
        ("(x**2 + y**2 - 1)**2*(2 + x)/4", (x**2 + y**2 - 1) ** 2 * (2 + x) / 4),
        ("\n x\n + θ\n", x + theta),
        ("v[1] + v[3]", sp.Integer(7)),
        ("A[1, 2] * A[2, 1] * A[1, 1]", 7 * x / 2),
        ("v[v[1] - 1]", sp.Integer(2)),
        ("sum(v[i]*x**i, i, 1, 3)", 2 * x + 3 * x**2 + 5 * x**3),
        ("Sum(i*x, (i, 1, 4))", 10 * x),
        ("sum(sum(i*j, j, 1, i), i, 1, 3)", sp.Integer(25)),
        ("sum(x, i, 2, 1)", sp.Integer(0)),
        ("cos(pi)", sp.Integer(-1)),
        ("sqrt(8)*exp(0)", 2 * sp.sqrt(2)),
        ("abs(-x) + Abs(y)", sp.Abs(x) + sp.Abs(y)),
        ("max(x, 0) + Max(x, y, 2) - min(x, y)", sp.Max(x, 0) + sp.Max(x, y, 2) - sp.Min(x, y)),
        ("relu(x)", sp.Max(0, x)),
        ("tanh(x) + erf(x) + atan(x)", sp.tanh(x) + sp.erf(x) + sp.atan(x)),
        ("softplus(x)", sp.log(1 + sp.exp(x))),
        ("exp(exp(x))", sp.exp(sp.exp(x))),
    ],
)
def test_an_accepted_text_is_the_expression_it_says(text, expected):
    assert parse(text) == expected


def test_sigmoid_is_the_logistic_function():
    assert float(parse("sigmoid(0.7)")) == pytest.approx(1 / (1 + math.exp(-0.7)), rel=1e-14)


def test_long_sums_and_products_are_one_operation():
    assert parse("+".join(["x"] * 800)) == 800 * x
    assert parse("*".join(["1.01"] * 20)) == sp.Rational(101, 100) ** 20


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("", "got nothing", (1, 1)),
        ("  \n ", "got nothing", (1, 1)),
        ("x + z", "unknown name z; known: x", (1, 5)),
        ("x\n + θ * z", "unknown name z", (2, 8)),
        ("θθ + 1", "unknown name θθ", (1, 1)),
        ("import os", "import has no place", (1, 1)),
        ("__import__('os')", "__import__ has no place", (1, 1)),
        ("x.__class__", "no attributes", (1, 2)),
        ("().__class__", "no attributes", (1, 3)),
        ("eval(x)", "unknown function eval", (1, 1)),
        ("x + open(y)", "unknown function open", (1, 5)),
        ("x(y)", "unknown function x", (1, 1)),
        ("sin(x)(y)", "unknown function sin(x)", (1, 1)),
        ("lambda: x", "lambda has no place", (1, 1)),
        ("x if y else 1", "if has no place", (1, 3)),
        ("not x", "not has no place", (1, 1)),
        ("True", "True has no place", (1, 1)),
        ("'x'", "no text", (1, 1)),
        ('"x"', "no text", (1, 1)),
        ("x = 1", "under [let]", (1, 3)),
        ("x^2", "a power is written **", (1, 2)),
        ("x # y", "unexpected '#'", (1, 3)),
        ("x\0", "unexpected '\\x00'", (1, 2)),
        ("x; y", "unexpected ';'", (1, 2)),
        ("x // 2", "not among + - * / **", (1, 1)),
        ("~x", "unexpected '~'", (1, 1)),
        ("x % 2", "unexpected '%'", (1, 3)),
        ("2x", "a product is written 2*x", (1, 2)),
        ("1_000", "a name follows a number", (1, 2)),
        ("1j", "a name follows a number", (1, 2)),
        ("0x10", "a name follows a number", (1, 2)),
        ("007", "not an expression", (1, 1)),
        ("x y", "not an expression", (1, 1)),
        ("x +", "not an expression", (1, 4)),
        ("x²", "not an expression", (1, 2)),
        ("x, y", "several with commas", (1, 1)),
        ("[x]", "got a list", (1, 1)),
        ("(x", "never closed", (1, 3)),
        ("x)", ") closes no bracket", (1, 2)),
        ("(x]", "] closes no bracket", (1, 3)),
        ("sin", "sin is a function", (1, 1)),
        ("sin()", "sin takes one argument, got 0", (1, 1)),
        ("sin(x, y)", "sin takes one argument, got 2", (1, 1)),
        ("max(x, x, x, x, x)", "1 to 4 arguments", (1, 1)),
        ("sin(*v)", "not among", (1, 5)),
        ("v", "v is an array", (1, 1)),
        ("x[1]", "only an array", (1, 1)),
        ("sin(x)[1]", "only an array", (1, 1)),
        ("v[0]", "index 0 of v is not between 1 and 3", (1, 3)),
        ("v[-1]", "index -1", (1, 3)),
        ("v[x]", "expected an integer, got x", (1, 3)),
        ("v[1:2]", "unexpected ':'", (1, 4)),
        ("A[1]", "more indices", (1, 1)),
        ("v[1, 1]", "fewer indices", (1, 6)),
        ("sum(x, i, 1)", "expected sum(expression, i, first, last)", (1, 1)),
        ("sum(x, 1, 1, 2)", "expected sum(", (1, 1)),
        ("sum(i, x, 1, 2)", "x has a meaning already", (1, 8)),
        ("sum(i, pi, 1, 2)", "pi has a meaning already", (1, 8)),
        ("sum(i, i, 1, x)", "expected an integer", (1, 14)),
        ("x/(y - y)", "division by zero", (1, 4)),
        ("0**x", "zero to a power", (1, 1)),
        ("log(0)", "not finite", (1, 1)),
        ("tan(pi/2)", "not finite", (1, 1)),
        ("sqrt(-1)", "a root of a negative number", (1, 1)),
        ("x + (-8)**(1/3)", "a root of a negative number", (1, 5)),
        ("x + log(-1)", "not real", (1, 5)),
        ("y + asin(2)", "not real", (1, 5)),
        ("sqrt(-x**2)", "not real", (1, 1)),
        ("1 + abs(log(x))", "may be complex; write sqrt((...)**2)", (1, 5)),
        ("sqrt(log(y)**0.25)", "multiply the exponents", (1, 1)),
        ("x + 2**0.123", "a multiple of 1/12", (1, 8)),
        ("x**(y + 0.1)", "a multiple of 1/12", (1, 5)),
        ("exp(0.123*log(x))", "a multiple of 1/12", (1, 1)),
        ("1 + 2**9**3", "the exponent exceeds 64", (1, 8)),
        ("y + (x + 2)**-65", "the exponent exceeds 64", (1, 14)),
        ("y + (x + 2)**(-65)", "the exponent exceeds 64", (1, 15)),
        ("y*exp(exp(8))", "a number may grow beyond 2**4096", (1, 3)),
    ],
)
def test_everything_else_is_refused_with_its_place(text, reason, position):
    error = refusal(text)
    assert reason in error.reason
    assert error.position == position
    assert str(error) == f"line {position[0]}, column {position[1]}: {error.reason}"


HOSTILE = {
    "tower of powers": "9**9**9",
    "tower on a symbol": "x**9**9**9",
    "repeated powers": "((x + y)**64)**64",
    "powers of products": "x**64*x**64",
    "fine roots of numbers": "(999999999999999/10**15)**45.999",
    "huge decimal": "1e999999999",
    "long integer": "7" * 5000,
    "digits by product": "10**60*10**60",
    "digits by power": "(10**60*x)**64",
    "tower of exponentials": "exp(exp(exp(exp(9))))",
    "tower on a symbol, too": "exp(exp(exp(exp(x))))",
    "tower under a comparison": "abs(exp(exp(exp(9))) - 3)",
    "tower by powers": "2**2**2**2**2**x",
    "periodic function of a tower": "sin(exp(exp(exp(9))))",
    "deep brackets": "(" * 9000 + "x" + ")" * 9000,
    "deep signs": "-" * 19000 + "x",
    "deep powers": "**".join(["x"] * 6000),
    "deep calls": "x" + "()" * 9000,
    "deep functions": "sin(" * 45 + "sinh(" * 4 + "x" + ")" * 49,
    "long sum": "+".join(["x"] * 9000),
    "long text": "x" * (MAX_LENGTH + 1),
    "long range": "sum(x, i, 1, 10**60)",
    "nested ranges": "sum(sum(sum(i*j*k + x, i, 1, 100), j, 1, 100), k, 1, 100)",
    "costly sum": "sum(abs(x - i*y), i, 1, 9999)",
    "costly constants": "sum(asin(sin(i)), i, 1, 9999)",
    "costly roots": "sum(sqrt(10**60 + i), i, 1, 9999)",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_refused_quickly(text):
    begin = time.process_time()
    error = refusal(text)
    assert time.process_time() - begin < SECONDS
    assert error.position is not None
    assert len(str(error)) < 400


def test_hostile_texts_are_refused_in_bounded_memory():
    tracemalloc.start()
    try:
        for name in ("tower of powers", "huge decimal", "tower of exponentials", "long range"):
            refusal(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_definitions_cannot_multiply_the_size_or_depth_without_bound():
    names = dict(NAMES, a=symbol("a"))
    with pytest.raises(ModelFileError, match=f"more than {MAX_SIZE} operations"):
        for _ in range(60):
            names["a"] = parse_expression("sin(a) + cos(a)", names)
    names["a"] = symbol("a")
    with pytest.raises(ModelFileError, match="nested deeper"):
        for _ in range(100):
            names["a"] = parse_expression("tanh(a)", names)


def test_a_budget_is_shared_between_expressions():
    budget = Budget(30)
    parse_expression("x + y + x*y", NAMES, budget)
    with pytest.raises(ModelFileError, match="operations in this file"):
        parse_expression("sum(x*i, i, 1, 20)", NAMES, budget)


def test_brackets_up_to_the_bound_are_accepted():
    assert parse("(" * MAX_BRACKETS + "x" + ")" * MAX_BRACKETS) == x


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e101", "1e-101", "1" * (MAX_DIGITS + 1), "x"]
)
def test_numbers_are_finite_and_short(text):
    with pytest.raises(ModelFileError, match="number"):
        exact_number(text)


def test_numbers_are_exact():
    assert exact_number("0.30") == sp.Rational(3, 10)
    assert exact_number(-12) == -12


@pytest.mark.parametrize(
    "expression", [(x + y + 1) ** 5 * (x - y), (x + y) ** 2 + 3, sp.sin(x + y) * (x + 1)]
)
def test_expanded_terms_bounds_the_terms_of_the_expansion(expression):
    expanded = sp.expand(expression)
    assert len(sp.Add.make_args(expanded)) <= expanded_terms(expression) <= 200


def test_nothing_is_evaluated(monkeypatch):
    def forbidden(*_: object) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr(builtins, "eval", forbidden)
    monkeypatch.setattr(builtins, "exec", forbidden)
    assert parse("sin(x)**2 + sum(v[i], i, 1, 3)") == sp.sin(x) ** 2 + 10


# Random expressions against Python's own arithmetic.
LEAVES = st.sampled_from(["x", "y", "2", "0.5", "3.25", "v[2]"])


def _compound(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from([" + ", " - ", "*"]), inner).map("".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        inner.map("sin({})".format),
        inner.map("tanh({})".format),
        inner.map("({})**2".format),
        inner.map("1/(2 + cos({}))".format),
    )


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.recursive(LEAVES, _compound, max_leaves=8))
def test_random_expressions_agree_with_python(text):
    point = {"x": 0.375, "y": -1.25}
    scope = {**point, "v": (None, 2, 3, 5), **{n: getattr(math, n) for n in ("sin", "cos", "tanh")}}
    expected = eval(text, {"__builtins__": {}}, scope)
    value = float(parse(text).subs({x: sp.Rational(3, 8), y: sp.Rational(-5, 4)}).evalf(30))
    # Rounding of a few dozen operations in double precision, against the largest of them.
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)


WORDS = "x v A i z __ sin exp max sum abs lambda ( ) [ ] + - * ** / , . 9 99 0 1e9 0.5 = : ' é"
PIECES = st.sampled_from((*WORDS.split(), " ", "\n"))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=12)))
def test_random_texts_give_a_value_or_one_error_with_its_place(text):
    try:
        value = parse_expression(text, NAMES)
    except ModelFileError as error:
        assert error.position is not None
        line, column = error.position
        assert 1 <= line <= text.count("\n") + 1
        assert 1 <= column <= len(text.split("\n")[line - 1]) + 1
    else:
        assert isinstance(value.expr, sp.Expr)
