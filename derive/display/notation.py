"""The parts of a statement, and how each is written in LaTeX.

A statement is made of words, of formulas in the theory's letters, of prose in LaTeX, and of
equations whose value is an expression. `Notation` writes them in one line, for a formula block;
`derive.display.latex_layout` lays the same parts out on a page.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

READABLE_OPERATIONS = 250
"""Operations up to which an expression is shown in full in a line."""


@dataclass(frozen=True)
class Words:
    """A phrase, with formulas in the theory's letters in it."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A short formula: LaTeX, with expressions between its pieces."""

    pieces: tuple[str | sp.Basic, ...]


@dataclass(frozen=True)
class Equality:
    """An equation whose value, an expression or a matrix, may be long.

    Attributes
    ----------
    left : str
        LaTeX of the side in front, a single letter where the value is a matrix; it may be empty.
    value : Expr or Matrix
        What it is equal to.
    right : str
        LaTeX of what follows the value.
    """

    left: str
    value: Any
    right: str = ""


@dataclass(frozen=True)
class Prose:
    """A phrase in LaTeX, with its formulas between dollar signs."""

    latex: str


Part = Words | Formula | Equality | Prose


@dataclass(frozen=True)
class Notation:
    """How symbols are written, and parts of a statement in one line of mathematics.

    Attributes
    ----------
    names : mapping of Symbol to str
        LaTeX of symbols that shall not be written by their names.
    """

    names: Mapping[sp.Symbol, str] = field(default_factory=dict)

    def tex(self, item: Any) -> str:
        """LaTeX of an expression or a matrix."""
        return portable(sp.latex(item, symbol_names=dict(self.names)))

    def formula(self, formula: Formula) -> str:
        """A short formula in mathematics mode."""
        return "".join(p if isinstance(p, str) else self.tex(p) for p in formula.pieces)

    def line(self, parts: Iterable[Part]) -> str:
        """Parts of a statement in mathematics mode; what is too long to read is left out."""
        return r",\; ".join(map(self._part, parts))

    def _part(self, part: Part) -> str:
        if isinstance(part, Words):
            return rf"\text{{{phrase(part.text)}}}"
        if isinstance(part, Prose):
            return rf"\text{{{part.latex}}}"
        if isinstance(part, Formula):
            return self.formula(part)
        value = r"\ldots" if is_too_long(part.value) else self.tex(part.value)
        return (f"{part.left} = {value}" if part.left else value) + part.right


def entries_of(item: Any) -> list[sp.Expr]:
    """The entries of a matrix, or the expression itself."""
    return list(item) if isinstance(item, sp.MatrixBase) else [item]


def is_longer(item: Any, nodes: int) -> bool:
    """Whether an expression or a matrix has more nodes; walks no further than it takes to know."""
    walk = itertools.chain.from_iterable(map(sp.preorder_traversal, entries_of(item)))
    return next(itertools.islice(walk, nodes, None), None) is not None


def is_too_long(item: Any) -> bool:
    """Whether an expression or a matrix is too long to be read in a line."""
    if is_longer(item, 20 * READABLE_OPERATIONS):
        return True
    return bool(sum(x.count_ops() for x in entries_of(item)) > READABLE_OPERATIONS)


def phrase(text: str) -> str:
    """Words with formulas in the theory's letters, such as P∇Reg = 0 on Γ, as LaTeX text."""
    words = []
    for word in _WORD.findall(text):
        core = word.rstrip(",;:.?" if "(" in word else ",;:.?)")
        tail = word[len(core) :]
        is_formula = _FORMULA.search(core)
        core = f"${letters(core)}$" if is_formula else _SPECIAL.sub(r"\\\g<0>", core)
        words.append(core + tail)
    return portable(re.sub(r"\$ \$(?!\()", " ", " ".join(words)))


def capitalised(text: str) -> str:
    """A phrase that begins like a sentence, unless it begins with a formula."""
    first = text.partition(" ")[0]
    is_word = first.isascii() and first.isalpha() and len(first) > 1
    return text[:1].upper() + text[1:] if is_word else text


