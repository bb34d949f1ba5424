"""What the commands `python -m derive` and `python -m numerics` share: how they end, and warn.

Imported to be run, this module lets Ctrl-C end the command in one line from here on. So it is the
first that is imported; in any other program it changes nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType

from .errors import SingularLimitError

BAD_INPUT = 2
INTERRUPTED = 130


def _stop(number: int, frame: FrameType | None) -> None:
    """End at once: an exception in the midst of an import may be swallowed."""
    print("interrupted", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


if sys.argv[:1] == ["-m"]:  # so it is as long as Python looks for the module that it is to run
    signal.signal(signal.SIGINT, _stop)


def run(command: Callable[[], int]) -> int:
    """Exit code of a command: its own, that of bad input, or that of an interrupt."""
    if signal.getsignal(signal.SIGINT) is _stop:  # everything is imported
        signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.showwarning = _show_warning
    try:
        return command()
    except (SingularLimitError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
