"""The one exception that a user's mistake raises."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that cannot be used.

    The message names the file or argument, what was found, what was expected, and what to do.
    """
