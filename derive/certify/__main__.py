"""`python -m derive.certify FILE`: run the checker as the program that it is by itself."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("checker.py")), run_name="__main__")