def letters(formula: str) -> str:
    """A formula typed in the theory's letters as LaTeX mathematics."""
    formula = _INDEX.sub(r"_{\\mathrm{\1}}", formula)
    formula = _ONE.sub("10^{\\1\\2}", formula)
    formula = _POWER.sub(r"·10^{\1\2}", formula)
    formula = _RAISED.sub(lambda run: f"^{{{run[0].translate(_PLAIN)}}}", formula)
    formula = _LOWERED.sub(lambda run: f"_{{{run[0].translate(_PLAIN)}}}", formula)
    return _LETTER.sub(lambda letter: _LETTERS[letter[0]] + " ", formula).strip()


def portable(tex: str) -> str:
    """LaTeX in ASCII, which every engine reads: Greek letters and accents by their commands."""
    return tex if tex.isascii() else "".join(c if c.isascii() else _command(c) for c in tex)


def _command(character: str) -> str:
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
    if greek:
        name = greek[2].lower()
        return rf"\ensuremath{{\{name if greek[1] == 'SMALL' else name.title()}}}"
    for run, sign in ((_LOWERED, "_"), (_RAISED, "^")):
        if run.fullmatch(character):
            return rf"\ensuremath{{{{}}{sign}{{{character.translate(_PLAIN)}}}}}"
    decomposed = unicodedata.normalize("NFD", character)
    base, accent = decomposed[:1], _ACCENTS.get(decomposed[1:])
    return rf"\text{{{accent}{{{base}}}}}" if accent and base.isascii() else "?"


_LETTERS = {
    "L̂": r"\hat L",
    "Reg": r"\mathrm{Reg}",
    "sym": r"\mathrm{sym}",
    "log": r"\log",
    "det": r"\det",
    "½": r"\tfrac{1}{2}",
    "¼": r"\tfrac{1}{4}",
    "∇": r"\nabla",
    "∂": r"\partial",
    "∫": r"\int",
    "√": r"\surd",
    "≠": r"\ne",
    "≢": r"\not\equiv",
    "≥": r"\ge",
    "≤": r"\le",
    "→": r"\to",
    "±": r"\pm",
    "−": "-",
    "·": r"\cdot",
    "∘": r"\circ",
    "∞": r"\infty",
    "Γ": r"\Gamma",
    "Δ": r"\Delta",
    "Φ": r"\Phi",
    "Σ": r"\Sigma",
    "α": r"\alpha",
    "β": r"\beta",
    "γ": r"\gamma",
    "η": r"\eta",
    "ζ": r"\zeta",
    "κ": r"\kappa",
    "λ": r"\lambda",
    "ν": r"\nu",
    "σ": r"\sigma",
    "ξ": r"\xi",
    "τ": r"\tau",
    "Θ": r"\Theta",
    "ℒ": r"\mathcal{L}",
    "𝓜": r"\mathcal{M}",
    "≡": r"\equiv",
    "∈": r"\in",
    "×": r"\times",
    "~": r"\sim",
    "⟨": r"\langle",
    "≪": r"\ll",
    "Ω": r"\Omega",
    "μ": r"\mu",
    "δ": r"\delta",
    "ε": r"\varepsilon",
    "⟩": r"\rangle",
    "…": r"\ldots",
}
_INDEX = re.compile(r"_([A-Z][a-z]{2,})")
_ONE = re.compile(r"(?<![\d.])1e(-?)0*(\d+)")
_POWER = re.compile(r"(?<=\d)e(-?)0*(\d+)")
_LETTER = re.compile("|".join(_LETTERS))
_RAISED = re.compile("[⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹ᵀ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊]+")
_PLAIN = str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉₊", "-+01234567890123456789+") | {ord("ᵀ"): r"\top"}
_WORD = re.compile(r"[^\s(]+\([^()]*\)\S*|\S+")
"""A word; the blanks between arguments, as in L̂(w, 0), do not end it."""

_FORMULA = re.compile(
    r"[^\x00-\xFF]|[½¼±·²³¹]|^[-+=<>/~]$|^-?[\d.]+(e-?\d+)?(/[\d.]+)?$|^[C-Zb-z]$|^[A-Z]\(|^Reg$|^[HPQX]{2,4}$|^[a-z]_[A-Z][a-z]+$"
)
"""What makes a word a formula: a letter of the theory, an operator, a number, a single letter."""

_SPECIAL = re.compile(r"[#$%&_{}]")
_ACCENTS = {"\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0308": r"\""}
