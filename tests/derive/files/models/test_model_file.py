"""Models as files: what every key means, and one clear, quick error for everything else."""

import time

import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derive import (
    Bernoulli,
    CustomLaw,
    DeriveError,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    Rademacher,
    Uniform,
    UpdateRule,
    alpha,
    sigma,
)
from derive.errors import ModelFileError
from derive.files.models.model_file import SCHEMA, RunSettings, describe_schema, load_model, starter
from derive.mechanisms import MECHANISMS, dropconnect, label_noise
from derive.model.optimized import rule_of
from derive.optimizers import (
    AdamW,
    Extragradient,
    HeavyBall,
    LookAhead,
    Nesterov,
    Preconditioned,
    SecondMoments,
    ZerothOrder,
)

w1, w2, eta, xi, a = sp.symbols("w1 w2 eta xi a", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 / 4
BASE = """
weights = ["w1", "w2"]
noise = ["eta"]
loss = "(w1**2 + w2**2 - 1)**2/4"
noisy_loss = "loss + eta*w1"
"""
TWO_NOISES = BASE.replace('["eta"]', '["eta", "xi"]')
SECONDS = 4.0
"""What refusing a hostile file may take of a busy machine; an idle one takes less than one."""


@pytest.fixture
def load(tmp_path):
    def load_text(text, suffix=".toml", **options):
        path = tmp_path / f"model{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_model(path, **options)

    return load_text


def test_starter_is_the_ring(load):
    model = load(starter("my {ring}"))
    loss = RING * (2 + w1)
    theta = sp.Symbol("theta", real=True)
    assert model.problem == NoisyGradientDescent(
        loss,
        loss + (w1**2 + w2**2) * eta / 2,
        (w1, w2),
        (eta,),
        chart=((theta,), (sp.cos(theta), sp.sin(theta))),
    )
    assert model.run == RunSettings((0.6, 0.8), 0.05, 0.1, 1.0, 1000, 0)
    assert starter("my {ring}").startswith("# my {ring}:")


@pytest.mark.parametrize(
    "line", ["constraints =", "near =", 'law = "Rad', "law = {", "parameters ="]
)
def test_commented_lines_of_the_starter_are_right(load, line):
    text = starter("ring")
    commented = f"# {line}"
    assert text.count(commented) == 1
    assert load(text.replace(commented, line)).problem.dimension == 2


@pytest.mark.parametrize("name", ["", "two\nlines", "nul\0"])
def test_starter_refuses_a_name_off_one_line(name):
    with pytest.raises(ModelFileError, match="printable name"):
        starter(name)


FULL = """
weights = ["w[2]"]
noise = ["eta", "xi"]
parameters = ["a"]
loss = "sum((x[i]*r)**2, i, 1, n)"
noisy_loss = "loss + a*(eta*w[1] + xi*A[1, 2]*w2)"
law = { name = "Gaussian", covariance = [["a**2", 0], [0, 1]] }
constraints = ["r"]
near = { w1 = "3/5", w2 = 0.8 }
penalty = "sigma**2*s/2 + alpha*sigma**2*w1**4"

[data]
n = 2
x = [0.5, "2**2"]
A = [[1, 2], [3, 4]]

[let]
s = "w1**2 + w2**2"
r = "s - 1"

[chart]
coordinates = ["t"]
embedding = ["cos(t)", "sin(t)"]

[run]
start = { w2 = "sqrt(2)/2", w1 = 1 }
alpha = 0.05
sigma = "1/10"
time = 2
paths = 7
seed = 3
"""


def test_every_key_is_read(load):
    model = load(FULL)
    t = sp.Symbol("t", real=True)
    r = w1**2 + w2**2 - 1
    loss = (r / 2) ** 2 + (4 * r) ** 2
    assert model.problem == NoisyGradientDescent(
        loss,
        loss + a * (eta * w1 + 2 * xi * w2),
        (w1, w2),
        (eta, xi),
        law=Gaussian([[a**2, 0], [0, 1]]),
        constraints=(r,),
        chart=((t,), (sp.cos(t), sp.sin(t))),
        near=(sp.Rational(3, 5), sp.Rational(4, 5)),
        parameters=(a,),
        penalty=sigma**2 * (w1**2 + w2**2) / 2 + alpha * sigma**2 * w1**4,
    )
    assert model.run == RunSettings((1.0, pytest.approx(0.5**0.5)), 0.05, 0.1, 2.0, 7, 3)


def test_the_schema_names_every_key_once():
    names = [key.name for key in SCHEMA]
    assert len(set(names)) == len(names)
    assert {key.table for key in SCHEMA} - {""} <= set(names)
    lines = describe_schema().splitlines()
    assert [line.split()[0] for line in lines] == names


@pytest.mark.parametrize("key", [key for key in SCHEMA if not key.table], ids=lambda key: key.name)
def test_every_key_refuses_a_date(load, key):
    text = "\n".join(line for line in BASE.splitlines() if not line.startswith(f"{key.name} "))
    with pytest.raises(ModelFileError) as error:
        load(f"{key.name} = 1979-05-27\n{text}")
    assert error.value.key == key.name
    assert "date" in error.value.reason or key.name == "mechanism"


def test_names_of_any_alphabet_and_windows_files_are_read(load):
    text = BASE.replace("eta", "η").replace("\n", "\r\n")
    problem = load(b"\xef\xbb\xbf" + text.encode()).problem
    assert problem.noise == (sp.Symbol("η", real=True),)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ('"Rademacher"', Rademacher()),
        ('"Uniform"', Uniform()),
        ('{ name = "Bernoulli" }', Bernoulli()),
        ('{ name = "Gaussian" }', Gaussian()),
        (
            '{ name = "Minibatch", samples = 2, batch_size = 3, replacement = true }',
            Minibatch(2, 3, replacement=True),
        ),
        (
            '{ name = "CustomLaw", covariance = [[1, 0], [0, 0]],'
            " jumps = [{ z = [0, -1], rate = 0.5 }] }",
            CustomLaw([[1, 0], [0, 0]], [((0, -1), sp.Rational(1, 2))]),
        ),
        (
            '{ name = "Independent", groups = [{ noise = ["xi"], law = "Bernoulli" },'
            ' { noise = ["eta"], law = { name = "Gaussian", covariance = [[4]] } }] }',
            Independent(((xi, Bernoulli()), (eta, Gaussian([[4]])))),
        ),
    ],
)
def test_laws(load, text, law):
    assert load(f"{TWO_NOISES}\nlaw = {text}").problem.law == law


