"""Strategies that choose the next image to label."""

from __future__ import annotations

import time
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.tasks.strategy import Strategy

__all__ = ["ByScore"]

FORGOTTEN_AFTER = 24 * 60 * 60  # seconds; an image that was given out and never labelled comes again


class ByScore(Strategy):
    """Chooses the unlabelled image with the highest or lowest score that was not given out today.

    If all were given out, it is the one that waits longest. Images without a score come last.

    Args:
        key: key of the score in the datastore.
        highest: True to take the highest score, not the lowest.
        description: description for users.
    """

    def __init__(self, key: str, *, highest: bool, description: str) -> None:
        super().__init__(description)
        self.key = key
        self.sign = -1 if highest else 1

    def __call__(self, request: dict[str, Any], datastore: LocalDatastore) -> dict[str, Any] | None:
        """Give the image's name and its score; None if every image has a final label."""
        images = sorted(datastore.get_unlabeled_images())
        if not images:
            return None
        information = {image: datastore.get_image_info(image) for image in images}
        now = time.time()

        def rank(image: str) -> tuple[float, float]:
            known = information[image]
            given = known.get("strategy", {}).get(request["strategy"], {}).get("ts", 0)
            recently = given if 0 <= now - given < FORGOTTEN_AFTER else 0  # in the future if the clock was set back
            return recently, self.sign * known[self.key] if self.key in known else float("inf")

        chosen = min(images, key=rank)
        return {"id": chosen, self.key: information[chosen].get(self.key)}
