"""mmengine's look for the compiled operators of mmcv, by what Python 3.14 still has.

Importing this module replaces it: optimizers and models are built without a Runner too.
"""

import importlib.util

import mmengine.model.utils
import mmengine.optim.optimizer.default_constructor


def mmcv_full_available() -> bool:
    """Whether mmcv with compiled operators is installed."""
    return importlib.util.find_spec("mmcv") is not None and importlib.util.find_spec("mmcv._ext") is not None


for _module in (mmengine.model.utils, mmengine.optim.optimizer.default_constructor):
    _module.mmcv_full_available = mmcv_full_available