@pytest.mark.parametrize(
    ("law", "key", "reason"),
    [
        ("3", "law", "expected the name of a law, or a table, got 3"),
        ('"Gausian"', "law", "expected one of Bernoulli, .*Gaussian, .*, got 'Gausian'"),
        ("{ samples = 1 }", "law", "'name' is missing"),
        ('{ name = "Bernoulli", samples = 1 }', "law", "Bernoulli takes no 'samples'"),
        ('{ name = "Gaussian", sample = 1 }', "law", "Gaussian takes no 'sample'; it takes cov"),
        ('{ name = "Minibatch", samples = 2 }', "law", "'batch_size' is missing"),
        ('{ name = "Minibatch", samples = 2, batch_size = 3 }', "law", "batch_size: expected"),
        (
            '{ name = "Minibatch", samples = 2, batch_size = 1, replacement = 1 }',
            "law.replacement",
            "expected true or false, got 1",
        ),
        ('{ name = "Gaussian", covariance = "a" }', "law.covariance", "a list of rows"),
        ('{ name = "Gaussian", covariance = [] }', "law.covariance", "square matrix"),
        ('{ name = "Gaussian", covariance = [[1, 2]] }', "law.covariance", "square matrix"),
        ('{ name = "Gaussian", covariance = [[-1]] }', "law", "positive semi-definite"),
        ('{ name = "Gaussian", covariance = [[1]] }', None, "law of 1 noise coordinates"),
        (
            f'{{ name = "Gaussian", covariance = [{",".join([str([1] * 30)] * 30)}] }}',
            "law.covariance",
            "at most 20 rows, got 30",
        ),
        (
            '{ name = "Gaussian", covariance = [["(w1 + w2 + eta)**60", 0], [0, 1]] }',
            "law.covariance",
            "at most 12 terms with parameters",
        ),
        ('{ name = "CustomLaw", covariance = [[1]], jumps = [[1]] }', "law.jumps[1]", "a table"),
        (
            '{ name = "CustomLaw", covariance = [[1]], jumps = [{ z = [1] }] }',
            "law.jumps[1]",
            "'rate' is missing",
        ),
        (
            '{ name = "Independent", groups = [{ noise = ["eta"] }] }',
            "law.groups[1]",
            "'law' is missing",
        ),
        (
            '{ name = "Independent", groups = [{ noise = ["eta"], law = "Gaussian" }] }',
            None,
            "every noise symbol belongs to exactly one group",
        ),
        (
            '{ name = "Independent", groups = [{ noise = ["eta"], law = "Independent" }] }',
            "law.groups[1].law",
            "got 'Independent'",
        ),
    ],
)
def test_laws_refused(load, law, key, reason):
    with pytest.raises(ModelFileError, match=reason) as error:
        load(f"{TWO_NOISES}\nlaw = {law}")
    assert error.value.key == key


