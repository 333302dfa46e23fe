"""The chain of transforms that every config begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monai.transforms import Compose

from protoseg.errors import InputError

__all__ = ["Preprocessing"]


class Preprocessing(Compose):
    """MONAI's `Compose`, except that an `InputError` reaches the user as it was raised.

    MONAI wraps whatever a transform raises in a RuntimeError that names the transform; the sentence that tells the
    user what is wrong with the file would be buried under it.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the transforms in order."""
        with _input_errors_unwrapped():
            return super().__call__(*args, **kwargs)


@contextmanager
def _input_errors_unwrapped() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None
