"""Documents of every kind of limit: each symbol is defined, and LaTeX sets them on the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sympy as sp

from derive import DeriveError, derive_limit, document
from derive import __main__ as command
from derive.documents.articles.descent import article
from derive.documents.articles.glossary import COMMON, OF_RULES, definitions, math_of
from derive.documents.document import PARTS
from derive.documents.html import statement_of
from derive.optimizers import HeavyBall, NormalizedSharpnessAware, RMSProp
from tests.derive.display.test_display import MODELS as PRINTED
from tests.derive.display.test_latex import EXAMPLES, compiled, complaints
from tests.derive.symbolic.test_unknown_functions import model as unknown
from tests.project.test_contract import PROBLEMS
from tests.truth.catalogue import CATALOGUE

NAMED = {entry.name: entry.problem for entry in CATALOGUE}
RING = NAMED["linear scalar noise on the uneven ring"]
DROPPED = NAMED["Bernoulli DropConnect on the round ring"]
HALF = sp.Rational(1, 2)


def cycling() -> Any:
    return derive_limit(
        replace(RING, noisy_loss=RING.loss, noise=(), optimizer=NormalizedSharpnessAware())
    )


KINDS: dict[str, Callable[[], Any]] = {
    **{model.__name__: model for model in PRINTED},
    "trivial": lambda: derive_limit(NAMED["parameter noise on the round ring"]),
    "rare jumps": lambda: derive_limit(DROPPED),
    "rare jumps at a step": lambda: derive_limit(DROPPED).at_step(),
    "jump process": lambda: derive_limit(DROPPED).jump_process(sp.Rational(3, 10)),
    "any loss": lambda: derive_limit(unknown("perturbed weights")),
    "any residual": lambda: derive_limit(unknown("label noise")),
    "mean": lambda: derive_limit(PROBLEMS["a mean with noise of each sample"]()),
    "matrices": lambda: derive_limit(PROBLEMS["matrices"]()),
    "heavy ball": lambda: derive_limit(replace(RING, optimizer=HeavyBall(HALF))),
    "heavy ball at a step": lambda: derive_limit(replace(RING, optimizer=HeavyBall(HALF))).at_step(
        sp.Rational(1, 10)
    ),
    "adaptive": lambda: derive_limit(
        replace(RING, optimizer=RMSProp(sp.Rational(1, 500), "constant"))
    ),
    "cycles": cycling,
    "cycles at a step": lambda: cycling().at_step(sp.Rational(1, 10)),
}
QUICK = ("diagonal_net", "frozen_batches", "jump process", "mean", "heavy ball", "cycles")
SOME = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name) for name in KINDS
]
needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")


@cache
def limit_of(name: str) -> Any:
    return KINDS[name]()


@cache
def written(name: str) -> str:
    return document(limit_of(name))


# Symbols -----------------------------------------------------------------------------------------

WRITING = frozenset(
    word
    for words in (
        "frac tfrac dfrac left right big bigl bigr Big Bigl Bigr cdot ldots dots qquad quad begin",
        "end pmatrix text by displaystyle phantom noalign vskip allowbreak ensuremath bar hat dot",
        "mathrm mathbb mathcal operatorname discretionary hbox tau_K pt in ne",
    )
    for word in words.split()
)
"""Commands that say how something is written."""

STANDARD = frozenset(
    word
    for words in (
        "to le ge lt subset sum int sup lim sqrt exp log sin cos tan tanh pm equiv not lfloor",
        "rfloor mapsto longrightarrow leftarrow infty wedge top dim surd max min approx sim colon",
        "d R prime langle rangle tr parallel dt o sign nolimits ll Adam",
    )
    for word in words.split()
)
"""Signs of mathematics that every reader knows; d is that of a differential."""

DEFINED_IN_WORDS = {
    "L": r"(The loss is|loss)",
    "w": r"of the (weights|matrices)",
    "k": r"\bk = 0, 1, 2",
    "eta": r"noise \$\\eta_k\$|with \$\\eta = |noise \$?\\eta",
    "xi": r"independent copies of \$\\xi\$|noise\s+\$\\xi_k\$",
    "alpha": r"step size,? \$\\alpha",
    "sigma": r"(of size|of the order|distance) \$\\sigma\$|\$\\sigma = 1\$ below",
    "S": r"second moments of the noise alone",
    "Gamma": r"Let \$\\Gamma\$ be the piece|zero on\s+\$\\Gamma\$",
    "W": r"let \$W\$ solve|Let \$W\$ be|has the law of \$W",
    "K": r"Let \$K \\subset",
    "tau": r"time \$\\tau_K\$|\$\\tau = ",
    "delta": r"0 < \\delta",
    "T": r"\\delta < T|every \$T > 0\$|T\(z_k, \\xi_k|T\(w, z\) = ",
    "t": r"\\lfloor t|t \\mapsto|gradient flow",
    "p": r"with probability \$?p",
    "C": r"of class \$C",
    "Reg": r"\\formula\{\\mathrm\{Reg\} = ",
    "b": r"dW = b|b_\\alpha = |\\bar b = |b_\\parallel = ",
    "s": r"s\(W\)|\$b\$ and\s+\$s s|scale \$s\$",
    "V": r"-P\\nabla V\$ with|V_\\xi = |V_2 = |\\formula\{V = ",
    "U": r"The penalty is|of the matrices",
    "z": r"the state \$z|\\\$?\\nu\(|\\int",
    "m": r"the memory|points at which \$\\nu\$|\\nu_m",
    "n": r"There are \$n",
    "i": r"the sample \$i\$|\\sum_\{ij\}",
    "j": r"\\sum_\{ij\}",
    "f": r"smooth functions \$f\$|E f\(",
    "g": r"with \$g_z = ",
    "h": r"with \$h = ",
    "x": r"starts at\s+\$x\$|rest at\s+\$x\$",
    "A": r"matri(x|ces) \$A|E A_\\xi|data of the sample",
    "F": r"matri(x|ces) .*\$F\$",
    "M": r"the states with",
    "Y": r"\$Y\$ is",
    "Z": r"Z = 2|Z\$ is the solution",
    "gamma": r"chart \$\\gamma\$|\\gamma_\\beta = |commutator",
    "beta": r"\\gamma_\\beta = |\\beta\$ is the factor",
    "epsilon": r"ε|\\epsilon",
    "D": r"D\^2|D\^3|DT_0|derivative|Skorokhod|D\\Phi",
    "a": r"In the chart",
    "c": r"where \}c",
    "y": r"\$y\$ across|data of the sample",
    "zeta": r"point \$\\zeta\$",
    "v": r"\$v_1\$ is the unit|v is constant|second moment",
    "N": r"dimension",
}
"""Letters that the text defines, and the words that do it."""


def tokens(formulas: str) -> set[str]:
    """Letters and commands of formulas."""
    text = re.sub(r"\\(begin|end)\{\w+\}|\\vskip \w+|\\,|\\;|\\\\", " ", formulas)
    text = re.sub(r"\\(mathrm|operatorname)\{(\w+)\}", r"\\\2 ", text)
    return set(re.findall(r"\\([A-Za-z]+)", text)) | set(
        re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", text))
    )


def of_the_model(limit: Any) -> Iterator[str]:
    """Letters and commands in the names of the model's own symbols and functions."""
    problem = limit.problem
    names = [*problem.weights, *problem.noise, *problem.parameters, *getattr(problem, "memory", ())]
    if getattr(problem, "chart", None):
        names += problem.chart.coordinates
    if getattr(problem, "samples", None):
        names += problem.samples.symbols
    names += [sp.Symbol(name) for name in getattr(problem, "unknowns", ())]
    for name in names:
        yield from tokens(sp.latex(name))