# Mechanisms -------------------------------------------------------------------------------------

LABELS = """
weights = ["w1", "w2"]

[data]
xs = [1, 2, 3]
ys = [1, "1/2", 2]

[mechanism]
name = "label_noise"
model = "w1*x + w2*x**2"
inputs = ["x"]
data = "xs"
targets = "ys"
half = true
"""


def test_a_mechanism_from_a_loss(load):
    text = 'weights = ["w1", "w2"]\nloss = "(w1*w2 - 1)**2/2"\nlaw = "Bernoulli"\n'
    problem = load(text + 'mechanism = "dropconnect"').problem
    assert problem == dropconnect((w1 * w2 - 1) ** 2 / 2, (w1, w2), law=Bernoulli())


def test_a_mechanism_from_a_model_and_data(load):
    x = sp.Symbol("x", real=True)
    expected = label_noise(
        w1 * x + w2 * x**2, (x,), (1, 2, 3), (1, sp.Rational(1, 2), 2), (w1, w2), half=True
    )
    assert load(LABELS).problem == expected


def test_a_mechanism_with_a_penalty(load):
    text = 'weights = ["w1", "w2"]\nloss = "(w1*w2 - 1)**2/2"\npenalty = "sigma**2*w1**2"\n'
    problem = load(text + 'mechanism = "dropconnect"').problem
    assert problem.penalty == sigma**2 * w1**2


def test_a_mechanism_of_ones_own(load):
    def shifted(loss, weights, *, by):
        return dropconnect(loss + by - by, weights)

    text = 'weights = ["w1", "w2"]\nloss = "(w1*w2 - 1)**2/2"\n'
    text += 'mechanism = { name = "shifted", by = 2 }'
    with pytest.raises(ModelFileError, match="got 'shifted'"):
        load(text)
    assert load(text, mechanisms={"shifted": shifted}).problem.dimension == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"label_noise"', '"label_nois"', f"expected one of {', '.join(MECHANISMS)}, got"),
        ('name = "label_noise"\n', "", "'name' is missing"),
        ("half = true", "whole = true", "label_noise takes no 'whole'"),
        ('targets = "ys"', "", "label_noise needs 'targets'"),
        ("\n[data]", 'loss = "w1**2"\n[data]', "label_noise takes no 'loss'"),
        ("half = true", 'weights = "w1"', "'weights' stands in the table and outside it"),
        ('["x"]', '["w1"]', "the name 'w1' is declared already"),
        ("x**2", "z**2", "unknown name z"),
        ("[1, 2, 3]", "[1, 2]", "targets: expected 2"),
        ("half = true", "half = 1979-05-27", "got a date"),
        ("\n[data]", 'noisy_loss = "w1"\n[data]', "either `mechanism` or `noisy_loss`"),
        ("[1, 2, 3]", str([1] * 5000), "more than .* operations, written out for all data"),
    ],
)
def test_mechanisms_refused(load, old, new, reason):
    assert LABELS.count(old) == 1
    with pytest.raises(ModelFileError, match=reason) as error:
        load(LABELS.replace(old, new))
    assert error.value.key.startswith("mechanism")


