"""What is loaded when: derivations without compilers, simulations without pictures."""

import subprocess
import sys

PROGRAM = """
import sys

def loaded():
    print(*sorted({"jax", "matplotlib", "numba", "scipy.special"} & set(sys.modules)), sep=",")

import derive
loaded()
import numerics
loaded()
numerics.plots.bands
loaded()
"""


def test_packages_load_what_they_need() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == ["", "numba", "matplotlib,numba"]
