"""The run lengths of Label Studio's brush: the rle-pack format of thi.ng, in bits."""

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.memory import MAX_VALUES

CHANNELS = 4  # RGBA; the last one is the brush
OPAQUE = 128


def decode_brush(rle: object, shape: tuple[int, int], what: str) -> np.ndarray:
    """The pixels of a brush, bool (H, W).

    32 bits are the number of words, 5 their bits less one, four times 4 the bits of run lengths less one.
    Each run: one bit, whether it repeats a single word; 2 bits, which of the four; its length less one; its
    words. They are the samples of an RGBA image, row by row.

    Args:
        rle: bytes, as whole numbers from 0 to 255.
        shape: (H, W) of the image.
        what: names the file and the brush in errors.

    Raises:
        CellMMError: it is damaged, or of an image of another size.
    """
    if not isinstance(rle, list) or not all(type(byte) is int and 0 <= byte <= 255 for byte in rle):
        raise CellMMError(f"{what} has an RLE that is not a list of bytes: export it again")
    data = bytes(rle)
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    at = 0

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(bits):
            raise CellMMError(f"{what} has an RLE that is cut off: export it again")
        first = at >> 3
        window = int.from_bytes(data[first : first + 6].ljust(6, b"\0"))  # 48 bits hold any 32
        value = (window >> (48 - (at & 7) - size)) & ((1 << size) - 1)
        at += size
        return value

    count, word = number(32), number(5) + 1
    sizes = [number(4) + 1 for _ in range(4)]
    pixels = shape[0] * shape[1]
    if count != CHANNELS * pixels or word != 8:
        raise CellMMError(
            f"{what} has an RLE of {count} words of {word} bits, not of {CHANNELS} bytes for each pixel of "
            f"an image of {list(shape)} (h, w): export it again"
        )
    if count > MAX_VALUES:
        raise CellMMError(
            f"{what} has a brush on an image of {list(shape)} (h, w), too large: crop or tile it"
        )
    samples = np.zeros(count, dtype=np.uint8)
    done = 0
    while done < count:
        repeated = number(1)
        length = number(sizes[number(2)]) + 1
        if done + length > count:
            raise CellMMError(f"{what} has an RLE with too long a run: export it again")
        if repeated:
            samples[done : done + length] = number(word)
        else:
            taken = bits[at : at + length * word]
            if len(taken) < length * word:
                raise CellMMError(f"{what} has an RLE that is cut off: export it again")
            samples[done : done + length] = np.packbits(taken)
            at += length * word
        done += length
    return samples.reshape(*shape, CHANNELS)[..., -1] >= OPAQUE
