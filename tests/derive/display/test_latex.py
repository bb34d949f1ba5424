"""LaTeX of a limit: what it says, and that it fits on a page."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Independent,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    alpha,
    sigma,
)
from derive import __main__ as command
from derive.display.latex_layout import LINE, PREAMBLE, Page, _abbreviated, glyphs
from derive.display.notation import Equality, Notation, phrase, portable
from derive.documents.document import bibtex, document
from derive.documents.references import REFERENCES
from derive.files.models.model_file import load_model
from tests.truth.catalogue import CATALOGUE, PAIR_LOSS, PAIR_NOISY
from tests.truth.fields import derived

EXAMPLES = Path(__file__).parents[3] / "worked_examples"
w1, w2, w3, w4 = FOUR = sp.symbols("w1:5", real=True)
n1, n2 = sp.symbols("eta1:3", real=True)
NAMED = {entry.name: entry.problem for entry in CATALOGUE}
SHOWN = (
    "parameter noise on the uneven ring",
    "Bernoulli DropConnect on the hyperbola",
    "linear scalar noise on the uneven ring",
)
needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-recommended)"
)


def ring() -> Limit:
    return derived(load_model(EXAMPLES / "ring.toml").problem)


def compiled(tex: str, folder: Path) -> str:
    """The log of pdflatex, run twice."""
    (folder / "limit.tex").write_text(tex, encoding="ascii")
    for _ in range(2):
        run = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "limit.tex"],
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=60,
        )
    log = run.stdout.decode("latin-1")
    assert run.returncode == 0, log[-2000:]
    return log


def complaints(log: str) -> list[str]:
    return [line for line in log.splitlines() if re.search("Overfull|Underfull|Warning", line)]


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("P∇Reg = 0 on Γ", r"$P\nabla \mathrm{Reg} = 0$ on $\Gamma$"),
        ("L̂(w, 0) = L(w): yes", r"$\hat L (w, 0) = L(w)$: yes"),
        ("H⁻¹ and α → 0 (σ/α → 0)", r"$H^{-1}$ and $\alpha \to 0$ $(\sigma /\alpha \to 0$)"),
        ("a w_1 of 50%, A & B", r"a w\_1 of 50\%, A \& B"),
        ("Itô, θ₂", r"It\text{\^{o}}, $\ensuremath{\theta}_{2}$"),
        ("日", "$?$"),
    ],
)  # fmt: skip
def test_words_become_latex(text: str, tex: str) -> None:
    assert phrase(text) == tex


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("θ", r"\ensuremath{\theta}"),
        ("ΘΓ", r"\ensuremath{\Theta}\ensuremath{\Gamma}"),
        ("größe_x", r"gr\text{\"{o}}?e_x"),
        (r"\alpha^2", r"\alpha^2"),
    ],
)
def test_letters_beyond_ascii_have_commands(text: str, tex: str) -> None:
    assert portable(text) == tex


@pytest.mark.parametrize("name", SHOWN)
def test_document_is_whole(name: str) -> None:
    tex = document(derived(NAMED[name]))
    assert tex.isascii()
    body, _, entries = tex.partition("\\end{document}")
    assert body.count("{") == body.count("}")
    environments = [re.findall(rf"\\{mark}\{{(\w+)", tex) for mark in ("begin", "end")]
    assert Counter(environments[0]) == Counter(environments[1])
    sections = re.findall(r"\\section\{(.*)\}", body)
    assert [s for s in sections if s != "Remarks"] == [
        "Setting",
        "Hypotheses",
        "Result",
        "What was proved",
    ]
    cited = set(re.findall(r"\\cite\{(\w+)\}", body))
    assert cited == set(re.findall(r"\\bibitem\{(\w+)\}", body))
    assert cited
    assert {r.key for r in REFERENCES} == set(re.findall(r"@\w+\{(\w+),", entries)) >= cited
    assert bibtex() in entries


def test_document_says_what_the_limit_is() -> None:
    tex = document(ring())
    for statement in (
        r"$P D^2\Phi[\Sigma] \not\equiv 0$ on $\Gamma$",
        r"w_{\lfloor t / (\alpha^{2} \sigma^{2}) \rfloor} - W(t)",
        r"dW = \tfrac{1}{2}D^2\Phi[\Sigma]\,dt, \qquad W(0) = \Phi(w_0).",
        r"V = \frac{\log{\left(2 \left(w_{1} + 2\right) \right)}}{4}",
        r"a = \begin{pmatrix}\dfrac{\sin{\left(\theta \right)}}",
        r"\emph{third scale} nothing moves",
        r"\emph{assumed}",
    ):
        assert statement in tex, statement


@pytest.mark.parametrize("write", [Limit.latex, document])
def test_symbols_are_renamed_everywhere(write) -> None:
    limit = ring()
    u, v = limit.problem.weights
    (theta,) = limit.problem.chart.coordinates
    tex = write(limit, names={u: r"\theta_1", v: r"\theta_2", theta: r"\varphi"})
    assert r"\theta_1" in tex
    assert r"\varphi" in tex
    assert not re.search(r"w_\{?[12]|\\theta(?!_)", tex)


def test_laws_in_words() -> None:
    noisy = (w1 + w2 - 1 - n1) ** 2 * (1 + n2) / 2
    loss = (w1 + w2 - 1) ** 2 / 2
    laws = {
        Independent({n1: Bernoulli(), n2: Minibatch(1, 1)}): ["dropout", "batches of $1$"],
        CustomLaw([[2, 0], [0, 0]], [((1, 0), 3)]): ["jumps at $1$", r"\nu(\{z\}) = 3"],
    }
    for law, expected in laws.items():
        problem = NoisyGradientDescent(loss, noisy, (w1, w2), (n1, n2), law)
        tex = derived(problem).explain().latex()
        assert all(words in tex for words in expected), tex


def test_penalty_is_stated() -> None:
    loss = (w1**2 + w2**2 - 1) ** 2
    given = (loss, loss + n1 * (w1**2 + w2**2 - 1), (w1, w2), n1)
    limit = derived(NoisyGradientDescent(*given, penalty=alpha * sigma**2 * w1**2))
    assert "penalty         U = alpha*sigma**2*w1**2" in str(limit)
    assert r"U = \alpha \sigma^{2} w_{1}^{2}" in document(limit)


WIDE = {
    "sum": sp.Add(*(k * w1**k * sp.sin(k * w2) for k in range(1, 25))),
    "fraction": sp.Add(*(w1**k for k in range(30))) / sp.Add(*(w2**k for k in range(1, 30))),
    "product": sp.Mul(*((w1 + k) for k in range(1, 30))) / 7,
    "root": 1 / sp.sqrt(sp.Add(*(w1**k * w2 for k in range(30)))),
    "power": -(sp.tanh(sp.Add(*(w1**k for k in range(30)))) ** 2) / 3,
    "exponential": sp.exp(-sp.Add(*(w2**k for k in range(30)))) ** 2 * w1,
    "nested": sp.log(1 + sp.exp(sp.Add(*(sp.cos(k * w1 / w2) ** 3 for k in range(1, 20))))),
    "larger": sp.Max(w1, sp.Add(*(w2**k for k in range(1, 30)))),
    "modulus": sp.Abs(sp.Add(*(w2**k * w1 for k in range(1, 30)))),
    "number": sp.Integer(7) ** 150 + w1,
    "row": sp.Matrix(1, 14, [w1**k for k in range(14)]),
    "column": sp.Matrix(20, 1, lambda i, _: w1**i - w2),
    "symmetric": sp.Matrix(3, 3, lambda i, j: sp.Add(*(w1**k * w2 ** (i + j) for k in range(9)))),
}


@pytest.mark.parametrize("name", WIDE)
def test_abbreviations_stand_for_what_they_replace(name: str) -> None:
    definitions, value = _abbreviated(WIDE[name])
    for symbol, expression in reversed(definitions.items()):
        value = value.xreplace({symbol: expression})
    assert sp.expand(value - WIDE[name]) == sp.expand(0 * WIDE[name])


def test_short_formulas_are_left_alone() -> None:
    (line,) = Page().equation(Equality("V", w1**2 / (1 + w2)))
    assert line == f"V = {sp.latex(w1**2 / (1 + w2))}"
    assert glyphs(line) < LINE


def test_abbreviations_avoid_the_letters_of_the_problem() -> None:
    assert Page.of({}, sp.symbols("w1 c2 q")).letter == "h"
    assert Page.of({w1: "c"}, FOUR).letter == "q"


def test_what_is_too_long_is_said_to_be() -> None:
    long = sp.Add(*(w1**k * w2 for k in range(1, 1000)))
    (line,) = Page().equation(Equality("V", long))
    assert "not printed" in line
    assert Notation().line([Equality("V", long)]) == r"V = \ldots"


@needs_pdflatex
def test_wide_formulas_stay_on_the_page(tmp_path: Path) -> None:
    rows = "\n".join(Page().statement(k, [Equality("X", v)]) for k, v in WIDE.items())
    tex = f"\\documentclass{{article}}{PREAMBLE}\\begin{{document}}{rows}\\end{{document}}"
    assert complaints(compiled(tex, tmp_path)) == []


@needs_pdflatex
@pytest.mark.parametrize("model", ["ring.toml", "ellipse.py"])
def test_document_compiles(model: str, tmp_path: Path) -> None:
    limit = derived(load_model(EXAMPLES / model).problem)
    assert complaints(compiled(document(limit), tmp_path)) == []


@needs_pdflatex
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_every_document_compiles(name: str, tmp_path: Path) -> None:
    assert complaints(compiled(document(derived(NAMED[name])), tmp_path)) == []


@pytest.mark.slow
def test_document_of_a_net_is_bounded() -> None:
    limit = derived(NoisyGradientDescent(PAIR_LOSS, PAIR_NOISY, FOUR, (n1, n2), near=(2, 1, -1, 2)))
    assert len(document(limit)) < 20_000


def test_command_writes_a_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "ring.tex"
    target.write_text("older")
    target.chmod(0o640)
    assert command.main([str(EXAMPLES / "ring.toml"), "--latex", str(target)]) == 0
    assert target.read_text().startswith("\\documentclass")
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]
    assert f"LaTeX: {target}" in capsys.readouterr().out


def test_command_names_the_folder_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "none" / "ring.tex"
    assert command.main([str(EXAMPLES / "ring.toml"), "--latex", str(target)]) == 2
    assert str(target.parent) in capsys.readouterr().err