def undefined(limit: Any, tex: str) -> set[str]:
    """Tokens of the formulas of a document for which it has no definition."""
    body = tex.partition(r"\maketitle")[2].partition(r"\end{document}")[0]
    used = tokens(math_of(body)) - WRITING - STANDARD - set(of_the_model(limit))
    by_letter = {
        token
        for letter in article(limit).letters
        if letter.definition in body
        for name in letter.tokens
        for token in tokens("\\" + name if len(name) > 1 else name)
    }
    in_words = {t for t, words in DEFINED_IN_WORDS.items() if re.search(words, body)}
    return used - by_letter - in_words


@pytest.mark.parametrize("name", SOME)
def test_each_symbol_is_defined(name: str) -> None:
    assert undefined(limit_of(name), written(name)) == set()


def test_a_symbol_without_definition_is_found() -> None:
    tex = written("diagonal_net")
    for lost in (r"$H^+$ is the pseudo-inverse of $H$", r"$Q = I - P$"):
        assert lost in tex
    assert undefined(limit_of("diagonal_net"), tex.replace(r"let $W$ solve", "")) == {"W"}
    assert "Q" in undefined(limit_of("diagonal_net"), tex.replace(r"$Q = I - P$", ""))
    extra = tex.replace(r"\begin{theorem}", r"\begin{theorem} $\Xi = 0$")
    assert undefined(limit_of("diagonal_net"), extra) == {"Xi"}


