r"""Statements laid out on a page of LaTeX, on which nothing runs over the margin.

A short formula is written as usual. A wide one is written without boxes that TeX cannot break:
a wide fraction as N/D, a wide root as a power, wide brackets of fixed size, and between factors the
leave to break the line. Subexpressions that recur in a long one are abbreviated by letters, and a
matrix that is too wide is given by its entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.function import Application
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from ..symbolic.unknown_functions import Unknown
from .notation import (
    Equality,
    Formula,
    Notation,
    Part,
    Prose,
    Words,
    capitalised,
    entries_of,
    is_longer,
    phrase,
    portable,
)

LINE = 48
"""Glyphs that surely fit in a line, with what stands in front of a formula."""

ABBREVIATED_FROM = 60
"""Operations from which on recurring subexpressions are abbreviated."""

DEFINED_FROM = 4
"""Operations from which on a recurring subexpression is worth a letter."""

PRINTED_NODES = 1500
"""Nodes, abbreviations counted once, up to which an expression is printed at all."""

MATRIX_ROWS = 10
"""Rows up to which a matrix is printed as one."""

COMMANDS = r"""
\usepackage{amsmath,amssymb,amsthm}
\newcommand{\about}[1]{\par\smallskip\noindent\emph{#1:}}
\newcommand{\remarked}[1]{\par{\footnotesize\raggedright\leftskip=1.5em\noindent[#1]\par}}
\newcommand{\by}{\discretionary{\hbox{$\,\cdot$}}{}{}}
\newcommand{\formula}[1]{\par{\raggedright\leftskip=1.5em\hangindent=1.5em\hangafter=1\noindent
  \lineskiplimit=3pt\lineskip=5pt $\displaystyle #1$\par}}
""".strip()
"""The packages and commands that statements are written with."""

PREAMBLE = (
    COMMANDS
    + r"""
\usepackage[margin=25mm]{geometry}
\raggedright
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt plus 2pt}
""".rstrip()
)
"""What a document needs in its preamble for the commands used here."""


@dataclass(frozen=True)
class Page(Notation):
    """Lays out parts of statements as paragraphs.

    Attributes
    ----------
    letter : str
        LaTeX of the letter whose numbered kin abbreviate subexpressions.
    """

    letter: str = "c"

    @classmethod
    def of(cls, names: Mapping[sp.Symbol, str], symbols: Iterable[sp.Symbol]) -> Page:
        """A page whose abbreviations look like none of the symbols."""
        taken = {name[:1] for name in (*map(str, symbols), *names.values())}
        free = (letter for letter in "cqhgp" if letter not in taken)
        return cls(names, next(free, r"\varkappa"))

    def statement(self, label: str, parts: Iterable[Part]) -> str:
        """A statement as LaTeX paragraphs: words and short formulas run in, equations apart."""
        return rf"\about{{{phrase(capitalised(label))}}}" + self._run_in(parts)

    def paragraph(self, parts: Iterable[Part]) -> str:
        """Parts as one LaTeX paragraph: words and short formulas run in, equations apart."""
        return self._run_in(parts).strip()

    def _run_in(self, parts: Iterable[Part]) -> str:
        text = ""
        previous: Part = Words("")
        for part in parts:
            if isinstance(part, Equality):
                text += "".join(f"\n\\formula{{{line}}}" for line in self.equation(part))
            elif isinstance(part, Formula):
                comma = "," if isinstance(previous, Formula) else ""
                text += f"{comma} ${self.formula(part)}$"
            elif isinstance(part, Prose):
                tight = part.latex[:1] in ",.;:)"
                text += part.latex if tight else f" {part.latex}"
            else:
                text += f" {phrase(part.text)}"
            previous = part
        return text

    def cell(self, parts: Iterable[Part]) -> str:
        """Parts in one line of text, for a cell of a table."""
        written = (self._in_line(part) for part in parts)
        return " ".join(written)

    def _in_line(self, part: Part) -> str:
        if isinstance(part, Prose):
            return part.latex
        return phrase(part.text) if isinstance(part, Words) else f"${self.line((part,))}$"

    def equation(self, part: Equality) -> Iterator[str]:
        """An equation in one or more formulas."""
        if is_longer(part.value, 6 * PRINTED_NODES):
            yield self._unprinted(part)
            return
        definitions, value = _abbreviated(part.value)
        if is_longer(sp.Matrix([*entries_of(value), *definitions.values()]), PRINTED_NODES):
            yield self._unprinted(part)
            return
        letters = {s: f"{self.letter}_{{{i}}}" for i, s in enumerate(definitions, start=1)}
        printer = _Breakable({"symbol_names": {**self.names, **letters}})
        yield from self._written(part, value, printer)
        for number, (symbol, expression) in enumerate(definitions.items()):
            where = r"\text{where }" if number == 0 else r"\phantom{\text{where }}"
            yield f"{where}{letters[symbol]} = {printer.doprint(expression)}"

    def _written(self, part: Equality, value: Any, printer: _Breakable) -> Iterator[str]:
        left = f"{part.left} = " if part.left else ""
        if not isinstance(value, sp.MatrixBase):
            yield left + printer.doprint(value) + part.right
            return
        rows = [[printer.doprint(x) for x in row] for row in value.tolist()]
        columns = zip(*rows, strict=True)
        wide = sum(1 + max(map(glyphs, column)) for column in columns) + glyphs(left)
        if wide <= LINE and len(rows) <= MATRIX_ROWS:
            # \\[4pt] would be swallowed by the depth of a fraction.
            has_fractions = r"\frac" in "".join(map("".join, rows))
            space = r"\noalign{\vskip 7pt}" if has_fractions else ""
            body = rf" \\{space} ".join(" & ".join(row) for row in rows)
            body = body.replace(r"\frac", r"\dfrac")
            yield rf"{left}\begin{{pmatrix}}{body}\end{{pmatrix}}{part.right}"
            return
        yield from self._entries(part.left, value, rows)

    def _entries(self, left: str, value: Any, rows: list[list[str]]) -> Iterator[str]:
        """A matrix by its entries that are not zero, each once."""
        symmetric = value.is_symmetric() if value.rows == value.cols else False
        for i, row in enumerate(rows):
            for j, text in enumerate(row):
                if value[i, j] == 0 or (symmetric and j < i):
                    continue
                index = str(i + 1) if value.cols == 1 else f"{i + 1},{j + 1}"
                twin = f" = {left}_{{{j + 1},{i + 1}}}" if symmetric and i != j else ""
                yield f"{left}_{{{index}}}{twin} = {text}"
        if any(x == 0 for x in value):
            yield r"\text{all other entries are zero}"

    def _unprinted(self, part: Equality) -> str:
        letter = part.left or "it"
        return rf"{letter}\text{{: more than {PRINTED_NODES} operations, not printed}}"


def glyphs(tex: str) -> int:
    """About how many characters a formula is wide; fractions are counted as if laid flat."""
    tex = re.sub(
        r"\\(left|right|bigl|bigr|big|[td]?frac|sqrt|by|allowbreak|mathrm|text)\b", "", tex
    )
    tex = re.sub(r"\\(operatorname|(a?(sin|cos|tan)h?|log|exp|max|min))\b", "xxxx", tex)
    tex = re.sub(r"[-+=]", "xx", re.sub(r"\\[A-Za-z]+|\\.", "x", tex))
    return len(re.sub(r"[{}\s_^&]", "", tex))


def _abbreviated(value: Any) -> tuple[dict[sp.Symbol, sp.Expr], Any]:
    """Definitions of recurring subexpressions, and the value in terms of them."""
    entries = list(dict.fromkeys(entries_of(value)))  # an entry that recurs is no reason for a name
    if sum(x.count_ops() for x in entries) < ABBREVIATED_FROM:
        return {}, value
    replacements, reduced = sp.cse(entries, symbols=sp.numbered_symbols(cls=sp.Dummy))
    definitions: dict[sp.Symbol, sp.Expr] = {}
    spelled: dict[sp.Symbol, sp.Expr] = {}
    for symbol, recurring in replacements:
        expression = recurring.xreplace(spelled)
        kept = definitions if expression.count_ops() >= DEFINED_FROM else spelled
        kept[symbol] = expression
    short = {x: y.xreplace(spelled) for x, y in zip(entries, reduced, strict=True)}
    if isinstance(value, sp.MatrixBase):
        return definitions, value.applyfunc(short.__getitem__)
    return definitions, short[value]


class _Breakable(LatexPrinter):
    """LaTeX in which every box is narrow and lines may be broken between all others."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__({**settings, "mul_symbol": r" \by "})
        self._settings["mul_symbol_latex_numbers"] = r" \cdot "
        self._known: dict[tuple[Any, ...], str] = {}

    def doprint(self, expr: Any) -> str:
        """LaTeX of an expression; without leave to break the line where it fits in one."""
        text = portable(super().doprint(expr))
        # Derivatives of unknown functions stand apart, or it is not seen what is differentiated.
        space = r"\, " if isinstance(expr, sp.Basic) and expr.has(Unknown) else ""
        if glyphs(text) <= LINE:
            return text.replace(r"\by ", space)
        return text.replace(r"\by ", space + r"\by ") if space else text

    def _print(self, expr: Any, **options: Any) -> str:
        if not isinstance(expr, sp.Expr):
            return str(super()._print(expr, **options))
        key = (expr, *options.items())
        if key not in self._known:
            text = str(super()._print(expr, **options))
            fits = glyphs(text) <= LINE
            self._known[key] = text if fits else self._opened(expr, text, **options)
        return self._known[key]

    def _print_Transpose(self, expr: Any) -> str:
        return rf"{self.parenthesize(expr.arg, PRECEDENCE['Pow'])}^{{\top}}"

    def _opened(self, expr: sp.Expr, text: str, exp: str = "") -> str:
        """A wide expression, to the power `exp`, without boxes around its parts."""
        if sp.fraction(expr, exact=True)[1] != 1:
            return self._quotient(*sp.fraction(expr, exact=True))
        power = f"^{{{exp}}}" if exp else ""
        if isinstance(expr, sp.exp):
            return rf"\exp{power} {self._bracket(expr.exp)}"
        if isinstance(expr, sp.Pow):
            return f"{self._bracket(expr.base)}^{{{self._print(expr.exp)}}}"
        if isinstance(expr, Application):
            name = _NAMES.get(expr.func, rf"\operatorname{{{expr.func.__name__}}}")
            return name + power + self._bracket(*expr.args)
        if isinstance(expr, sp.Integer):
            return re.sub(r"(\d{10})", r"\1\\allowbreak ", text)
        return text

    def _quotient(self, numerator: sp.Expr, denominator: sp.Expr) -> str:
        sign = "- " if numerator.could_extract_minus_sign() else ""
        above = -numerator if sign else numerator
        over = self._print(above) if above.is_Mul else self._factor(above)
        if denominator.is_Integer:
            return rf"{sign}\frac{{1}}{{{denominator}}} \by {over}"
        return rf"{sign}{over} \big/ \allowbreak {self._factor(denominator)}"

    def _factor(self, expr: sp.Expr) -> str:
        return self._print(expr) if expr.is_Atom or expr.is_Function else self._bracket(expr)

    def _bracket(self, *expressions: sp.Expr) -> str:
        return self._add_parens(", ".join(map(self._print, expressions)))

    def _add_parens(self, s: str) -> str:
        return rf"\left({s}\right)" if glyphs(s) <= LINE else rf"\bigl({s}\bigr)"

    _add_parens_lspace = _add_parens


_NAMES = {
    **{f: rf"\{f.__name__}" for f in (sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.tanh, sp.log)},
    sp.Max: r"\max",
    sp.Min: r"\min",
}
