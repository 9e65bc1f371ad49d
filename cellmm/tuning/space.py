"""The search space: which keys of a config are tuned, and between which values."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from cellmm.errors import CellMMError

if TYPE_CHECKING:
    import optuna

KEY = "search_space"  # of a config that has its space with it
FORMS = "'log LOW HIGH', 'float LOW HIGH', 'int LOW HIGH', 'logint LOW HIGH', or a list of choices"
LEAST_WIDTH = 0.1  # of a narrowed range, as a part of the range that it was made of


@dataclass(frozen=True)
class Parameter:
    """A key with the values that it may take: ``low`` to ``high``, ends included, or ``choices``.

    ``log``: its logarithm is drawn, not the number; ``whole``: whole numbers; ``choices``: values as JSON.
    """

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    def draw(self, rng: np.random.Generator) -> Any:
        """A value as a study keeps it: a number, or a choice as JSON."""
        if self.choices:
            return self.choices[rng.integers(len(self.choices))]
        if not self.whole:
            low, high = self._scaled()
            return min(max(self._unscaled(rng.uniform(low, high)), self.low), self.high)
        if not self.log:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(rng.uniform(low, high))), int(self.low)), int(self.high))

    def suggest(self, trial: "optuna.trial.Trial") -> Any:
        """The value that ``trial`` has, or else gets from the sampler of its study."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)

    def value(self, kept: Any) -> Any:
        """What stands in the config, of a value as a study keeps it."""
        return json.loads(kept) if self.choices else kept

    def extremes(self) -> list[Any]:
        """Values of the config that must be allowed: both ends, or all choices."""
        if self.choices:
            return [json.loads(choice) for choice in self.choices]
        return [int(self.low), int(self.high)] if self.whole else [self.low, self.high]

    def around(self, kept: Sequence[Any]) -> "Parameter":
        """The values between the lowest and the highest of ``kept``, or these choices alone.

        A range has at least LEAST_WIDTH of the width of the old one (of its logarithms, if ``log``), around
        the middle of ``kept`` and inside the old one.

        Examples:
            >>> rate = Parameter("lr", low=1e-5, high=1e-1, log=True)
            >>> rate.around([1e-3, 1e-2]).low, rate.around([1e-3, 1e-2]).high
            (0.001, 0.01)
        """
        if self.choices:
            return replace(self, choices=tuple(choice for choice in self.choices if choice in kept))
        if max(kept) > min(kept):
            narrow = replace(self, low=min(kept), high=max(kept))
            if np.diff(narrow._scaled())[0] >= LEAST_WIDTH * np.diff(self._scaled())[0]:
                return narrow
        low, high = self._scaled()
        middle = np.mean(replace(self, low=min(kept), high=max(kept))._scaled())
        half = LEAST_WIDTH * (high - low) / 2
        ends = [self._unscaled(min(max(end, low), high)) for end in (middle - half, middle + half)]
        if self.whole:
            ends = [math.floor(ends[0]), math.ceil(ends[1])]
        return replace(self, low=max(ends[0], self.low), high=min(ends[1], self.high))

    def text(self) -> str:
        """As a search space has it."""
        if self.choices:
            return f"[{', '.join(self.choices)}]"
        kind = ("logint" if self.log else "int") if self.whole else ("log" if self.log else "float")
        return f"{kind} {self.low:.4g} {self.high:.4g}"

    def _scaled(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)

    def _unscaled(self, value: float) -> float:
        return math.exp(value) if self.log else float(value)


def read_space(given: Mapping[str, Any], where: str) -> list[Parameter]:
    """The parameters of a search space, {dotted key: one of FORMS}.

    Raises:
        CellMMError: names ``where`` and the key that is wrong, and the forms.

    Examples:
        >>> space = read_space({"optim_wrapper.optimizer.lr": "log 1e-5 1e-2", "seed": [1, 2]}, "space.yml")
        >>> [parameter.text() for parameter in space]
        ['log 1e-05 0.01', '[1, 2]']
    """
    if not isinstance(given, Mapping) or not given:
        raise CellMMError(f"{where}: a dict of dotted keys of the config is needed; their values: {FORMS}")
    return [_read_parameter(str(key), form, f"{where}: {key}") for key, form in given.items()]


def read_space_file(path: str | Path) -> list[Parameter]:
    """The parameters of a YAML file, see ``read_space``.

    Raises:
        CellMMError: the file is absent or is no YAML, or a key is wrong.
    """
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CellMMError(
            f"{path}: not a YAML file that can be read: {' '.join(str(error).split())}"
        ) from error
    return read_space(given, str(path))


def _read_parameter(key: str, form: Any, where: str) -> Parameter:
    if isinstance(form, (list, tuple)):
        try:
            choices = tuple(json.dumps(choice) for choice in form)
        except TypeError as error:
            raise CellMMError(f"{where}: a choice is no text, number, list or dict: {error}") from error
        if len(set(choices)) < max(len(choices), 2):
            raise CellMMError(f"{where}: {form!r} has to be two or more different values")
        return Parameter(key, choices=choices)
    kind, *ends = form.split() if isinstance(form, str) else (None,)
    try:
        low, high = (float(end) for end in ends)
    except ValueError:
        low = high = math.nan
    if kind not in ("log", "float", "int", "logint") or math.isnan(low) or math.isnan(high):
        raise CellMMError(f"{where}: {form!r} is none of {FORMS}")
    whole, log = kind in ("int", "logint"), kind in ("log", "logint")
    if not low < high < math.inf or low == -math.inf:
        raise CellMMError(f"{where}: {form!r}: the first number has to be below the second, both finite")
    if log and low <= 0:
        raise CellMMError(f"{where}: {form!r}: a logarithm needs numbers above 0; take 'float' or 'int'")
    if whole and (low % 1 or high % 1):
        raise CellMMError(f"{where}: {form!r}: whole numbers are needed; take 'float' or 'log'")
    return Parameter(key, low=low, high=high, log=log, whole=whole)
