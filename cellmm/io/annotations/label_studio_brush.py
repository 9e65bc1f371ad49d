"""The run lengths of Label Studio's brush: the rle-pack format of thi.ng, in bits."""

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.memory import MAX_VALUES

CHANNELS = 4  # RGBA; the last one is the brush
OPAQUE = 128
WORD = 8  # bits of a sample
SIZES = (3, 4, 8, 16)  # bits of the lengths of runs, as label-studio-converter chooses them


def encode_brush(mask: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> list[int]:
    """The brush that ``decode_brush`` reads: all four channels are 255 in the mask, 0 elsewhere.

    Args:
        mask: bool (h, w), a part of the image.
        corner: (top, left) of ``mask`` in the image.
        shape: (H, W) of the image.

    Raises:
        CellMMError: the image is too large to be read again.

    Examples:
        >>> rle = encode_brush(np.ones((1, 2), bool), (1, 0), (2, 3))
        >>> decode_brush(rle, (2, 3), "it").astype(int).tolist()
        [[0, 0, 0], [1, 1, 0]]
    """
    count = CHANNELS * shape[0] * shape[1]
    if count > MAX_VALUES:
        raise CellMMError(
            f"a brush on an image of {list(shape)} (h, w) is too large: draw polygons, or tile it"
        )
    height, width = mask.shape
    padded = np.zeros((height, width + 1), dtype=np.int8)
    padded[:, :width] = mask
    row, column = np.divmod(np.flatnonzero(np.diff(padded.ravel(), prepend=0)), width + 1)
    edges = CHANNELS * ((corner[0] + row) * shape[1] + corner[1] + column)
    lengths = np.diff(edges, prepend=0, append=count).tolist()
    parts = [f"{count:032b}{WORD - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    longest = 1 << SIZES[-1]
    for number, length in enumerate(lengths):
        word = f"{255 * (number % 2):0{WORD}b}"
        while length > 0:
            run = min(length, longest) - 1
            size = next(i for i, bits in enumerate(SIZES) if run < 1 << bits)
            parts.append(f"1{size:02b}{run:0{SIZES[size]}b}{word}")
            length -= run + 1
    text = "".join(parts)
    num = -(-len(text) // 8)
    return list(int(text.ljust(8 * num, "0"), 2).to_bytes(num))


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
    if count != CHANNELS * pixels or word != WORD:
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
