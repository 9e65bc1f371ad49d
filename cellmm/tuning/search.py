"""A search: which trial comes next, and what became of it. Several processes may work on the same one."""

import contextlib
import json
import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.io.files import locked_folder
from cellmm.tuning.report import write_report
from cellmm.tuning.space import Parameter
from cellmm.tuning.training import Outcome, check_training, train_trial
from cellmm.tuning.trial_config import TrialSettings, trial_config, validations, write_best_config

STUDY, BEST = "study.db", "best.py"
SAMPLERS, PRUNERS = ("random", "tpe"), ("none", "asha", "hyperband")
BEST_SHARE, BEST_LEAST = 0.1, 3  # of the trials of a round, those that the next one is narrowed around
LOST = 3  # times that a process may end in a trial before it counts as failed
FAILED_AT_START = 10  # trials: where none of the first ones works, none will
WAIT = 0.5  # seconds between two looks at what other processes do


@dataclass(frozen=True)
class Plan:
    """``trials`` in each of ``rounds``; each but the first is narrowed around the best of those before.

    ``sampler``, ``pruner``: of SAMPLERS and PRUNERS; ``seed``: of what is drawn, not of the trainings.
    """

    trials: int = 50
    rounds: int = 2
    sampler: str = "random"
    pruner: str = "none"
    seed: int = 0

    @property
    def total(self) -> int:
        return self.trials * self.rounds


