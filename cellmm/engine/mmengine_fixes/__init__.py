"""All changes to mmengine: what, why, and when each can be removed. All are for mmengine 0.10.

Each module of this package replaces a part of mmengine, or registers a class under the name of mmengine's.

=======================  ==============================================  =====================================
module                   why: mmengine ...                               removable when mmengine ...
=======================  ==============================================  =====================================
``atomic_backend``       writes files in place: a kill or a full disk    writes under another name, then
                         leaves half a checkpoint                        renames
``checkpoint_hook``      removes the earlier checkpoint before the new   removes it afterwards
                         one is complete
``ddp``                  gives device ids to torch's DDP, which refuses  gives none on the CPU
                         them for a model on the CPU
``early_stopping_hook``  forgets its count on resume                     puts its state into checkpoints
``full_mmcv``            asks ``pkgutil.find_loader`` for mmcv, which    uses ``importlib.util.find_spec``
                         Python 3.14 does not have
``log_filter``           logs a line for each option of each parameter   logs these lines at level DEBUG
``optim_wrappers``       takes steps with gradients that are NaN;        checks gradients, and uses
                         scales gradients in float16 on a GPU only       ``torch.amp.GradScaler`` on any
                                                                         device
``safe_loader``          downloads checkpoints, executes                 reads local files as data and
                         ``meta.config`` and does not verify the         verifies them
                         checksums of a file
``weights_only_hook``    pickles objects into checkpoints, which         stores tensors and plain values only
                         ``weights_only=True`` refuses
=======================  ==============================================  =====================================

Other changes belong to a subject of cellmm and stand with it:

==================================  ==========================================================================
module                              why: mmengine ...
==================================  ==========================================================================
``cellmm.config.text``              lays out the config anew for every checkpoint, which takes a second each
                                    time
``cellmm.engine.averaged_weights``  averages without warm-up, so that the first weights count for long
``cellmm.engine.hooks.ema_hook``    does not compare averaged with plain weights
``cellmm.engine.loops``             reads all earlier batches again on resume, and then draws other random
                                    numbers
``cellmm.engine.ranks``             needs a GPU for more than one process
``cellmm.engine.runner``            compiles matching and the optimizer too; keeps old learning rates on
                                    resume; leaves workers behind when it is killed
==================================  ==========================================================================
"""

from cellmm.config.text import use_config_text
from cellmm.engine.mmengine_fixes import full_mmcv  # noqa: F401 (importing it is the change)
from cellmm.engine.mmengine_fixes.atomic_backend import use_atomic_files
from cellmm.engine.mmengine_fixes.safe_loader import use_safe_loader


def use_fixes() -> None:
    """Change how mmengine loads checkpoints, writes files and formats configs, in this process."""
    use_safe_loader()
    use_atomic_files()
    use_config_text()
