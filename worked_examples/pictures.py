"""Where the pictures of the worked examples go."""

from pathlib import Path

from matplotlib.figure import Figure

OUTPUT = Path(__file__).parent / "output"


def save(figure: Figure, name: str) -> Path:
    """Write the figure to `output/<name>.png` and return its path from the repository's root."""
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{name}.png"
    figure.savefig(path, dpi=150)
    return path.relative_to(OUTPUT.parents[1])