# Keys and values refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ("weights", "wieghts", None, "unknown key 'wieghts'; did you mean 'weights'?"),
        ("noise =", "alpha = 1\nnoise =", None, "unknown key 'alpha'; it belongs under \\[run\\]"),
        ("noise =", "qqqq = 1\nnoise =", None, "unknown key 'qqqq'; known keys: chart"),
        ('weights = ["w1", "w2"]', "", None, "'weights' is missing; expected list of names"),
        ('noise = ["eta"]', "", None, "'noise' is missing"),
        ('loss = "(w1**2 + w2**2 - 1)**2/4"', "", None, "'loss' is missing"),
        ('noisy_loss = "loss + eta*w1"', "", None, "'noisy_loss' is missing"),
        ('["w1", "w2"]', '["w1", 2]', "weights[2]", "expected a name in quotes, got 2"),
        ('["w1", "w2"]', '["w1", "w1"]', "weights[2]", "declared already"),
        ('["w1", "w2"]', "[]", "weights", "expected at least one name, got none"),
        ('["w1", "w2"]', '["w[100000]"]', "weights[1]", "is no name"),
        ('["w1", "w2"]', '["w[500]"]', "weights[1]", "at most 200 names"),
        ('["w1", "w2"]', '["w[0]"]', "weights[1]", "from w\\[1\\] on"),
        ('["w1", "w2"]', '["w1", "w[2]"]', "weights[2]", "'w1' is declared already"),
        ('["eta"]', '["w1"]', "noise", "'w1' is declared already"),
        ('["eta"]', '["sin"]', "noise[1]", "'sin' has a meaning"),
        ('["eta"]', '["loss"]', "noise[1]", "'loss' has a meaning"),
        ('["eta"]', '["__class__"]', "noise[1]", "is no name"),
        ('["eta"]', '["lambda"]', "noise[1]", "is no name"),
        ('["eta"]', '["a b"]', "noise[1]", "is no name"),
        ('"loss + eta*w1"', "true", "noisy_loss", "expected an expression in quotes, or a number"),
        ('"loss + eta*w1"', '"loss + eta*w3"', "noisy_loss", "unknown name w3"),
        ('"loss + eta*w1"', '"loss + eta + w2"', None, "must equal"),
        ('"loss + eta*w1"', '"loss + 1/eta"', None, "not finite"),
        ('"loss + eta*w1"', '"loss + max(sqrt(eta - 1), w1)"', "noisy_loss", "finite and real"),
        ('"loss + eta*w1"', '"9**9**9"', "noisy_loss", "exponent exceeds"),
        ("w2**2 - 1", "eta**2 - 1", None, "loss: eta is neither a weight"),
        (
            '"loss + eta*w1"',
            '"(1 + w1 + w2 + w1*w2)**64 + eta*w1"',
            "noisy_loss",
            "write it as loss \\+",
        ),
    ],
)
def test_keys_refused(load, old, new, key, reason):
    assert BASE.count(old) >= 1
    with pytest.raises(ModelFileError, match=reason) as error:
        load(BASE.replace(old, new, 1))
    assert error.value.key == key
    assert str(error.value).startswith(error.value.file)


@pytest.mark.parametrize(
    ("lines", "key", "reason"),
    [
        ("near = [1]", None, "near: expected 2 coordinates"),
        ("near = { w1 = 1 }", "near", "expected a value for each of w1, w2"),
        ('near = "w1"', "near", "expected a list"),
        ('constraints = "w1"', "constraints", "expected a list"),
        ("chart = 3", "chart", "expected a table, got 3"),
        ('chart = { coordinates = ["t"] }', "chart", "'embedding' is missing"),
        ('chart = { coordinates = ["w1"], embedding = [1] }', "chart.coordinates", "already"),
        ("[data]\nx = []", "data.x", "expected numbers, got a list"),
        ("[data]\nx = [1, true]", "data.x[2]", "got true"),
        ("[data]\nx = { y = 1 }", "data.x", "got a table"),
        ("[data]\nw1 = 1", "data.w1", "declared already"),
        ('[let]\nb = "c"\nc = "1"', "let.b", "unknown name c"),
        ('penalty = "(1 + w1 + w2 + w1*w2)**64"', "penalty", "at most 2000 terms"),
        ('penalty = "w1**2"', "penalty", "expected terms of size"),
        ("run = 3", "run", "expected a table"),
        ("[run]\nalfa = 1", "run", "did you mean 'alpha'"),
        ("[run]\nalpha = 0", "run.alpha", "expected a positive number, got 0"),
        ("[run]\nalpha = true", "run.alpha", "got true"),
        ("[run]\nalpha = nan", "run.alpha", "expected a finite number, got nan"),
        ("[run]\nsigma = inf", "run.sigma", "expected a finite number, got inf"),
        ("[run]\nsigma = 1e999999999", "run.sigma", "at most 100 digits"),
        ('[run]\ntime = "w1"', "run.time", "unknown name w1"),
        ('[run]\ntime = "exp(1000)"', "run.time", "finite"),
        ("[run]\ntime = [1]", "run.time", "expected a number, got a list"),
        ("[run]\npaths = 0", "run.paths", "an integer from 1"),
        ("[run]\npaths = 1.5", "run.paths", "expected an integer, got 1.5"),
        ("[run]\npaths = true", "run.paths", "expected an integer, got true"),
        ("[run]\nseed = -1", "run.seed", "an integer from 0"),
        (f"[run]\nseed = {10**30}", "run.seed", "an integer from 0"),
        (f"[run]\nseed = 0x{'f' * 300}", "run.seed", "a number of more than 40 digits"),
        ("[run]\nstart = [1]", "run.start", "expected 2 numbers, got 1"),
        ("[run]\nstart = { w1 = 1 }", "run.start", "a value for each of w1, w2"),
        ("[run]\nstart = 1", "run.start", "expected a list, got 1"),
    ],
)
def test_optional_keys_refused(load, lines, key, reason):
    with pytest.raises(ModelFileError, match=reason) as error:
        load(f"{BASE}\n{lines}\n")
    assert error.value.key == key


