"""From a config file to an mmengine Runner that is right on today's torch."""

import functools
import itertools
import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size, master_only
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from cellmm.arguments import arguments_of
from cellmm.config.lookup import component_of
from cellmm.engine.checkpoints import (
    check_training_state,
    fit_start_weights,
    load_checkpoint,
    load_start_weights,
    sha256,
)
from cellmm.engine.frozen import describe_frozen, thawed
from cellmm.engine.hooks import TimeBudgetHook, TrainingReportHook
from cellmm.engine.mmengine_fixes import use_fixes
from cellmm.engine.mmengine_fixes.log_filter import drop_noise
from cellmm.engine.preflight import ask_hook, build_from_config, check_runner
from cellmm.engine.ranks import on_every_rank, on_first_rank, start_distributed
from cellmm.engine.rates import check_rates_can_be_computed, compute_rates, options_of
from cellmm.engine.resumed_config import Changes, compare
from cellmm.engine.work_dir import (
    find_training_state,
    lock_work_dir,
    put_other_training_away,
    unlock_work_dir,
)
from cellmm.engine.workers import end_with_parent
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import TORCHVISION, torchvision_file
from cellmm.registry import SCOPE

# hooks of every training, whether its config names them or not
NEEDED_HOOKS = dict(
    non_finite=dict(type="NonFiniteHook"),
    plain_checkpoint=dict(type="WeightsOnlyHook"),
    resume=dict(type="ResumeHook"),
    first_checkpoint=dict(type="FirstCheckpointHook"),
    learning_alarm=dict(type="LearningAlarmHook"),
    contact_sheet=dict(type="ContactSheetHook"),
    validation_pictures=dict(type="ValidationPicturesHook"),
    trained_on=dict(type="TrainedOnHook"),
    training_report=dict(type="TrainingReportHook"),
)
PROGRESS = dict(type="ProgressHook")  # a hook of every training and every test
OPTIONAL = (
    "progress",
    "learning_alarm",
    "contact_sheet",
    "validation_pictures",
    "training_report",
    "train_metrics",
)  # hooks that None switches off

_runs = itertools.count(1)