@pytest.mark.parametrize("name", SOME)
def test_each_letter_is_defined_once(name: str) -> None:
    tex = written(name)
    rows = re.findall(r"\\item (.*?);?\n", tex.partition("Notation:")[2].partition("end{item")[0])
    assert len(rows) == len(set(rows))
    for letter in (*COMMON, *OF_RULES):
        assert tex.count(letter.definition) <= 1


def test_definitions_bring_those_of_their_own_letters() -> None:
    found = {token for letter in definitions(r"V_2") for token in letter.tokens}
    assert {"V", "Reg", "H", "nabla"} <= found
    assert definitions("x + y") == ()


# What is said ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOME)
def test_what_holds_not_everywhere_is_not_said_to(name: str) -> None:
    tex = written(name)
    assert r"\ne 0" not in tex
    assert "CONTRADICTS" not in tex
    assert "checked}:" not in tex
    assert tex.isascii()
    assert "$?$" not in tex
    for environment in ("theorem", "formal", "proof", "enumerate", "remark"):
        assert tex.count(rf"\begin{{{environment}}}") == tex.count(rf"\end{{{environment}}}")


def test_a_theorem_says_what_converges_how_and_until_when() -> None:
    part = document(limit_of("ellipse"), part="theorem")
    for said in (
        r"P\nabla\mathrm{Reg} \equiv 0$ and $P\Sigma P \not\equiv 0$",
        r"W(0) = \Phi(w_0)",
        r"converges in law",
        r"\lfloor t / (\alpha^{2} \sigma^{2}) \rfloor",
        r"\tau_K",
    ):
        assert said in part, said
    flow = document(limit_of("ring_in_a_chart"), part="theorem")
    assert r"P\nabla\mathrm{Reg} \not\equiv 0" in flow
    assert r"in probability" in flow


FORMAL = {
    "third_scale": "formal",
    "diagonal_net": "theorem",
    "next_order": "formal",
    "rare jumps at a step": "formal",
    "jump process": "theorem",
}


@pytest.mark.parametrize(
    "name",
    [*list(FORMAL)[:2], *(pytest.param(n, marks=pytest.mark.slow) for n in list(FORMAL)[2:])],
)
def test_what_no_theorem_covers_is_called_formal(name: str) -> None:
    assert rf"\begin{{{FORMAL[name]}}}" in document(limit_of(name), part="theorem")


def test_hypotheses_say_what_they_rest_on() -> None:
    part = document(limit_of("diagonal_net"), part="hypotheses")
    for standing in ("proved", "sampled", "assumed"):
        assert rf"\emph{{{standing}}}" in part
    assert "checked}" not in part


# Fragments ---------------------------------------------------------------------------------------


