"""All changes to mmengine: what, why, and when each can go. All are for mmengine 0.10.

Modules of this package replace a part of mmengine, or register a class under mmengine's name for it.

======================  ==========================================  =======================================
module                  why: mmengine 0.10 ...                      can be removed when mmengine ...
======================  ==========================================  =======================================
``atomic_backend``      writes checkpoints in place, so that a      writes under another name first and
                        kill or a full disk leaves half a file      renames
``checkpoint_hook``     removes the earlier checkpoint before the   removes it afterwards, and counts
                        new one is complete; counts epochs by       iterations for an iteration loop
                        default
``ddp``                 passes device ids to torch's DDP, which     passes none for a model on the CPU
                        refuses them on the CPU
``early_stopping_hook``  forgets its count on resume                puts its state into checkpoints
``log_filter``          logs a line for each option of each         logs them at level DEBUG
                        parameter
``optim_wrappers``      steps with gradients that are NaN; has      checks them, and builds its gradient
                        mixed precision with a gradient scaler      scaler with ``torch.amp.GradScaler``
                        for GPUs only
``safe_loader``         downloads checkpoints, executes             reads local files with
                        ``meta.config`` and does not verify the     ``weights_only=True``, verifies checksums
                        file's checksums                            and executes nothing
``weights_only_hook``   pickles objects into checkpoints, which     stores tensors and plain values only
                        ``weights_only=True`` refuses
======================  ==========================================  =======================================

The other replacements belong to a subject of cellmm, and stand with it:

======================================================  ====================================================
place                                                   why: mmengine 0.10 ...
======================================================  ====================================================
``cellmm.config.text.use_config_text``                  formats the config anew for every checkpoint, which
                                                        takes a second each time
``cellmm.engine.averaged_weights``                      has an average without warm-up, which holds the
                                                        first weights for long
``cellmm.engine.hooks.ema_hook``                        does not compare averaged with plain weights
``cellmm.engine.loops.IterBasedTrainLoop``              reads all earlier batches again on resume, and draws
                                                        other random numbers then
``cellmm.engine.ranks.start_distributed``               needs a GPU for more than one process
``cellmm.engine.runner.CellRunner``                     compiles matching and the optimizer with the
                                                        network; restores old learning rates on resume;
                                                        leaves workers behind when it is killed
======================================================  ====================================================
"""

from cellmm.config.text import use_config_text
from cellmm.engine.mmengine_fixes.atomic_backend import use_atomic_files
from cellmm.engine.mmengine_fixes.safe_loader import use_safe_loader


def use_fixes() -> None:
    """Change how mmengine loads checkpoints, writes files and formats configs, in this process."""
    use_safe_loader()
    use_atomic_files()
    use_config_text()
