"""A checkpoint before the first step, to know that later checkpoints can be written and read."""

from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from cellmm.engine.checkpoints import check_training_state
from cellmm.errors import CellMMError, cure_of
from cellmm.registry import HOOKS


@HOOKS.register_module()
class FirstCheckpointHook(Hook):
    """Write a checkpoint into the work dir before training, read it back as ``--resume`` would, remove it.

    Raises:
        CellMMError: on every rank, one line with what the first rank found.
    """

    priority = "LOWEST"  # when all hooks are ready to add their parts

    def before_train(self, runner: Runner) -> None:
        said = [self._try(runner) if is_main_process() else None]
        broadcast_object_list(said)
        if said[0]:
            raise CellMMError(said[0])

    def _try(self, runner: Runner) -> str | None:
        """What is wrong, in one line, or None."""
        path = Path(runner.work_dir, f".iter_{runner.iter}.trial.pth")
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        try:
            try:
                runner.save_checkpoint(runner.work_dir, path.name, meta=meta, by_epoch=False)
            except (CellMMError, OSError) as error:
                of_disk = error if isinstance(error, OSError) else error.__cause__
                if not isinstance(of_disk, OSError):
                    raise
                why = f"({of_disk.strerror or of_disk}): {cure_of(of_disk.errno)}"
                return f"{runner.work_dir}: a first checkpoint cannot be written {why}"
            check_training_state(path, model, runner.optim_wrapper)
        except (CellMMError, OSError) as error:
            text = str(error).replace(f"{path}: ", "")
            return f"{runner.work_dir}: a checkpoint of this training could not be resumed from: {text}"
        finally:
            path.unlink(missing_ok=True)
        return None