class CellRunner(Runner):
    """mmengine's Runner, which checks a checkpoint before it uses it, and compiles the networks alone.

    Given ``compile`` in a config, mmengine would compile all of ``train_step``: matching, lists of ground
    truth and the optimizer too.

    Attributes:
        changes: what this config changes in the training that is resumed.
    """

    changes = Changes()

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """mmengine's, with workers that end with this process."""
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        if (loader.multiprocessing_context or multiprocessing).get_start_method() == "fork":
            loader.worker_init_fn = functools.partial(end_with_parent, os.getpid(), loader.worker_init_fn)
        return loader

    def train(self) -> nn.Module:
        try:
            return super().train()
        except KeyboardInterrupt:
            for hook in self.hooks:
                if isinstance(hook, TrainingReportHook):
                    hook.write(self)
            raise
        finally:
            unlock_work_dir(Path(self.work_dir))

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """mmengine's, which accepts None only for the hooks that it knows."""
        hooks = hooks or {}
        off = [name for name in OPTIONAL if name in hooks and hooks[name] is None]
        super().register_default_hooks({name: hook for name, hook in hooks.items() if name not in off})

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """mmengine's; what is frozen has its groups too, so that a resumed training may freeze and thaw."""
        with thawed(getattr(self.model, "module", self.model)):
            return super().build_optim_wrapper(optim_wrapper)

    def load_or_resume(self) -> None:
        """mmengine's; says what was loaded and what is frozen."""
        model = getattr(self.model, "module", self.model)
        if self._load_from and not self._has_loaded and not self._resume:
            self._start_from(self._load_from, model)
        super().load_or_resume()
        if frozen := getattr(model, "frozen", ()):
            self.logger.info(describe_frozen(model, frozen))
            if not self._load_from:
                self.logger.warning(
                    "model.frozen: no weights were loaded; what is frozen stays random, unless an init_cfg "
                    "fills it: give --from MODEL"
                )

    def _start_from(self, filename: str, model: nn.Module) -> None:
        checkpoint = load_checkpoint(filename)
        start = fit_start_weights(model, checkpoint["state_dict"], filename)
        level = logging.INFO if start.is_whole else logging.WARNING
        for line in start.lines():
            print_log(f"{filename}: {line}", logger="current", level=level)
        checkpoint["state_dict"] = start.weights
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        load_start_weights(model, start, filename)
        self._has_loaded = True

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = "default",
    ) -> None:
        """mmengine's; if the config changed options of the optimizer or schedules, the new ones are used."""
        options = options_of(self.optim_wrapper) if self.changes.rates else None
        old_schedules = resume_param_scheduler and options is None
        super().resume(filename, resume_optimizer, old_schedules, map_location)
        if options is not None:
            budgets = [hook for hook in self.hooks if isinstance(hook, TimeBudgetHook)]
            compute_rates(self, options, budgets[0].steps if budgets else self.iter)
        self._say_changes(filename)

    def check_resume(self, checkpoint: dict) -> None:
        """Raise CellMMError if training cannot resume from ``checkpoint``, the content of ``load_from``."""
        model = getattr(self.model, "module", self.model)
        check_training_state(self._load_from, model, self.optim_wrapper, checkpoint)
        if self.changes.rates:
            check_rates_can_be_computed(self, self._load_from)

    def _say_changes(self, filename: str) -> None:
        say = functools.partial(print_log, logger="current", level=logging.WARNING)
        for line in self.changes.lines:
            say(f"{filename}: made with another config; used from iteration {self.iter} on: {line}")
        if idle := self.changes.idle:
            say(f"{filename}: made with another config, to no effect on the weights: {', '.join(idle)}")
        if self.changes.unknown:
            say(f"{filename}: does not hold its config: learning rates go on as they were, whatever changed")

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """mmengine's; a hook's complaint about its values before the first step becomes one line."""
        if fn_name not in ("before_run", "before_train"):
            return super().call_hook(fn_name, **kwargs)
        for hook in self.hooks:
            ask_hook(self, hook, fn_name)

    @master_only
    def dump_config(self) -> None:
        """mmengine's; a test writes its config beside its log, not over that of the training."""
        if self.cfg.get("train_dataloader") is not None:
            super().dump_config()
            return
        self.cfg.dump(os.path.join(self.log_dir, f"{Path(self.cfg.filename or self.timestamp).stem}.py"))

    def _maybe_compile(self, target: str) -> None:
        options = self.cfg.get("compile")
        if not options:
            return
        if not torch.cuda.is_available() and not shutil.which(os.environ.get("CXX", "g++")):
            raise CellMMError("compile: on the CPU it needs a C++ compiler; install g++ or leave it out")
        model = getattr(self.model, "module", self.model)
        model.extract = torch.compile(model.extract, **(options if isinstance(options, dict) else {}))
        self.logger.info("The networks are compiled: the first iterations take a minute.")


def build_runner(cfg: Config) -> CellRunner:
    """A Runner that resumes exactly, reads checkpoints as data and runs DDP without a GPU too.

    ``cfg.resume``: ``'auto'`` resumes from the newest complete checkpoint of the work dir, or starts anew if
    it has none; a path resumes from that file; True, as in mmengine, resumes from ``load_from`` if that is
    set, else as ``'auto'``. Checkpoints of another training in the work dir are moved away. No other training
    can use the work dir until this one, or its process, ends.
    """
    use_fixes()
    start_distributed(cfg)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if cfg.get("default_scope") is None:
        cfg.default_scope = SCOPE
    # mmengine's names count seconds: two trainings of a process within one second would share a message hub
    name = Path(cfg.filename or "config").stem
    cfg.setdefault("experiment_name", f"{name}_{time.strftime('%Y%m%d_%H%M%S')}_{next(_runs)}")
    _add_hooks(cfg, dict(progress=PROGRESS))
    if cfg.get("train_dataloader") is None:
        return _checked_runner(cfg)
    try:
        goes_on, checkpoint = _prepare_training(cfg)
        changes = compare(checkpoint, cfg, cfg.load_from) if cfg.get("resume") else Changes()
        runner = _checked_runner(cfg)
        if cfg.get("resume"):
            runner.changes = changes
            runner.check_resume(checkpoint)
        if not goes_on:  # only now that everything is in order
            put_other_training_away(cfg)
    except BaseException:
        unlock_work_dir(Path(cfg.work_dir))
        raise
    return runner


