"""The keys of a model file, in one list from which its help and the check of its keys come."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ...errors import ModelFileError


@dataclass(frozen=True)
class Key:
    """A key that a model file may hold.

    Attributes
    ----------
    name : str
        The key, with its table in front: ``run.alpha``.
    expects : str
        What its value must be.
    meaning : str
        What it stands for.
    """

    name: str
    expects: str
    meaning: str

    @property
    def table(self) -> str:
        """The table the key belongs to, empty for the file itself."""
        return self.name.rpartition(".")[0]


SCHEMA = (
    Key("weights", "list of names", 'weights w, required; "w[3]" declares w1, w2, w3 and w[i]'),
    Key("noise", "list of names", "noise coordinates η, declared like weights"),
    Key("parameters", "list of names", "symbols that stay symbolic until bound to numbers"),
    Key("data", "table", "numbers and lists of numbers by name, used as x[i] or A[i, j] from 1"),
    Key("let", "table", "expressions by name, each usable in those below it"),
    Key("loss", "expression", "loss L(w), zero on the manifold Γ"),
    Key("noisy_loss", "expression", "L̂(w, η) with L̂(w, 0) = L(w); may use the name `loss`"),
    Key("mechanism", "name or table", "in place of noisy_loss: a noise of the catalogue"),
    Key("mechanism.name", "name", "its name; its arguments stand beside it in the table"),
    Key("law", "name or table", "law of the noise, Gaussian if not given"),
    Key("law.name", "name", "its class, such as Gaussian, Rademacher, Bernoulli or Minibatch"),
    Key("law.covariance", "list of rows", "C of Gaussian and CustomLaw, in units of σ²"),
    Key("law.skewness", "number", "E ζ³ of a coordinate of TwoPoint"),
    Key("law.samples", "integer", "number of samples of Minibatch"),
    Key("law.batch_size", "integer", "batch size of Minibatch"),
    Key("law.replacement", "true or false", "whether Minibatch may draw a sample twice"),
    Key("law.jumps", "list of tables", "atoms of the jump measure of CustomLaw"),
    Key("law.jumps.z", "list of numbers", "displacement of the noise"),
    Key("law.jumps.rate", "number", "mass of the atom"),
    Key("law.groups", "list of tables", "independent groups of Independent"),
    Key("law.groups.noise", "list of names", "noise coordinates of the group"),
    Key("law.groups.law", "name or table", "law of the group"),
    Key("constraints", "list of expressions", "their common zero set is Γ near `near`"),
    Key("chart", "table", "a parametrisation of Γ"),
    Key("chart.coordinates", "list of names", "intrinsic coordinates"),
    Key("chart.embedding", "list of expressions", "each weight as a function of the coordinates"),
    Key("near", "list or table of numbers", "a point that picks the component of Γ"),
    Key("penalty", "expression", "U(w) added to L̂, its size written with `alpha`, `sigma`"),
    Key("optimizer", "name or table", "how a stochastic gradient becomes a step"),
    Key("optimizer.name", "name", "HeavyBall, Nesterov, SharpnessAware, Preconditioned, LookAhead, "
        "…; its arguments stand beside it in the table"),
    Key("optimizer.beta", "expression", "β of HeavyBall, Nesterov, Adam, AdamW"),
    Key("optimizer.delta", "expression", "δ of RMSProp, Adam, AdamW, SecondMoments: a number, or "
        "c times powers of `alpha` and `sigma`"),
    Key("optimizer.window", "word", "where δ is a number: constant, comparable or fast"),
    Key("optimizer.epsilon", "expression", "ε = ε_Adam/σ of RMSProp, Adam, AdamW"),
    Key("optimizer.decay", "expression", "λ of AdamW, with `alpha` and `sigma`"),
    Key("optimizer.rho", "expression", "ρ of SharpnessAware"),
    Key("optimizer.matrix", "list of rows", "Ω of Preconditioned, or of SecondMoments"),
    Key("optimizer.gradient", "list of names", "entries of g in `of`, of SecondMoments"),
    Key("optimizer.of", "list of expressions", "quadratic forms that SecondMoments averages"),
    Key("optimizer.averages", "list of names", "their averages in `matrix`, of SecondMoments"),
    Key("optimizer.count", "integer", "coordinates that RandomCoordinates moves"),
    Key("optimizer.directions", "name", "law of the directions of ZerothOrder"),
    Key("optimizer.steps", "integer", "inner steps of LookAhead and LocalSteps"),
    Key("optimizer.workers", "integer", "workers of LocalSteps"),
    Key("optimizer.weight", "number", "part of the way that LookAhead keeps"),
    Key("optimizer.rate", "number", "κ of WeightAverage"),
    Key("optimizer.inner", "name or table", "what LookAhead, LocalSteps, … are built of"),
    Key("update", "list of expressions", "in place of noisy_loss and optimizer: the next value of "
        "every weight, then of the memory, with `alpha` and `sigma`"),
    Key("memory", "list of names", "what an update rule remembers"),
    Key("rest", "list of expressions", "the memory at rest on Γ, zeros if not given"),
    Key("run", "table", "what to simulate; each key may be left out"),
    Key("run.start", "list or table of numbers", "initial weights"),
    Key("run.alpha", "positive number", "step size α"),
    Key("run.sigma", "positive number", "noise scale σ"),
    Key("run.time", "positive number", "end of the run in slow time"),
    Key("run.paths", "positive integer", "number of independent paths"),
    Key("run.seed", "integer from 0", "seed of the random streams"),
)  # fmt: skip
"""Every key of a model file, except the free names under data, let and mechanism."""


def describe_schema() -> str:
    """Table of all keys, a line each."""
    names = max(len(key.name) for key in SCHEMA)
    values = max(len(key.expects) for key in SCHEMA)
    return "\n".join(f"{k.name:{names}}  {k.expects:{values}}  {k.meaning}" for k in SCHEMA)


def expectation(name: str) -> str:
    """What the value of the key `name` must be."""
    return next(key.expects for key in SCHEMA if key.name == name)


def check_key(name: str, table: str) -> None:
    """Refuse a key that `table` does not have, naming the one that was probably meant.

    Raises
    ------
    ModelFileError
        If there is no such key.
    """
    known = {key.name.rpartition(".")[2] for key in SCHEMA if key.table == table}
    if name in known:
        return
    similar = difflib.get_close_matches(name[:40], sorted(known), n=1)
    elsewhere = [key.table for key in SCHEMA if key.name.endswith(f".{name}")]
    if similar:
        hint = f"did you mean {similar[0]!r}?"
    elif elsewhere:
        hint = f"it belongs under [{elsewhere[0]}]"
    else:
        hint = f"known keys: {', '.join(sorted(known))}"
    raise ModelFileError(f"unknown key {name[:40]!r}; {hint}")


def starter(name: str) -> str:
    """Text of a commented model file to start from.

    Parameters
    ----------
    name : str
        What the model is called, on the first line.

    Raises
    ------
    ModelFileError
        If the name does not fit on one line.
    """
    if not name.isprintable() or not name:
        raise ModelFileError(f"expected a printable name on one line, got {name!r}")
    return _STARTER.format(name=name)


_STARTER = """\
# {name}: noisy gradient descent on a ring of uneven steepness.
#
# Expressions hold numbers, names, + - * / **, brackets, x[i] of declared arrays,
# sum(expression, i, first, last), and functions such as sin, exp, sqrt, tanh.

weights = ["w1", "w2"]
noise = ["eta"]

# The loss L(w) is zero on the manifold Γ along which the weights drift: here the unit circle.
loss = "(w1**2 + w2**2 - 1)**2 * (2 + w1) / 4"

# The loss with noise, equal to the loss where the noise is zero.
noisy_loss = "loss + (w1**2 + w2**2) * eta / 2"

# Optional:
# parameters = ["a"]              # symbols that stay symbolic
# law = "Rademacher"              # or "Uniform", "Bernoulli", ...; "Gaussian" if not given
# law = {{ name = "Gaussian", covariance = [[1]] }}
# constraints = ["w1**2 + w2**2 - 1"]
# near = [0.6, 0.8]               # picks the component of Γ

# A parametrisation of Γ, for the limit in intrinsic coordinates.
[chart]
coordinates = ["theta"]
embedding = ["cos(theta)", "sin(theta)"]

# What to simulate when the limit is compared with the recursion.
[run]
start = [0.6, 0.8]
alpha = 0.05
sigma = 0.1
time = 1.0
paths = 1000
seed = 0
"""
