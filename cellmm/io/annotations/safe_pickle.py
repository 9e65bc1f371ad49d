"""Arrays in plain containers out of a pickle, without running anything that the pickle names.

A pickle may call any function of the machine as it is loaded. Here it can name only what NumPy's own arrays
need, and these names lead to stand-ins that keep bytes and numbers. The arrays are made from them afterwards.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from cellmm.errors import CellMMError

KINDS = "biuf"
DEEPEST = 20
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_BUFFERS = ("numpy.core.numeric", "numpy._core.numeric")
_PATHS = ("pathlib", "pathlib._local")


class _Array:
    """An array as pickled: (version, shape, dtype, Fortran order, bytes or a list of objects)."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _DType:
    """A data type as pickled: its code, as 'f4', and its byte order."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype:
        if not isinstance(self.code, str) or self.order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError("a damaged data type")
        return np.dtype(f"{'=' if self.order == '|' else self.order}{self.code}")


class _Scalar:
    def __init__(self, dtype: Any, data: Any = b"") -> None:
        self.dtype, self.data = dtype, data


def _array(kind: Any, *_: Any) -> _Array:
    return _Array()


def _buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", bytes(data))
    return array


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("a damaged text")
    return text.encode("latin1")


def _path(*parts: Any) -> str:
    return "/".join(map(str, parts))


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{(module, "_reconstruct"): _array for module in _MODULES},
    **{(module, "scalar"): _Scalar for module in _MODULES},
    **{(module, "_frombuffer"): _buffer for module in _BUFFERS},
    **{(module, name): _path for module in _PATHS for name in ("PosixPath", "WindowsPath", "PurePosixPath")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): lambda: b"",
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}"[:100])
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to other files")


def load_arrays(data: bytes, what: str) -> Any:
    """The object of a pickle: arrays of numbers in dicts, lists and tuples, with texts and numbers.

    Args:
        what: names the file in errors.

    Raises:
        CellMMError: it is damaged, or holds anything else.
    """
    try:
        return _made(_Unpickler(io.BytesIO(data)).load(), 0)
    except CellMMError:
        raise
    except Exception as error:  # a pickle can raise anything, as it is a program
        raise CellMMError(
            f"{what} is damaged or holds more than arrays, texts and numbers, which is not read for safety "
            f"({error}): save it again, or save the masks as TIFF"
        ) from error


def _made(value: Any, depth: int) -> Any:
    """The value with arrays in the place of their stand-ins."""
    if depth > DEEPEST:
        raise pickle.UnpicklingError("containers within each other")
    if isinstance(value, dict):
        return {key: _made(item, depth + 1) for key, item in value.items() if isinstance(key, str | int)}
    if isinstance(value, list | tuple):
        return [_made(item, depth + 1) for item in value]
    if isinstance(value, _Scalar):
        return np.frombuffer(value.data, _numbers(value.dtype.dtype()), 1)[0].item()
    if not isinstance(value, _Array):
        return value if isinstance(value, str | int | float | bool | bytes | None) else None
    _, shape, dtype, fortran, content = value.state
    if isinstance(content, list):
        items = [_made(item, depth + 1) for item in content]
        return items[0] if shape == () and len(items) == 1 else items
    array = np.frombuffer(content, _numbers(dtype.dtype()))
    return array.reshape(shape, order="F" if fortran else "C")


def _numbers(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in KINDS:
        raise pickle.UnpicklingError(f"an array of {dtype}")
    return dtype
