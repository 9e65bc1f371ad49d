"""Fields pasted, translated if there is a generator, and written one after another."""

import functools

from tqdm import tqdm

from cellmm.apis.in_order import in_order
from cellmm.synthesis.fields import FieldOptions, paste_field, whole_counts
from cellmm.synthesis.generator import Generator
from cellmm.synthesis.set_folder import Counts, SetFolder
from cellmm.synthesis.sources import Sources

AHEAD = 2  # fields that are pasted while the generator works


def make_set(
    folder: SetFolder,
    sources: Sources,
    options: FieldOptions,
    number: int,
    *,
    generator: Generator | None = None,
    done: int = 0,
) -> Counts:
    """Write images ``done + 1`` to ``number``, each of which depends on its number and ``options`` alone.

    Args:
        folder: was begun, or goes on.
        generator: None: the fields themselves are the images.
    """
    ids = [category["id"] for category in sources.categories]
    numbers = range(done + 1, number + 1)
    paste = functools.partial(paste_field, sources, options=options)
    fields = in_order(paste, numbers, ahead=AHEAD)
    with tqdm(total=number, initial=done, desc="synthesize", unit="image") as progress:
        for i, field in zip(numbers, fields, strict=True):
            if generator is None:
                planes, clipped = whole_counts(field.image)
            else:
                planes, clipped = generator.translate(field, i)
            folder.add(i, planes, field, ids, clipped)
            progress.update()
    return folder.finish(sources.categories)