def test_an_error_says_file_key_line_and_column(load, tmp_path):
    text = BASE.replace('"loss + eta*w1"', '"""\nloss\n  + eta*q"""')
    with pytest.raises(ModelFileError) as error:
        load(text)
    assert error.value.position == (2, 9)
    place = f"{tmp_path / 'model.toml'}: noisy_loss: line 2, column 9: "
    assert str(error.value).startswith(place + "unknown name q; known: w1, w2, eta")


# Hostile files ------------------------------------------------------------------------------------

HOSTILE = {
    "huge": (b"#" * 2**16 + b"\n" + BASE.encode(), "at most 65536 bytes"),
    "UTF-16": (BASE.encode("utf-16"), "expected UTF-8; line 1"),
    "Latin-1": (b"# ok\n# \xe9\n" + BASE.encode(), "expected UTF-8; line 2"),
    "NUL": (BASE.encode() + b"\0", "not TOML: .*line 6"),
    "no TOML": (b"weights: [w1]", "not TOML: .*line 1"),
    "doubled key": (BASE.encode() * 2, "not TOML: Cannot overwrite a value"),
    "deep lists": (b"a = " + b"[" * 60000, "nested too deep"),
    "deep tables": (b"a = " + b"{a=" * 20000, "nested too deep"),
    "long integer": (b"a = " + b"9" * 60000, "thousands of digits"),
    "dotted key": (b".".join([b"a"] * 30000) + b" = 1", "more than 32 parts"),
    "dotted header": (b"[" + b" . ".join([b"a"] * 15000) + b"]", "more than 32 parts"),
    "quoted parts": (b".".join([rb'"\""'] * 12000) + b" = 1", "more than 32 parts"),
    "escapes": (rb'"\"' * 20000, "not TOML"),
    "many tables": (b"\n".join(b"[a%d]" % i for i in range(8000)), "unknown key"),
    "many names": (b"weights = [%s]" % b",".join(b'"w%d"' % i for i in range(7000)), "missing"),
    "much data": (BASE.encode() + b"[data]\nx = [%s, true]" % b",".join([b"1"] * 30000), "true"),
    "laughs": (
        BASE.encode()
        + b"[let]\na0 = 'w1'\n"
        + b"\n".join(b"a%d = 'sin(a%d) + cos(a%d)'" % (i + 1, i, i) for i in range(50)),
        "definitions written out",
    ),
    "many sums": (
        BASE.encode() + b"[let]\n" + b"\n".join(b"a%d='sum(i*w1,i,1,999)'" % i for i in range(99)),
        "operations in this file",
    ),
    "expansion": (
        b'weights = ["w[20]"]\nnoise = ["eta"]\nloss = "sum(w[i], i, 1, 20)**60"\n'
        b'noisy_loss = "sum(w[i], i, 1, 19)**60 + eta"',
        "write it as loss",
    ),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_quickly(load, data, reason):
    begin = time.process_time()
    with pytest.raises(ModelFileError, match=reason) as error:
        load(data)
    assert time.process_time() - begin < SECONDS
    assert len(error.value.reason) < 300


@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files_load_or_give_one_error(load, data):
    text = FULL.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = min(start + data.draw(st.integers(0, 12)), len(text))
        other = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b'"', b"9", b"]", b"*"]))
        )
        text = text[:start] + other + text[stop:]
    try:
        model = load(text)
    except ModelFileError as error:
        assert error.file is not None
    else:
        assert isinstance(model.problem, NoisyGradientDescent)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.toml", "no such file"),
        ("none.py", "no such file"),
        ("model.json", "ends in .toml or .py"),
        ("model", "ends in .toml or .py"),
        ("directory.toml", "expected a file"),
        ("a" * 300 + ".toml", "cannot be read"),
    ],
)
def test_paths_refused(tmp_path, name, reason):
    (tmp_path / "directory.toml").mkdir()
    with pytest.raises(ModelFileError, match=reason) as error:
        load_model(tmp_path / name)
    assert error.value.file == str(tmp_path / name)
    assert isinstance(error.value, DeriveError)


