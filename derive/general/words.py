"""Tensors in the words of papers: ½ C:∇²L, (1/n) Σ_s |∇h_s|², and indices where no word fits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from .tensors import DELTA, SCALED, Factor, Index, Monomial, Tensor

LETTERS = ("ijkl", "stvz", "pqrm")
"""Names of summed indices: of weights, of the n samples, of anything else."""

_TIMES = re.compile(r"(\d)\*([a-zA-Z])")
_RAISED = re.compile(r"\*\*(\d+)")

FRACTIONS = {sp.Rational(1, 2): "½", sp.Rational(1, 4): "¼"}

GREEK = ("eta", "xi", "zeta", "Omega", "sigma", "phi", "psi", "ell")


@dataclass(frozen=True)
class Words:
    """Writes tensors, as text or as LaTeX.

    Attributes
    ----------
    weights : str
        Name of the weights, whose derivatives need no mark.
    size : Expr
        Their number, by which their indices are known.
    tex : bool
        Whether to write LaTeX.
    """

    weights: str
    size: sp.Expr
    tex: bool = False

    def __call__(self, tensor: Tensor) -> str:
        """A sum of terms."""
        ordered = sorted(tensor.terms.items(), key=lambda item: (item[1].is_negative, repr(item)))
        total = ""
        for monomial, coefficient in ordered:
            term = self._term(
                monomial, abs(coefficient) if coefficient.is_negative else coefficient
            )
            sign = "-" if coefficient.is_negative else "+"
            total += f" {sign} {term}" if total or sign == "-" else term
        text = total.strip() or "0"
        return text if self.tex else text.replace("-", "−")

    def _term(self, monomial: Monomial, coefficient: sp.Expr) -> str:
        summed, factors = monomial
        left, found = list(factors), list(self._contractions(list(factors), summed))
        for used, _, _ in found:
            for f in used:
                left.remove(f)
        gone = {i for _, indices, _ in found for i in indices}
        names = self._names([i for i in summed if i not in gone])
        counted = Counter(left)
        plain_first = sorted(counted, key=lambda f: (bool(f.points), f.order))
        ordered = sorted(found, key=lambda item: bool(item[0][0].points))
        pieces = [self._factor(f, names) + self._power(counted[f]) for f in plain_first]
        pieces += [self._named(text, names) for *_, text in ordered]
        sums = self._sum(list(names.values())) if names else ""
        number = self.number(coefficient)
        body = (r"\, " if self.tex else " ").join(pieces)
        if coefficient == 1 and pieces:
            return sums + body
        return f"{number} {sums}{body}".strip()

    def _contractions(
        self, factors: list[Factor], summed: tuple[Index, ...]
    ) -> Iterator[tuple[list[Factor], list[Index], str]]:
        """What has a word: Laplacians, squared norms, double contractions."""
        holders = {i: [f for f in factors if i in f.all_indices()] for i in summed}
        taken: list[Factor] = []
        for index in summed:
            held = [f for f in holders[index] if f not in taken]
            if held != holders[index]:
                continue
            found = self._laplacian(held, index) or self._norm(held, index)
            found = found or self._double(held, index, holders)
            if found is not None:
                taken += found[0]
                yield found

    def _laplacian(
        self, held: list[Factor], index: Index
    ) -> tuple[list[Factor], list[Index], str] | None:
        if len(held) != 1 or held[0].order != 2 or (index, index) not in held[0].slopes:
            return None
        mark = (r"\Delta" if self.tex else "Δ") + self._slot_mark(held[0])
        return held, [index], mark + (" " if self.tex else "") + self._base(held[0])

    def _norm(
        self, held: list[Factor], index: Index
    ) -> tuple[list[Factor], list[Index], str] | None:
        if len(held) != 2 or held[0] != held[1] or held[0].indices.count(index) > 1:
            return None
        f = held[0]
        bars = (r"\lvert ", r"\rvert^{2}") if self.tex else ("|", "|²")
        if f.order == 1 and index in {i for slot in f.slopes for i in slot}:
            nabla = (r"\nabla" if self.tex else "∇") + self._slot_mark(f)
            return (
                held,
                [index],
                bars[0] + nabla + (" " if self.tex else "") + self._base(f) + bars[1],
            )
        if f.order == 0 and f.indices == (index,) and not f.points:
            return held, [index], bars[0] + self._letter(f.name) + bars[1]
        return None

    def _double(
        self, held: list[Factor], index: Index, holders: dict[Index, list[Factor]]
    ) -> tuple[list[Factor], list[Index], str] | None:
        """C:∇²L and wᵀ∇²Lw."""
        curved = [
            f
            for f in held
            if f.order == 2 and not any(len({*slot}) < len(slot) for slot in f.slopes)
        ]
        if len(curved) != 1 or len(held) != 2:
            return None
        (bend,), (other,) = curved, [f for f in held if f != curved[0]]
        pair = next((slot for slot in bend.slopes if len(slot) == 2), None)
        if pair is None:
            return None
        nabla = (r"\nabla^{2}" if self.tex else "∇²") + self._slot_mark(bend) + self._base(bend)
        if other.order == 0 and not other.points and set(other.indices) == set(pair):
            return [bend, other], [*pair], f"{self._letter(other.name)}:{nabla}"
        second = pair[1] if pair[0] == index else pair[0]
        ends = [f for f in holders.get(second, []) if f != bend]
        same = len(ends) == 1 and ends[0].name == other.name and not other.points
        if not same or ends[0].indices != (second,) or other.indices != (index,):
            return None
        name, turned = self._letter(other.name), r"^{\top}" if self.tex else "ᵀ"
        return [bend, other, ends[0]], [*pair], f"{name}{turned}{nabla}{name}"

    def _named(self, text: str, names: dict[Index, str]) -> str:
        for index, name in names.items():
            text = text.replace(f"⟨{index.name}⟩", name)
        return text

    def _names(self, sums: list[Index]) -> dict[Index, str]:
        counts = [0, 0, 0]
        found = {}
        for index in sums:
            kind = 0 if index.size == self.size else 1 if str(index.size) == "n" else 2
            found[index] = LETTERS[kind][counts[kind]]
            counts[kind] += 1
        return found

    def _mark(self, index: Index, names: dict[Index, str]) -> str:
        return names.get(index, _marked(index))

    def _base(self, f: Factor) -> str:
        """The function with its own indices, without its derivatives."""
        text = self._letter(f.name)
        if f.indices:
            text += self._lowered([_marked(i) for i in f.indices])
        text += "".join(self._displaced(p) for p in f.points)
        data = [p for p in f.points if p.name != self.weights]
        if data:
            inside = ", ".join(
                self._letter(p.name) + self._lowered([f"⟨{i.name}⟩" for i in p.indices])
                for p in data
            )
            text += f"({inside})"
        return text

    def _displaced(self, point: Factor) -> str:
        """Which component of a vector is another one."""
        text = ""
        for mark in point.points:
            name = self._letter(point.name)
            name += self._lowered([_marked(i) for i in (*point.indices, *mark.indices)])
            number = sp.Rational(mark.points[0].name)
            value = number * sp.Symbol("@") if mark.name == SCALED else sp.Symbol("@") + number
            shown = sp.latex(value) if self.tex else sp.sstr(value)
            arrow = r" \to " if self.tex else " → "
            inside = name + arrow + shown.replace("*", "").replace("@", name)
            text += rf"|_{{{inside}}}" if self.tex else f"|[{inside}]"
        return text

    def _slot_mark(self, f: Factor) -> str:
        """In which slot it is differentiated, if that is not the weights."""
        slot = next(k for k, slopes in enumerate(f.slopes) if slopes)
        name = f.points[slot].name
        if name == self.weights:
            return ""
        return f"_{{{self._letter(name)}}}" if self.tex else f"_{name}"

    def _factor(self, f: Factor, names: dict[Index, str]) -> str:
        if f.name == DELTA:
            own = [self._mark(i, names) for i in f.indices]
            return (r"\delta" if self.tex else "δ") + self._lowered(own)
        marks = ""
        for slopes in f.slopes:
            for index, count in Counter(slopes).items():
                marks += r"\partial" if self.tex else "∂"
                marks += self._lowered([self._mark(index, names)]) + self._power(count)
        base = self._named(self._base(f), names)
        space = " " if self.tex and marks else ""
        return marks + space + base

    def _power(self, k: int) -> str:
        if k == 1:
            return ""
        return (
            f"^{{{k}}}" if self.tex else str(k).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        )

    def _lowered(self, names: list[str]) -> str:
        joined = "".join(names)
        return f"_{{{joined}}}" if self.tex else f"_{joined}"

    def _letter(self, name: str) -> str:
        if self.tex:
            return sp.latex(sp.Symbol(name)) + " " if name in GREEK else sp.latex(sp.Symbol(name))
        return {"eta": "η", "xi": "ξ", "Omega": "Ω", "ell": "ℓ", "zeta": "ζ"}.get(name, name)

    def number(self, c: sp.Expr) -> str:
        """A coefficient, a rational function of the dimensions."""
        if self.tex:
            return sp.latex(c)
        if c in FRACTIONS:
            return FRACTIONS[c]
        above, below = (self._polynomial(x) for x in sp.fraction(sp.together(c)))
        if below == "1":
            return f"({above})" if " " in above else above
        return f"({above}/({below}))" if " " in below or "·" in below else f"({above}/{below})"

    def _polynomial(self, e: sp.Expr) -> str:
        text = _RAISED.sub(lambda found: self._power(int(found[1])), sp.sstr(e))
        return _TIMES.sub(r"\1\2", text).replace("*", "·")

    def _sum(self, names: list[str]) -> str:
        return rf"\sum_{{{','.join(names)}}} " if self.tex else f"Σ_{''.join(names)} "


def _marked(index: Index) -> str:
    """The name of an index; of one that is summed, a mark for its letter."""
    return f"⟨{index.name}⟩" if index.name.isdigit() else index.name
