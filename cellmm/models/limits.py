"""Limits that cut what is found in an image: each image that reaches one is named, with the cure."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log

from cellmm.messages import NAMED, is_told


class LimitLog:
    """Warn of images that reached a limit: name the first ones, then tell how many there are so far."""

    def __init__(self) -> None:
        self._images: Counter = Counter()

    def reset(self) -> None:
        """Name the first images again."""
        self._images.clear()

    def say(self, name: str | Sequence[str] | None, reached: Mapping[str, int]) -> None:
        """``reached``: ``limits`` of PredictedInstances."""
        for text, number in reached.items():
            self._images[text] += 1
            images = self._images[text]
            if not is_told(images):
                continue
            so_far = f"{images} images so far, the last one " if images > NAMED else ""
            first = name if isinstance(name, str) or not name else name[0]
            print_log(f"{so_far}{first}: {text.format(number)}", logger="current", level=logging.WARNING)
