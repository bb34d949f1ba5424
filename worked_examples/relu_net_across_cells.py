"""The limit of a ReLU network from cell to cell, with every crossing reported (Blanc et al.).

What the paper shows: under label noise a net with both layers trained on points of the line ends as
a simple curve through them (Figure 2), since perturbations that keep the values lower
reg = (1/n) Σ_i |∇f(x_i)|² (Figures 4 and 5). Its theorem is for smooth models.

What is done here: f(x) = Σ_j c_j max(z_j, 0) + p x + q, z_j = a_j x + b_j, eight units on six
points, is smooth within a cell, where each unit keeps the points on which it acts. The limit is
derived in every cell that the path enters, dW = −(1/n) P∇reg dt (at a step here), and followed to
the wall z_ij = 0 where unit j meets point i. There f and Γ go on without a jump; the tangent space
of Γ turns, and reg is higher by c_j²(1 + x_i²)/n on the side where the unit acts on the point. As
noise spreads the iterates over √α σ, the jump acts as a slope of about 1/(√α σ), against which a
drift of order 1 does nothing when σ → 0. Hence the rule, argued and not proved: a path that comes
from the side of higher reg crosses; beyond the wall, or coming from the side of lower reg, it is
held where the drift of the lower side leads to the wall, and goes on along the wall, with P∇z taken
from the drift, until that drift leads away. What is left of it at finite σ is a distance from the
wall. Data, net, start (where descent without noise ends from random weights) and rule are this
project's; the start was chosen of six, for its many events.

What came out (printed by the run): by t = 8 bends meet points eight times. Four cross; three cross
and are held, as z falls by the drift of the side where the unit acts and rises by that of the
other; one is held that comes from the side of lower reg, 6.445 against 6.494. Reg jumps by at most
0.06 at walls, and falls from 19.553 to 4.677. Training takes the same way: of 192 signs of z_ij of
Φ(w_k) over four paths at most 4 are not those of the limit's cell. Its reg is 9.040 ± 0.007 at
σ = 0.1 and 9.035 ± 0.003 at σ = 0.05 for 9.033 at t = 2, and 4.694 ± 0.002 and 4.688 ± 0.000 at
t = 8: 0.4 % and 0.2 % above the limit, too far for chance, as walls keep the paths at a distance.

The picture: the curve at three times; where the units bend, thick while a point holds them; reg of
the limit, and of Φ(w_k) in training with bars of three standard errors.

    python worked_examples/relu_net_across_cells.py

takes a minute of the processor, 0.6 GB.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Theorem 1 and Figures 2, 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save
from relu_net_on_twelve_points import HEIGHTS, NODES, SETTLING, curve, descend, random_weights, reg
from scipy.integrate import OdeSolution, solve_ivp

from derive import derive_limit
from numerics.networks import Network, NetworkLimit, label_noise
from numerics.plots import styled

Array = NDArray[np.float64]
Sides = NDArray[np.bool_]
"""On which points (rows) each unit (column) acts."""
Wall = tuple[int, int]
"""Where the bend of a unit meets a point: numbers of the point and of the unit."""

X = np.linspace(-1.0, 1.0, 6)
Y = np.interp(X, NODES, HEIGHTS)
DATA = np.stack([X, Y])
UNITS, SEED = 8, 4
STEP, NOISES, PATHS = 0.02, (0.1, 0.05), 4
TIMES = np.linspace(0.0, 8.0, 9)
ACCURACY = 1e-7
"""Of the flow, relative and absolute."""


def shaped(w: Array) -> Array:
    """Rows a, b, c and a last column (p, q, 0), of weights end to end."""
    return w.reshape(3, -1)


def heights(w: Array) -> Array:
    """z_ij = a_j x_i + b_j, shape (points, units)."""
    a, b, _ = shaped(w)[:, :-1]
    return np.asarray(np.outer(X, a) + b)


def slope(wall: Wall, size: int) -> Array:
    """The gradient of z_ij."""
    point, unit = wall
    found = np.zeros((3, size // 3))
    found[:2, unit] = X[point], 1.0
    return found.ravel()


@dataclass(frozen=True)
class Cell:
    """The limit where every unit keeps the points on which it acts.

    Attributes
    ----------
    on : ndarray of bool, shape (points, units)
        On which points each unit acts.
    limit : NetworkLimit
        Of the net that is one polynomial in its weights.
    """

    on: Sides
    limit: NetworkLimit

    @classmethod
    def derived(cls, on: Sides, w: Array, step: float | None = STEP) -> Cell:
        """At a point of Γ in this cell or on its boundary; as α → 0 without a step."""

        def residuals(weights: jnp.ndarray) -> jnp.ndarray:
            a, b, c = weights[:, :-1]
            hidden = on * (jnp.outer(X, a) + b)
            return hidden @ c + weights[0, -1] * X + weights[1, -1] - Y

        limit = derive_limit(Network(residuals, shaped(w), label_noise()))
        return cls(on, limit if step is None else limit.at_step(step))

    def velocity(self, w: Array, walls: Sequence[Wall] = ()) -> tuple[Array, Array]:
        """The drift along Γ and the walls that hold it, and how hard it presses on each of them.

        A wall takes from the drift the part along P∇z; its coefficient is the pressure, positive if
        the drift leads to z > 0.
        """
        here = self.limit.at(w)
        drift = self.limit.velocity(here)
        if not walls:
            return drift, np.zeros(0)
        normals = np.stack([here.project(slope(wall, w.size)) for wall in walls], axis=1)
        pressures = np.linalg.lstsq(normals, drift, rcond=None)[0]
        return drift - normals @ pressures, pressures

    def pressed(self, w: Array, walls: Sequence[Wall]) -> tuple[Wall, ...]:
        """Those of the walls that hold the drift."""
        held = list(walls)
        while held and (pressures := self.velocity(w, held)[1]).min() <= 0:
            del held[int(pressures.argmin())]
        return tuple(held)

    def reg(self, w: Array) -> float:
        """(1/n) Σ_i |∇f(x_i)|² = ½ tr H."""
        return self.limit.trace(shaped(w)) / 2


@dataclass(frozen=True)
class Stretch:
    """A part of the path, in one cell and along the same walls.

    Attributes
    ----------
    flow : OdeSolution
        Weights, as a function of slow time.
    cell : Cell
    walls : tuple of Wall
        By which it is held.
    """

    flow: OdeSolution
    cell: Cell
    walls: tuple[Wall, ...]


@dataclass(frozen=True)
class Event:
    """A wall is met, or left.

    Attributes
    ----------
    time : float
    wall : Wall
    what : str
    regs : tuple of float
        Reg where the unit acts on the point, and where it does not.
    speeds : tuple of float
        dz/dt by the drifts of these two sides, along the other walls that hold.
    """

    time: float
    wall: Wall
    what: str
    regs: tuple[float, float]
    speeds: tuple[float, float]

    def __str__(self) -> str:
        point, unit = self.wall
        return (
            f"t = {self.time:.3f}, unit {unit + 1} at x = {X[point]:4.1f} {self.what:16} "
            f"dz/dt acting {self.speeds[0]:6.3f}, not acting {self.speeds[1]:6.3f}; "
            f"reg {self.regs[0]:6.3f}, {self.regs[1]:6.3f}"
        )


@dataclass(frozen=True)
class Path:
    """The limit from cell to cell.

    Attributes
    ----------
    step : float or None
        α of the limit at a step; None for α → 0.
    stretches : list of Stretch
    events : list of Event
    cells : dict of bytes to Cell
        Those on either side of the walls, by what they are told apart.
    """

    step: float | None = STEP
    stretches: list[Stretch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    cells: dict[bytes, Cell] = field(default_factory=dict)

    def follow(self, start: Array, time: float) -> None:
        """From a point of Γ inside a cell, to a slow time."""
        t, w, walls = 0.0, start, ()
        cell = self._cell(heights(w) > 0, w)
        while True:
            t, w, wall = self._within(cell, walls, t, w, time)
            if wall is None:
                return
            others = tuple(other for other in walls if other != wall)
            if wall in walls:
                what, walls = "is let go", others
            else:
                acted = cell.on[wall]
                if acted:
                    cell = self._cell(beyond(cell.on, wall), w)
                walls = cell.pressed(w, (*walls, wall))
                held = "is held" if wall in walls else ""
                what = ", ".join(filter(None, ("crosses" if acted else "", held)))
            sides = (self._cell(beyond(cell.on, wall), w), cell)
            acting, idle = (slope(wall, w.size) @ side.velocity(w, others)[0] for side in sides)
            regs = (sides[0].reg(w), sides[1].reg(w))
            self.events.append(Event(t, wall, what, regs, (float(acting), float(idle))))

    def at(self, time: float) -> tuple[Array, Stretch]:
        """The weights at a slow time, and the stretch on which they are."""
        stretch = next(s for s in self.stretches if time <= s.flow.t_max)
        return np.asarray(stretch.flow(time)), stretch

    def _cell(self, on: Sides, w: Array) -> Cell:
        """A cell, derived when first entered."""
        key = on.tobytes()
        if key not in self.cells:
            self.cells[key] = Cell.derived(on, w, self.step)
        return self.cells[key]

    def _within(
        self, cell: Cell, walls: tuple[Wall, ...], t: float, w: Array, time: float
    ) -> tuple[float, Array, Wall | None]:
        """Follow the flow to the next wall that it meets or that lets it go, if any."""
        free = np.ones_like(cell.on)
        for wall in walls:
            free[wall] = False

        def distances(w: Array) -> Array:
            return np.where(free, np.where(cell.on, 1, -1) * heights(w), np.inf)

        def meets(_: float, w: Array) -> float:
            return float(distances(w).min())

        def goes(_: float, w: Array) -> float:
            return float(cell.velocity(w, walls)[1].min(initial=1.0))

        for event in (meets, goes):
            event.terminal, event.direction = True, -1.0  # type: ignore[attr-defined]
        flow = solve_ivp(
            lambda _, w: cell.velocity(w, walls)[0], (t, time), w, method="DOP853",
            events=(meets, goes), rtol=ACCURACY, atol=ACCURACY, dense_output=True,
        )  # fmt: skip
        self.stretches.append(Stretch(flow.sol, cell, walls))
        t, w = float(flow.t[-1]), flow.y[:, -1]
        if len(flow.t_events[0]):
            point, unit = divmod(int(distances(w).argmin()), cell.on.shape[1])
            return t, w, (point, unit)
        if len(flow.t_events[1]):
            return t, w, walls[int(cell.velocity(w, walls)[1].argmin())]
        return t, w, None


def beyond(on: Sides, wall: Wall) -> Sides:
    """The cell on the other side of a wall."""
    other = on.copy()
    other[wall] = not on[wall]
    return other


def settled(w: Array) -> Array:
    """Φ(w), the end of descent without noise."""
    moved = shaped(w).copy()
    descend(moved, DATA, SETTLING, (STEP, 0.0), 0)
    return moved.ravel()


def start() -> Array:
    """Where descent without noise ends from random weights."""
    return settled(random_weights(UNITS, SEED).ravel())


def trained(first: Array, times: Array, sigma: float, seed: int) -> Array:
    """Φ of the iterates of training at slow times, shape (T, N)."""
    w, done, found = shaped(first).copy(), 0, []
    for stage, k in enumerate(np.round(times / (STEP * sigma) ** 2).astype(int)):
        descend(w, DATA, k - done, (STEP, sigma), 100 * seed + stage)
        done = k
        found.append(settled(w.ravel()))
    return np.stack(found)


@dataclass(frozen=True)
class Comparison:
    """Training beside the limit at TIMES.

    Attributes
    ----------
    reg, error : ndarray, shape (T,)
        Mean over the paths with its standard error.
    strays : ndarray of int, shape (T,)
        Signs of z_ij of Φ(w_k) that are not those of the limit's cell, over all paths.
    """

    reg: Array
    error: Array
    strays: NDArray[np.int64]

    @classmethod
    def of(cls, path: Path, first: Array, sigma: float) -> Comparison:
        """Run the paths."""
        runs = np.stack([trained(first, TIMES, sigma, seed) for seed in range(PATHS)])
        regs = np.array([[reg(shaped(w), X) for w in run] for run in runs])
        strays = [
            sum(np.sum((heights(w) > 0) != path.at(t)[1].cell.on) for w in runs[:, k])
            for k, t in enumerate(TIMES)
        ]
        error = np.std(regs, axis=0, ddof=1) / np.sqrt(PATHS)
        return cls(np.mean(regs, axis=0), error, np.array(strays))


@styled
def draw(path: Path, compared: dict[float, Comparison]) -> Figure:
    """The curve as it changes, the bends with their walls, and reg beside training."""
    figure = Figure(figsize=(12.0, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    grid = np.linspace(X[0], X[-1], 1001)
    for t in (0.0, 2.0, TIMES[-1]):
        left.plot(grid, curve(shaped(path.at(t)[0]), grid), label=f"t = {t:g}")
    left.plot(X, Y, "ko", markersize=4)
    left.set(xlabel="x", ylabel="f(x)", title="the limit")
    left.legend()
    draw_bends(middle, path)
    times = np.unique(
        np.concatenate([np.linspace(s.flow.t_min, s.flow.t_max, 20) for s in path.stretches])
    )
    regs = [reg_of(path, t) for t in times]
    right.semilogy(times, regs, "k-", label=f"the limit at α = {STEP:g}")
    for color, (sigma, found) in enumerate(compared.items()):
        label = f"Φ(w) in training, σ = {sigma:g}"
        bars = {"fmt": "o", "capsize": 3, "markersize": 4, "color": f"C{color}", "label": label}
        right.errorbar(TIMES, found.reg, 3 * found.error, **bars)
    right.set(xlabel="slow time t = kα²σ²", ylabel="reg")
    right.legend()
    return figure


def reg_of(path: Path, time: float) -> float:
    """Reg of the limit."""
    w, stretch = path.at(time)
    return stretch.cell.reg(w)


def draw_bends(axes: Axes, path: Path) -> None:
    """Where the units bend; thick while a wall holds them."""
    for x in X:
        axes.axhline(x, color="0.8", linewidth=0.8)
    for stretch in path.stretches:
        times = np.linspace(stretch.flow.t_min, stretch.flow.t_max, 50)
        a, b, _ = np.moveaxis(stretch.flow(times).T.reshape(50, 3, -1), 1, 0)[..., :-1]
        held = {unit for _, unit in stretch.walls}
        for unit, bend in enumerate((-b / a).T):
            axes.plot(times, bend, color=f"C{unit}", linewidth=3.5 if unit in held else 1.2)
    for event in path.events:
        point, unit = event.wall
        fill = f"C{unit}" if "held" in event.what else "white"
        axes.plot(event.time, X[point], "o", color=f"C{unit}", markerfacecolor=fill, markersize=6)
    axes.set(xlabel="slow time", ylabel="bends (lines: the points)", ylim=(-1.1, 1.1))
    axes.set(title="○ crosses a point, ● is held there")


if __name__ == "__main__":
    first, path = start(), Path()
    path.follow(first, TIMES[-1])
    print(*path.events, sep="\n")
    misfit = max(np.abs(curve(shaped(path.at(t)[0]), X) - Y).max() for t in TIMES)
    print(f"values at the points are kept to {misfit:.0e}; cells derived: {len(path.cells)}")
    compared = {sigma: Comparison.of(path, first, sigma) for sigma in NOISES}
    for k, t in enumerate(TIMES):
        print(f"t = {t:g}: reg of the limit {reg_of(path, t):.3f}", end="")
        for sigma, found in compared.items():
            print(f"; σ = {sigma:g} {found.reg[k]:.3f} ± {found.error[k]:.3f}", end="")
            print(
                f", {found.strays[k]} of {PATHS * path.at(t)[1].cell.on.size} signs differ", end=""
            )
        print()
    print(save(draw(path, compared), "relu_net_across_cells"))