# Python files -------------------------------------------------------------------------------------

PYTHON = """
import time
import sympy as sp
from derive import *
w = sp.symbols("w1 w2", real=True)
eta = sp.Symbol("eta", real=True)
loss = (w[0]**2 + w[1]**2 - 1)**2/4
model = NoisyGradientDescent(loss, loss + eta*w[0], w, eta)
"""


OPTIMIZED = """
weights = ["w1", "w2"]
noise = ["eta"]
parameters = ["b"]
loss = "(w1*w2 - 1)**2 / 2"
noisy_loss = "(w1*w2 - 1 - eta)**2 / 2"
optimizer = OPTIMIZER
"""
G, H, V = *sp.symbols("g h", real=True), sp.Symbol("v", positive=True)
SECOND_MOMENTS = '{ name = "SecondMoments", delta = "alpha**2", gradient = ["g", "h"], of = OF, '
SECOND_MOMENTS += 'averages = ["v"], matrix = [["1/sqrt(v)", 0], [0, "w2**2/sqrt(v)"]] }'
OPTIMIZERS = {
    '"Extragradient"': Extragradient(),
    '{ name = "HeavyBall", beta = "b" }': HeavyBall(sp.Symbol("b", real=True)),
    '{ name = "HeavyBall", beta = "1 - 2*sqrt(alpha)" }': HeavyBall(1 - 2 * sp.sqrt(alpha)),
    '{ name = "Preconditioned", matrix = [["2 + w2", 0.5], [0, 1]] }': Preconditioned(
        [[2 + sp.Symbol("w2", real=True), sp.Rational(1, 2)], [0, 1]]
    ),
    '{ name = "ZerothOrder", directions = "Rademacher" }': ZerothOrder(Rademacher()),
    '{ name = "AdamW", delta = 0.01, window = "fast", decay = "alpha*sigma**2/3" }': AdamW(
        sp.Rational(1, 100), "fast", decay=alpha * sigma**2 / 3
    ),
    SECOND_MOMENTS.replace("OF", '["(g**2 + h**2)/2"]'): SecondMoments(
        alpha**2,
        gradient=(G, H),
        of=[(G**2 + H**2) / 2],
        averages=(V,),
        matrix=sp.diag(1 / sp.sqrt(V), sp.Symbol("w2", real=True) ** 2 / sp.sqrt(V)),
    ),
    '{ name = "LookAhead", steps = 5, weight = 0.5, inner = { name = "HeavyBall", beta = 0.9 } }': (
        LookAhead(5, sp.Rational(1, 2), HeavyBall(sp.Rational(9, 10)))
    ),
}


@pytest.mark.parametrize(("text", "optimizer"), OPTIMIZERS.items())
def test_optimizers(load, text, optimizer):
    assert load(OPTIMIZED.replace("OPTIMIZER", text)).problem.optimizer == optimizer


WRONG_OPTIMIZERS = {
    '"Heavyball"': "expected one of ",
    '{ name = "HeavyBall" }': "'beta' is missing, which HeavyBall needs",
    '{ name = "HeavyBall", beta = 1 }': r"beta: expected a number in \[0, 1\)",
    '{ name = "HeavyBall", beta = 0.9, rho = 1 }': "HeavyBall takes no 'rho'",
    '{ name = "LocalSteps", steps = 0 }': "expected an integer from 1",
    '{ name = "Preconditioned", matrix = [[1, 2]] }': "expected a square matrix",
    "3": "expected the name of an optimizer, or a table",
    SECOND_MOMENTS.replace('"g"', '"w1"').replace("OF", "[1]"): "the name 'w1' is declared already",
    SECOND_MOMENTS.replace("OF", '["g*h*v"]'): "of: expected quadratic forms",
    SECOND_MOMENTS.replace("OF", '["g*h"]').replace("w2**2", "h"): "matrix: expected a function",
    '{ name = "RMSProp", delta = 0.1, window = "quick" }': "window: expected one of",
}


