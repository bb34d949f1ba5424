"""Check a certificate of `Limit.certificate` by ball arithmetic and exact polynomials.

``python -m derive.certify FILE``, or as a file, ``python derive/certify/checker.py FILE``: it needs
nothing but python-flint and Python. `derive.proofs.certificate` says what the keys of a file mean.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations_with_replacement, product
from math import prod
from pathlib import Path
from typing import Any

from flint import Ordering, acb_mat, arb, arb_mat, arb_series, ctx, fmpq, fmpq_mpoly_ctx

OPERATIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda *x: sum(x[1:], x[0]),
    "product": lambda *x: prod(x[1:], start=x[0]),
    "inverse": lambda x: 1 / x,
    "tanh": lambda x: 1 - 2 / ((2 * x).exp() + 1),
    "abs": lambda x: x if x[0] > 0 else -x if x[0] < 0 else x * arb.nan(),
    "erf": lambda x: x.erf(),
    **{f: lambda x, f=f: getattr(x, f)() for f in ("exp", "log", "sqrt", "sin", "cos", "atan")},
}


def require(holds: bool, reason: str) -> None:
    """Reject the certificate unless a condition holds."""
    if not holds:
        raise ArithmeticError(reason)


def below(table: list[list[Any]], places: Iterable[int]) -> list[int]:
    """The entries of which some entries are made, parts first."""
    needed = set(places)
    for k in range(max(needed, default=-1), -1, -1):
        if k in needed and table[k][0] not in ("symbol", "rational"):
            require(all(0 <= a < k for a in table[k][1:]), "an entry is made of later ones")
            needed.update(table[k][1:])
    return sorted(needed)


class Tower:
    """Expressions as polynomials in symbols, inverses, roots and functions, all unknowns."""

    def __init__(self, table: list[list[Any]], places: Iterable[int]) -> None:
        entries, known = below(table, places), ("sum", "product", "rational")
        self.unknowns = [k for k in entries if table[k][0] not in known]
        self.ring = fmpq_mpoly_ctx.get([f"x{k}" for k in self.unknowns], Ordering.degrevlex)
        self.at: dict[int, Any] = dict(zip(self.unknowns, self.ring.gens(), strict=True))
        sines = {table[k][1]: self.at[k] for k in self.unknowns if table[k][0] == "sin"}
        self.relations: list[Any] = []
        for k, (head, *parts) in ((k, table[k]) for k in entries):
            if head == "rational":
                self.at[k] = self.ring.constant(fmpq(*map(int, parts)))
            elif head in known:
                self.at[k] = OPERATIONS[head](*[self.at[a] for a in parts])
            elif head == "inverse":
                self.relations.append(self.at[k] * self.at[parts[0]] - 1)
            elif head == "sqrt":
                self.relations.append(self.at[k] ** 2 - self.at[parts[0]])
            elif head == "cos" and parts[0] in sines:
                self.relations.append(self.at[k] ** 2 + sines[parts[0]] ** 2 - 1)


class Claim:
    """What a certificate claims of the manifold {r = 0}; ArithmeticError if it does not follow."""

    def __init__(self, document: dict[str, Any], claim: dict[str, Any]) -> None:
        self.data, self.point = claim, document["points"][claim["point"]]
        self.answer = "proved not" if "value" in claim else "proved"
        self.table, self.weights = document["expressions"], document["weights"]
        self.constraints, self.squares = document["constraints"], document["squares"]
        self.middle = {int(k): arb(m) for k, (m, _) in self.point["box"].items()}
        self.radius = {int(k): arb(0, arb(r)) for k, (_, r) in self.point["box"].items()}
        self.box = {k: m + self.radius[k] for k, m in self.middle.items()}
        self.check_point()
        if "value" in claim:
            self.encloses(self.value(), claim["value"])
        else:
            self.check_curvature() if "bounds" in claim else self.check_identities()

    def taylor(self, places: Any, line: Any, order: int = 0, box: Any = None) -> list[arb]:
        """Coefficients of t^order at box + t line; they must be defined on all of the box."""
        values: dict[int, Any] = {}
        for k in below(self.table, places):
            head, *parts = self.table[k]
            if head in OPERATIONS:
                values[k] = OPERATIONS[head](*[values[a] for a in parts])
            else:
                here = (box or self.box)[k] if head == "symbol" else arb(fmpq(*map(int, parts)))
                values[k] = arb_series([here, line.get(k, 0)], order + 1)
            require(all(values[k][i].is_finite() for i in range(order + 1)), f"{head}: undefined")
        return [values[k][order] for k in places]

    def jacobian(self, places: Sequence[int], along: Sequence[int]) -> arb_mat:
        """First derivatives on the box, a row for each expression."""
        return arb_mat([self.taylor(places, {w: 1}, 1) for w in along]).transpose()

    def encloses(self, value: arb, stated: list[str]) -> None:
        """A stated enclosure holds the value and excludes 0."""
        given = arb(stated[0]) + arb(0, arb(stated[1]))
        require(given.contains(value) and not given.contains(0), f"{value} is not in {stated}")

    def check_point(self) -> None:
        """Krawczyk: r = 0 at one point of the box, for each value of what does not move; L ≥ 0."""
        rows, moving = self.point["rows"], self.point["moving"]
        middle = self.box | {w: self.middle[w] for w in moving}
        slopes = self.jacobian(rows, moving)
        inverse = arb_mat([[arb(x) for x in row] for row in self.point["preconditioner"]])
        shift = inverse * arb_mat([[r] for r in self.taylor(rows, {}, 0, middle)])
        away, change = arb_mat([[self.radius[w]] for w in moving]), inverse * slopes
        image = (arb_mat([[int(v == w) for v in moving] for w in moving]) - change) * away - shift
        inside = all(self.radius[w].contains_interior(image[i, 0]) for i, w in enumerate(moving))
        named = {*moving} <= {*self.weights} and {*rows} <= {*self.constraints}
        require(inside and named, "no point of the manifold is shown in the box")
        self.encloses(slopes.det(), self.point["determinant"])
        tower, vanishing = Tower(self.table, self.point["tower"]), self.point["vanishing"]
        for r in {*self.constraints, *(r for _, r in self.squares)} - set(rows):
            self.combines(tower, tower.at[r], [tower.at[k] for k in rows], vanishing[str(r)])
        require(all(c > 0 for c in self.taylor([c for c, _ in self.squares], {})), "L < 0")

    def combines(self, tower: Tower, f: Any, of: list[Any], cofactors: list[list[int]]) -> None:
        """F = Σ a g of generators and relations of functions, with each a defined on the box."""
        rest = f - sum(tower.at[a] * (of + tower.relations)[i] for i, a in cofactors)
        require(rest == 0, "an identity does not hold")
        self.taylor([a for _, a in cofactors], {})

    def check_identities(self) -> None:
        """F is constant on the manifold, or critical: f - c = Σ a r, or Σ a r s."""
        tower, asks = Tower(self.table, self.data["tower"]), self.data["asks"]
        of = [tower.at[r] for r in self.constraints]
        if asks == "critical":
            of = [r * s for r, s in combinations_with_replacement(of, 2)]
        columns = (self.data[key] for key in ("of", "constants", "cofactors"))
        for f, c, cofactors in zip(*columns, strict=True):
            require(not set(below(self.table, [c])) & set(self.weights), "no constant")
            require(asks != "values" or tower.at[c] == 0, "not zero")
            self.combines(tower, tower.at[f] - tower.at[c], of, cofactors)

    def check_curvature(self) -> None:
        """All eigenvalues λ ≠ 0 of H = Σ c ∇r∇rᵀ, as many as rows, lie between two bounds."""
        weighs, r = zip(*self.squares, strict=True)
        slopes, c = self.jacobian(r, self.weights), self.taylor(weighs, {})
        gram = enumerate((slopes * slopes.transpose()).tolist())
        roots = acb_mat([[c[i] * x for x in row] for i, row in gram]).eig(multiple=True)
        (low, high), rows = map(arb, self.data["bounds"]), self.point["rows"]
        require(sum(abs(low) < x.real < high for x in roots) == len(rows), "not within the bounds")

    def value(self) -> arb:
        """⟨d, v⟩ for the values v, or ⟨d, P v⟩ for the field v."""
        asks, of = self.data["asks"], self.data["of"]
        d = arb_mat([[arb(x)] for x in self.data["direction"]])
        if asks != "values":
            j = self.jacobian(self.point["rows"], self.weights)
            d -= j.transpose() * (j * j.transpose()).solve(j * d)
        if asks == "drift":
            return self.drift(of, d, j)
        if asks == "slope":
            return self.taylor(of, dict(zip(self.weights, d.entries(), strict=True)), 1)[0]
        return (arb_mat([self.taylor(of, {})]) * d)[0, 0]

    def drift(self, columns: list[int], d: arb_mat, j: arb_mat) -> arb:
        """⟨u, d⟩ + ½ D³L[T, d]: L = ½ Σ c r², HT + TH - hHTH = Σ - PΣP, PTP = 0, Σ = S Sᵀ."""
        w, (weighs, r), size = self.weights, zip(*self.squares, strict=True), j.nrows()
        slopes, c = self.jacobian(r, w), self.taylor(weighs, {})
        s = arb_mat(len(w), len(columns) // len(w), self.taylor(columns, {}))
        left = j.transpose() * (j * j.transpose()).inv()
        m, normal = slopes * left, left.transpose() * s
        e = m.transpose() * arb_mat([[c[i] * x for x in row] for i, row in enumerate(m.tolist())])
        half = left * e.inv() * normal * (s - left * (j * s)).transpose()
        a, pairs = e * j * j.transpose(), list(product(range(size), repeat=2))
        g = arb_mat(size, size, [int(i == k) for i, k in pairs]) - a * arb(self.data["step"])
        rows = [[(k == n) * a[i, m] + g[i, m] * a[k, n] for m, n in pairs] for i, k in pairs]
        right = arb_mat(size**2, 1, (normal * normal.transpose()).entries())
        y = arb_mat(size, size, arb_mat(rows).solve(right).entries())
        u = (slopes * (half + half.transpose() + j.transpose() * y * j)).tolist()
        line = dict(zip(w, d.entries(), strict=True))
        found = (arb_mat([self.taylor(self.data["beside"], {})]) * d)[0, 0]
        for i, turn in enumerate(self.taylor(weighs, line, 1)):  # D²r[d, u] by polarisation
            ends = [{k: line[k] + g * x for k, x in zip(w, u[i], strict=True)} for g in (1, -1)]
            up, down = (self.taylor([r[i]], end, 2)[0] for end in ends)
            across = sum(x * slopes[i, k] for k, x in enumerate(u[i]))
            found += (c[i] * (up - down) + turn * across) / 2
        return found


def check(document: dict[str, Any]) -> list[str]:
    """What a certificate shows, claim by claim; ArithmeticError if one does not follow."""
    require(document["format"] == "singular-limit certificate", "not a certificate")
    with ctx.workprec(document["precision"]):
        return [f"{c['says']}: {Claim(document, c).answer}" for c in document["claims"]]


if __name__ == "__main__":
    try:
        print(*check(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), sep="\n")
    except (ArithmeticError, LookupError, TypeError, ValueError, OSError) as failure:
        sys.exit(f"REJECTED: {type(failure).__name__}: {failure}")
