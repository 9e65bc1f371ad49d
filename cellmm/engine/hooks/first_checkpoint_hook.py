"""A checkpoint before the first step, to know that later ones can be written and read."""

from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from cellmm.engine.checkpoint import check_training_state
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS
from cellmm.utils import explain


@HOOKS.register_module()
class FirstCheckpointHook(Hook):
    """Write a checkpoint into the work dir before training, read it back as ``--resume`` would, remove it.

    Raises:
        CellMMError: on every rank, what the first one found: one line.
    """

    priority = "LOWEST"  # after all hooks are ready to add their parts

    def before_train(self, runner: Runner) -> None:
        said = [self._try(runner) if is_main_process() else None]
        broadcast_object_list(said)
        if said[0]:
            raise CellMMError(said[0])

    def _try(self, runner: Runner) -> str | None:
        """What is wrong, in one line; None: nothing is."""
        path = Path(runner.work_dir, f".iter_{runner.iter}.trial.pth")
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        try:
            runner.save_checkpoint(runner.work_dir, path.name, meta=meta, by_epoch=False)
            check_training_state(path, model, runner.optim_wrapper)
        except CellMMError as error:
            text = str(error).replace(f"{path}: ", "")
            return f"{runner.work_dir}: a checkpoint of this training could not be resumed from: {text}"
        except OSError as error:
            return explain(error) or f"{runner.work_dir}: {error}; name another work dir"
        finally:
            path.unlink(missing_ok=True)
        return None