def test_fragments_are_parts_of_the_document() -> None:
    whole = written("diagonal_net")
    for part in ("setting", "hypotheses", "theorem", "proof"):
        assert document(limit_of("diagonal_net"), part=part).strip() in whole
    row = document(limit_of("diagonal_net"), part="row").strip()
    assert row.count(" & ") == 2
    assert row.endswith(r"\\")
    with pytest.raises(DeriveError, match="part: expected one of preamble, setting"):
        document(limit_of("diagonal_net"), part="abstract")


ENDS = re.compile(r"\\emph\{(\w+)\}: \$w_\{1\} = (\S+),.*? rate \$(\S+)\$ per unit of slow time")


def ends_in(tex: str) -> list[tuple[str, float, float]]:
    """Stability, w₁ and rate of each equilibrium in a document."""
    return [(kind, float(x), float(rate)) for kind, x, rate in ENDS.findall(tex)]


def test_end_states_in_a_remark() -> None:
    """θ' = −∂V on the ring with V = ¼ log(2 + cos θ): V″ = 1/4 at π, −1/12 at 0."""
    limit = derive_limit(RING)
    states = limit.end_states()
    expected = [("stable", -1, 1 / 4), ("repelling", 1, pytest.approx(1 / 12, 1e-5))]
    assert ends_in(document(limit, part="remarks", end_states=states)) == expected
    assert ends_in(document(limit, part="remarks")) == []
    theta = {RING.weights[0]: r"\theta"}
    named = document(limit, theta, "remarks", states)
    assert r"\emph{stable}: $\theta = -1.0" in named
    against = tuple(
        replace(e, eigenvalues=tuple(-x for x in e.eigenvalues)) for e in states.equilibria
    )
    flipped = replace(states, equilibria=against)
    assert ends_in(document(limit, part="remarks", end_states=flipped)) != expected


@needs_pdflatex
def test_a_document_with_end_states_is_set_on_the_page(tmp_path: Path) -> None:
    limit = derive_limit(RING)
    tex = document(limit, end_states=limit.end_states([(-1, 0)]))
    assert undefined(limit, tex) == set()
    assert complaints(compiled(tex, tmp_path)) == []


def test_the_command_writes_a_fragment(tmp_path: Path) -> None:
    target = tmp_path / "theorem.tex"
    arguments = [str(EXAMPLES / "ring.toml"), "--latex", str(target), "--part", "theorem"]
    assert command.main(arguments) == 0
    assert target.read_text().startswith(r"\begin{theorem}")
    with pytest.raises(SystemExit):
        command.main([str(EXAMPLES / "ring.toml"), "--part", "theorem"])


@needs_pdflatex
def test_fragments_can_be_read_by_a_paper(tmp_path: Path) -> None:
    for part in PARTS:
        text = document(limit_of("diagonal_net"), part=part)
        (tmp_path / f"{part}.tex").write_text(text, encoding="ascii")
    inputs = "\n".join(rf"\input{{{p}}}" for p in PARTS if p not in ("preamble", "row"))
    paper = (
        "\\documentclass{article}\\input{preamble}\\begin{document}\\raggedright\n"
        + inputs.replace(r"\input{proof}", r"\input{proof}\nocite{*}")
        + "\\begin{tabular}{lll}\\input{row}\\end{tabular}\\end{document}"
    )
    log = compiled(paper, tmp_path)
    assert not [
        line for line in complaints(log) if "Citation" not in line and "undefined" not in line
    ]


@needs_pdflatex
@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_documents_are_set_on_the_page(name: str, tmp_path: Path) -> None:
    assert complaints(compiled(written(name), tmp_path)) == []


# HTML --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOME)
def test_the_same_is_said_on_a_page(name: str) -> None:
    page = statement_of(limit_of(name))
    assert "\\" not in page
    assert "$" not in page
    kind = "Formal limit" if r"\begin{formal}" in written(name) else "Theorem"
    assert f"<strong>{kind}.</strong>" in page
    hypotheses = document(limit_of(name), part="hypotheses").count(r"\item")
    assert page.partition("<ol>")[2].count("<li>") == hypotheses
