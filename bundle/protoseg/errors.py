"""The one exception that a user's mistake raises."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "input_errors_unwrapped"]


class InputError(ValueError):
    """Input that cannot be used.

    The message names the file or argument, what was found, what was expected, and what to do.
    """


@contextmanager
def input_errors_unwrapped() -> Iterator[None]:
    """Let an `InputError` leave as it was raised, whatever MONAI wrapped it in on the way."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None
