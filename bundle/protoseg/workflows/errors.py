"""The display of input errors to users."""

from __future__ import annotations

import sys
from types import TracebackType

from protoseg.errors import InputError

__all__ = ["report_input_errors"]


def report_input_errors() -> None:
    """Show an `InputError` that ends the program as its one sentence, without a traceback, from now on.

    MONAI wraps the exceptions of a config's components, so the sentence would be in the middle of three tracebacks.
    Every other exception is shown as before.
    """
    shown_before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if cause is None:
            shown_before(kind, error, traceback)
        else:
            print(f"Error: {cause}", file=sys.stderr)

    sys.excepthook = show