class Search:
    """A study in ``folder``: ``study.db``, ``trial_0000`` and so on, the table, the plots and ``best.py``.

    What trial number n of a random search gets follows from ``plan.seed``, n and, from the second round on,
    the scores of the rounds before. A trial whose process was ended is taken up from its last checkpoint by
    the next process that looks for work.

    Args:
        say: for each line about the progress.

    Raises:
        CellMMError: Optuna is not installed, or ``folder`` has a search with other settings.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrialSettings,
        space: Sequence[Parameter],
        plan: Plan,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.settings, self.space, self.plan, self.say = folder, settings, space, plan, say
        self.optuna = need("optuna", "tune", "searches for the best values")
        self.optuna.logging.set_verbosity(self.optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=self.optuna.exceptions.ExperimentalWarning)
        with self._alone():
            storage = self.optuna.storages.RDBStorage(
                f"sqlite:///{(folder / STUDY).resolve()}", engine_kwargs=dict(connect_args=dict(timeout=100))
            )
            self.study = self.optuna.create_study(
                study_name="cellmm",
                storage=storage,
                direction="minimize" if settings.minimize else "maximize",
                load_if_exists=True,
            )
            self._same_settings()
        self.steps = validations(trial_config(settings, {}, folder))
        self.study.pruner = self._pruner()

    def check(self) -> None:
        """Before the first trial: the config can be trained, and validation gives the metric.

        Raises:
            CellMMError: it cannot.
        """
        with self._alone():
            if self.study.get_trials(deepcopy=False):
                return
            place = self.folder / "check"
            try:
                check_training(trial_config(self.settings, {}, place))
            finally:
                shutil.rmtree(place, ignore_errors=True)

    def run(self, minutes: float = math.inf) -> None:
        """Work on trials until all are done or ``minutes`` are over; a training that is cut can be taken up.

        Raises:
            CellMMError: none of the first trials works.
        """
        deadline = time.monotonic() + 60 * minutes
        while time.monotonic() < deadline:
            with contextlib.ExitStack() as held:
                with self._alone():
                    trial = self._next(held)
                if trial is None and self._is_done():
                    return
                if trial is None:
                    time.sleep(WAIT)  # for the last trials of a round, which other processes train
                    continue
                outcome = self._train(trial, deadline)
                if outcome.state == "stopped":
                    break
                with self._alone():
                    self._tell(trial, outcome)
        self.say(f"the time is over; the same command goes on from {self.folder}")

    def write(self) -> None:
        """The table, the plots and the config of the best trial so far."""
        trials = self.study.get_trials(deepcopy=False)
        write_report(self.folder, trials, self.space, self.settings, self.plan.trials)
        if (best := self.best()) is None:
            return
        length = "" if self.settings.length is None else f", {self.settings.length} epochs or iterations each"
        note = f"{self.settings.metric} {best.value:.6g}: trial {best.number} of {len(trials)}{length}"
        write_best_config(self.folder / BEST, self.settings, self.values(best), note)

    def best(self) -> Any | None:
        """The complete trial with the best score, the first of equals; None: no trial is complete."""
        complete = self._complete(self.study.get_trials(deepcopy=False))
        return complete[0] if complete else None

    def values(self, trial: Any) -> dict[str, Any]:
        """The values of a trial as they stand in its config, by dotted key."""
        return {parameter.key: parameter.value(trial.params[parameter.key]) for parameter in self.space}

    def place(self, number: int) -> Path:
        return self.folder / f"trial_{number:04d}"

    def _complete(self, trials: Sequence[Any]) -> list[Any]:
        """Those that are complete, best first."""
        sign = 1 if self.settings.minimize else -1
        complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
        return sorted(complete, key=lambda trial: (sign * trial.value, trial.number))

    def _is_done(self) -> bool:
        trials = self.study.get_trials(deepcopy=False)
        return len(trials) >= self.plan.total

    def _same_settings(self) -> None:
        plan = asdict(self.plan)
        if self.plan.rounds == 1:
            plan.pop("trials")  # more of them may follow
        now = {**asdict(self.settings), **plan}
        now["space"] = {parameter.key: parameter.text() for parameter in self.space}
        now = json.loads(json.dumps(now, default=str))
        before = self.study.user_attrs.get("settings")
        if before is None:
            self.study.set_user_attr("settings", now)
            return
        if changed := [key for key in now.keys() | before.keys() if now.get(key) != before.get(key)]:
            key = sorted(changed)[0]
            raise CellMMError(
                f"{self.folder}: has a search with another {key}, {before.get(key)!r} and not "
                f"{now.get(key)!r}; give the same, or another place: --work-dir"
            )

    def _pruner(self) -> Any:
        pruners = self.optuna.pruners
        if self.plan.pruner == "asha":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        if self.plan.pruner == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=self.steps, reduction_factor=3)
        return pruners.NopPruner()

    def _next(self, held: contextlib.ExitStack) -> Any | None:
        """A trial to train, whose folder ``held`` keeps locked; None: there is none now."""
        trials = self.study.get_trials(deepcopy=False)
        for frozen in trials:
            if frozen.state.name == "RUNNING" and self._hold(frozen.number, held):
                if trial := self._take_up(frozen):
                    return trial
                return self._next(held)
        if len(trials) >= self.plan.total and not any(trial.state.name == "WAITING" for trial in trials):
            return None
        number = next((t.number for t in trials if t.state.name == "WAITING"), len(trials))
        before = trials[: number // self.plan.trials * self.plan.trials]
        if any(trial.state.name == "RUNNING" for trial in before):
            return None
        seed = np.random.SeedSequence((self.plan.seed, number))
        if self.plan.sampler == "random":
            self.study.sampler = self.optuna.samplers.RandomSampler(seed=self.plan.seed)
            if number == len(trials):
                rng = np.random.default_rng(seed)
                space = self.narrowed(before)
                self.study.enqueue_trial({parameter.key: parameter.draw(rng) for parameter in space})
        else:
            self.study.sampler = self.optuna.samplers.TPESampler(seed=int(seed.generate_state(1)[0]))
        trial = self.study.ask()
        self._hold(trial.number, held)
        for parameter in self.space:
            parameter.suggest(trial)
        return trial

    def narrowed(self, before: Sequence[Any]) -> list[Parameter]:
        """The space around the best of the trials ``before``; the whole one where too few are complete."""
        best = self._complete(before)
        best = best[: max(BEST_LEAST, math.ceil(BEST_SHARE * len(best)))]
        if len(best) < BEST_LEAST:
            return list(self.space)
        return [parameter.around([trial.params[parameter.key] for trial in best]) for parameter in self.space]

    def _take_up(self, frozen: Any) -> Any | None:
        """The trial of a process that was ended, to go on with; None: it was ended too often, and failed."""
        trial = self.optuna.trial.Trial(self.study, frozen._trial_id)
        times = frozen.user_attrs.get("lost", 0) + (not frozen.user_attrs.get("stopped", False))
        trial.set_user_attr("lost", times)
        trial.set_user_attr("stopped", False)
        if times >= LOST:
            self._tell(trial, Outcome("failed", reason=f"its process was ended {times} times"))
            return None
        self.say(f"trial {frozen.number}: its process was ended; it is taken up")
        for parameter in self.space:
            parameter.suggest(trial)
        return trial

    def _train(self, trial: Any, deadline: float) -> Outcome:
        began = time.monotonic()
        place = self.place(trial.number)
        try:
            cfg = trial_config(self.settings, self.values(trial), place)
            outcome = train_trial(
                cfg,
                trial,
                metric=self.settings.metric,
                minimize=self.settings.minimize,
                steps=self.steps,
                deadline=deadline,
            )
        except CellMMError as error:
            outcome = Outcome("failed", reason=str(error))
        except KeyboardInterrupt:
            trial.set_user_attr("stopped", True)
            raise
        if outcome.state == "stopped":
            trial.set_user_attr("stopped", True)
        minutes = trial.user_attrs.get("minutes", 0.0) + (time.monotonic() - began) / 60
        trial.set_user_attr("minutes", minutes)
        return outcome

    def _tell(self, trial: Any, outcome: Outcome) -> None:
        """Keep what became of a trial, say so, write all files anew, and remove weights that are not best."""
        if outcome.state == "complete":
            self.study.tell(trial, outcome.value)
        else:
            states = self.optuna.trial.TrialState
            trial.set_user_attr("reason", outcome.reason)
            self.study.tell(trial, state=states.PRUNED if outcome.state == "pruned" else states.FAIL)
        trials, best = self.study.get_trials(deepcopy=False), self.best()
        score = "" if outcome.value is None else f" {self.settings.metric} {outcome.value:.4g}"
        so_far = "" if best is None else f"; best so far {best.value:.4g}, trial {best.number}"
        texts = ", ".join(f"{key}={value!r}" for key, value in self.values(trial).items())
        reason = f" ({outcome.reason})" if outcome.reason else ""
        self.say(f"trial {trial.number} of {self.plan.total} {outcome.state}{score}{reason}{so_far}: {texts}")
        self.write()
        for other in trials:
            if other.state.is_finished() and (best is None or other.number != best.number):
                for path in self.place(other.number).glob("*.pth"):
                    path.unlink()
        ended = [other for other in trials if other.state.is_finished()]
        if len(ended) >= FAILED_AT_START and all(other.state.name == "FAIL" for other in ended):
            raise CellMMError(
                f"{self.folder}: all of the first {len(ended)} trials failed, the last one: "
                f"{outcome.reason}; change the search space or the config, and give another --work-dir"
            )

    def _hold(self, number: int, held: contextlib.ExitStack) -> bool:
        """Lock the folder of a trial until ``held`` ends; False: another process has it."""
        try:
            held.enter_context(locked_folder(self.place(number), "`cellmm tune`"))
        except CellMMError:
            return False
        return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time; the others wait, for as long as it writes a few files."""
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(locked_folder(self.folder, "`cellmm tune`"))
                except CellMMError:
                    time.sleep(WAIT / 10)
                    continue
                yield
                return
