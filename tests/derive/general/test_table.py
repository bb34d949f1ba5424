"""The general table: what it says, and its three forms."""

import re
import time
from functools import cache

import pytest

from derive.__main__ import main
from derive.display.notation import capitalised
from derive.errors import ProblemError
from derive.general.table import COLUMNS, MECHANISMS, table

SAID = {
    "parameter noise": "dW = −P∇( ½ ΔL ) dt",
    "correlated parameter noise": "dW = −P∇( ½ C:∇²L ) dt",
    "DropConnect, Gaussian": "dW = −P∇( ½ Σ_i w_i² ∂_i²L ) dt",
    "DropConnect, Bernoulli": "dW = −P∇( Σ_i L|[w_i → 0] ) dt",
    "noise of given amplitudes": "dW = −P∇( ½ Σ_i a_i² ∂_i²L ) dt",
    "random rotation": "dW = −P∇( ½ |w|² ΔL − ½ wᵀ∇²Lw ) dt",
    "input noise": "dW = −P∇( (1/2n) Σ_s |∇_xh(x_s)|² ) dt",
    "label noise": "dW = −P∇( (1/n²) Σ_s |∇h_s|² ) dt",
    "minibatches": "dW = 0",
    "additive noise": "dW = P ∘ dB − ¼ P∇ log det₊H dt",
    "a linear amplitude": "dW = PS dB + ½ D²Φ[Σ] dt",
}


def test_the_papers_statements_are_derived_in_seconds() -> None:
    begin = time.process_time()
    text = table("text")
    assert time.process_time() - begin < 5
    paragraphs = {p.split("  ")[-1]: p for p in re.findall(r"(mechanism .*)", text)}
    assert len(paragraphs) == len(MECHANISMS)
    for name, equation in SAID.items():
        after = text.split(f"  {name}\n")[1].split("\n\n")[0]
        assert equation in after, after


def test_each_mechanism_is_derived_in_seconds() -> None:
    """A run with -s prints them."""
    for mechanism in MECHANISMS:
        begin = time.process_time()
        text = str(mechanism.derive())
        seconds = time.process_time() - begin
        print(f"\n{mechanism.name}, {seconds:.2f} s\n{text}")
        assert seconds < 5


shown = cache(table)


@pytest.mark.parametrize("name", [m.name for m in MECHANISMS])
def test_every_form_has_every_row(name: str) -> None:
    title = capitalised(name)
    assert f"<h2>{title}</h2>" in shown("html")
    assert rf"\mechanism{{{title}}}" in shown("latex")


def test_latex_is_ascii_and_balanced() -> None:
    text = shown("latex")
    assert text.isascii()
    assert text.count("{") == text.count("}")
    assert text.count("\nclass & ") == len(MECHANISMS)


def test_pages_hold_mathematics_and_no_latex() -> None:
    text = shown("html")
    assert text.count("<th scope") == len(MECHANISMS) * (len(COLUMNS) - 1)
    assert "$" not in text
    assert "\\" not in text.split("</style>")[1]


def test_a_limit_prints_itself() -> None:
    limit = next(m for m in MECHANISMS if m.name == "label noise").derive()
    assert "deterministic" in str(limit)
    assert r"\frac{1}{n^{2}} \sum_{s} \lvert \nabla h_{s}\rvert^{2}" in limit.latex()


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table", "text"]) == 0
    assert "½ C:∇²L" in capsys.readouterr().out


def test_other_forms_are_refused() -> None:
    with pytest.raises(ProblemError, match="'word'"):
        table("word")
