"""The one exception that a user's mistake raises."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "config_errors", "input_errors_unwrapped"]

logger = logging.getLogger(__name__)

# Exceptions that a wrong name or value in a config causes; others are not the config's fault.
MISTAKES = (TypeError, ValueError, AttributeError, LookupError, ImportError, NameError, SyntaxError, ArithmeticError)

# Packages of the extra `encoders`, by the name that is imported.
OPTIONAL = ("peft", "segment_anything", "timm", "torchvision")


class InputError(ValueError):
    """Input that cannot be used.

    The message names the file or argument, what was found, what was expected, and what to do.
    """


@contextmanager
def input_errors_unwrapped() -> Iterator[None]:
    """Re-raise an `InputError` as it was raised, whatever MONAI wrapped it in on the way."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


@contextmanager
def config_errors(entry: str) -> Iterator[None]:
    """Report in one sentence which entry of a config cannot be built; the log keeps the traceback.

    Raises:
        InputError: naming the entry, or as it was raised.
    """
    try:
        yield
    except InputError:
        raise
    except MISTAKES as error:
        logger.info("The entry %s of the config:", entry, exc_info=True)
        missing = _missing_package(error)
        if missing:
            raise InputError(
                f"The config's entry {entry.replace('::', '#')} needs {missing}, which is not installed. Install it: "
                "pip install 'protoseg[encoders]'."
            ) from error
        raise InputError(
            f"The config's entry {entry.replace('::', '#')} cannot be used: {type(error).__name__}: {error}. Correct "
            "its names and values."
        ) from error


def _missing_package(error: BaseException | None) -> str | None:
    """Find which of `OPTIONAL` an error, or one of its causes, says is not installed."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:  # a chain may be circular
        seen.append(error)
        name = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if name in OPTIONAL:
            return name
        error = error.__cause__ or error.__context__
    return None