def _checked_runner(cfg: Config) -> CellRunner:
    runner = build_from_config(CellRunner.from_cfg, cfg)
    drop_noise(runner.logger)
    check_runner(runner)
    return runner


def _give_seed(dataset: dict, seed: int) -> None:
    """Give it to a dataset whose constructor names it, and to those inside, unless they have their own."""
    cls = component_of(dataset, "DATASETS")
    if cls is not None and "seed" in arguments_of(cls).by_name:
        dataset.setdefault("seed", seed)
    for wrapped in dataset.get("datasets") or [dataset.get("dataset")]:
        if isinstance(wrapped, dict):
            _give_seed(wrapped, seed)


def _add_hooks(cfg: Config, added: dict[str, dict]) -> None:
    """Add hooks that the config lacks; None switches off OPTIONAL hooks, for others a warning names them."""
    hooks = dict(cfg.get("default_hooks") or {})
    off = [name for name in added if name in hooks and hooks[name] is None]
    if needed := [f"default_hooks.{name}" for name in off if name not in OPTIONAL]:
        print_log(
            f"{', '.join(needed)}: None, but every training needs it; it stays on",
            logger="current",
            level=logging.WARNING,
        )
    for name, hook in added.items():
        if not hooks.get(name) and not (name in off and name in OPTIONAL):
            hooks[name] = hook
    cfg.default_hooks = hooks


def _prepare_training(cfg: Config) -> tuple[bool, dict | None]:
    """Fill in what training needs.

    Returns:
        Whether it goes on with the training of its work dir, and the content of the checkpoint that it
        starts from.
    """
    cfg.setdefault("randomness", dict(seed=0))
    if not isinstance(cfg.randomness.get("seed"), int):
        raise CellMMError("randomness.seed: give a whole number, so that the training can be repeated")
    _give_seed(cfg.train_dataloader.dataset, cfg.randomness.seed)
    by_epoch = getattr(component_of(cfg.train_cfg, "LOOPS"), "counts_epochs", False)
    cfg.setdefault("log_processor", dict(by_epoch=by_epoch))
    hooks = cfg.default_hooks
    counts = cfg.optim_wrapper.get("accumulative_counts", 1)
    interval = 1 if by_epoch else -(-500 // counts) * counts
    hooks.setdefault("checkpoint", dict(type="CheckpointHook", interval=interval, max_keep_ckpts=2))
    _add_hooks(cfg, NEEDED_HOOKS)
    work_dir = Path(cfg.work_dir)
    on_first_rank(lambda: lock_work_dir(work_dir))
    if cfg.get("resume") == "auto" or (cfg.get("resume") is True and not cfg.get("load_from")):
        found = on_first_rank(lambda: find_training_state(work_dir))
        cfg.resume = found is not None
        cfg.load_from = found or cfg.get("load_from")
        if found:
            return True, _read_on_every_rank(found)
    elif isinstance(cfg.get("resume"), str):
        cfg.load_from, cfg.resume = cfg.resume, True
    if str(cfg.get("load_from")).startswith(TORCHVISION):
        cfg.load_from = on_first_rank(lambda: str(torchvision_file(cfg.load_from)))
    return False, _read_on_every_rank(cfg.load_from) if cfg.get("load_from") else None


def _read_on_every_rank(path: str) -> dict:
    """The checkpoint; CellMMError on all ranks if a rank cannot read it or has another file of that name."""
    checkpoint = {}

    def digest() -> str:
        checkpoint.update(load_checkpoint(path))
        return sha256(path) if get_world_size() > 1 else ""

    if len(set(digests := on_every_rank(digest))) > 1:
        other = next(rank for rank, digest_there in enumerate(digests) if digest_there != digests[0])
        raise CellMMError(
            f"{path}: process {other} has another file of that name than process 0; put the work dir where "
            "all machines see it, or copy the file to each"
        )
    return checkpoint