@pytest.mark.parametrize(("text", "reason"), WRONG_OPTIMIZERS.items())
def test_optimizers_refused(load, text, reason):
    with pytest.raises(ModelFileError, match=reason):
        load(OPTIMIZED.replace("OPTIMIZER", text))


def test_an_optimizer_beside_a_mechanism(load):
    text = """
weights = ["w1", "w2"]
loss = "(w1**2 + w2**2 - 1)**2 / 4"
mechanism = "parameter_noise"
optimizer = { name = "Nesterov", beta = 0.5 }
"""
    assert load(text).problem.optimizer == Nesterov(sp.Rational(1, 2))


RULE = """
weights = ["w1", "w2"]
memory = ["m1", "m2"]
noise = ["eta"]
loss = "(w1*w2 - 1)**2 / 2"
near = [1, 1]
let = { g1 = "w2*(w1*w2 - 1 - eta)", g2 = "w1*(w1*w2 - 1 - eta)" }
update = ["w1 - alpha*(m1/2 + g1)", "w2 - alpha*(m2/2 + g2)", "m1/2 + g1", "m2/2 + g2"]
"""


def test_an_update_rule(load):
    rule = load(RULE + "[run]\nstart = [1, 1]\nalpha = 0.1\n").problem
    assert isinstance(rule, UpdateRule)
    problem = load(OPTIMIZED.replace("OPTIMIZER", '{ name = "HeavyBall", beta = 0.5 }')).problem
    by_name = dict(zip(rule_of(problem).memory, rule.memory, strict=True))
    for entry, expected in zip(rule.update, rule_of(problem).update, strict=True):
        assert sp.expand(entry - expected.xreplace(by_name)) == 0


WRONG_RULES = {
    'weights = ["w1", "w2"]': ("", "'weights' is missing"),
    'loss = "(w1*w2 - 1)**2 / 2"': ("", "'constraints' is missing"),
    '"m2/2 + g2"]': ("]", "update: expected 4 expressions"),
    "near = [1, 1]": ('noisy_loss = "w1"', "says nothing about an update rule"),
}


@pytest.mark.parametrize(("old", "change"), WRONG_RULES.items())
def test_update_rules_refused(load, old, change):
    new, reason = change
    with pytest.raises(ModelFileError, match=reason):
        load(RULE.replace(old, new))


def test_memory_belongs_to_a_rule(load):
    text = OPTIMIZED.replace("optimizer = OPTIMIZER", 'memory = ["m"]')
    with pytest.raises(ModelFileError, match="belongs to an update rule"):
        load(text)


def test_a_python_file_defines_model(load):
    model = load(PYTHON, ".py")
    assert model.problem == NoisyGradientDescent(RING, RING + eta * w1, (w1, w2), eta)
    assert model.run is None  # the names alpha, sigma and time are those it imported


def test_a_python_file_may_say_what_to_run(load):
    settings_ = "start = {w[1]: 0.5, w[0]: sp.sqrt(2)}\nalpha = sp.Rational(1, 20)\npaths = 3\n"
    run = load(PYTHON + settings_, ".py").run
    assert run == RunSettings(start=(pytest.approx(2**0.5), 0.5), alpha=0.05, paths=3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1/0", "running it raised ZeroDivisionError: division by zero"),
        ("a b", "running it raised SyntaxError"),
        ("a\0b", "running it raised SyntaxError"),
        ("", "expected it to define `model`"),
        ("model = 3", "expected it to define `model`"),
        (PYTHON + "alpha = -1", "alpha: expected a positive number"),
        (PYTHON + "start = [1]", "start: expected 2 numbers"),
        (PYTHON + "start = None\npaths = 2.0", "paths: expected an integer"),
    ],
)
def test_python_files_refused(load, text, reason):
    with pytest.raises(ModelFileError, match=reason) as error:
        load(text, ".py")
    assert str(error.value).startswith(error.value.file)
