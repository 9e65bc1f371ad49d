"""The table of changes to mmengine is complete, and each of them is still needed."""

import importlib
import io
import logging
import pkgutil
import re

import mmengine
import mmengine.hooks
import mmengine.optim
import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.fileio import FileClient, LocalBackend, get_local_path, put
from mmengine.fileio.io import backend_instances
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.runner.checkpoint import CheckpointLoader, load_from_local

from cellmm.engine import mmengine_fixes
from cellmm.engine.mmengine_fixes.atomic_backend import AtomicBackend
from cellmm.engine.mmengine_fixes.ddp import CellDistributedDataParallel
from cellmm.engine.mmengine_fixes.early_stopping_hook import EarlyStoppingHook
from cellmm.engine.mmengine_fixes.log_filter import drop_noise
from cellmm.engine.mmengine_fixes.optim_wrappers import AmpOptimWrapper, OptimWrapper
from cellmm.engine.mmengine_fixes.weights_only_hook import is_plain
from cellmm.errors import CellMMError

TABLE = mmengine_fixes.__doc__


def test_the_table_names_every_module_once():
    modules = sorted(module.name for module in pkgutil.iter_modules(mmengine_fixes.__path__))
    assert sorted(re.findall(r"^``(\w+)`` ", TABLE, re.MULTILINE)) == modules


def test_what_stands_elsewhere_exists():
    places = re.findall(r"^``(cellmm[\w.]+)`` ", TABLE, re.MULTILINE)
    assert len(places) > 4
    for place in places:
        importlib.import_module(place)


def test_they_are_for_the_version_that_is_installed():
    assert re.search(r"for mmengine (\d+\.\d+)\.", TABLE)[1] == ".".join(mmengine.__version__.split(".")[:2])


def test_atomic_backend(tmp_path):
    """An error while a file is written: mmengine leaves nothing of what was there before."""
    for backend, left in ((LocalBackend(), b""), (AtomicBackend(), b"before")):
        (tmp_path / "a").write_bytes(b"before")
        with pytest.raises(TypeError):
            backend.put("text is not bytes", tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == left


def test_ddp_and_more_than_one_process_without_a_gpu(tmp_path, monkeypatch):
    model = torch.nn.Linear(1, 1)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="device_ids"):
            MMDistributedDataParallel(model, device_ids=[0])
        assert CellDistributedDataParallel(model, device_ids=[0])(torch.ones(1, 1)).shape == (1, 1)
    finally:
        dist.destroy_process_group()
    for name, value in dict(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1").items():
        monkeypatch.setenv(name, value)
    with pytest.raises((RuntimeError, AssertionError, ZeroDivisionError)):
        init_dist("pytorch")


def test_early_stopping_hook():
    theirs, ours = mmengine.hooks.EarlyStoppingHook, EarlyStoppingHook
    for name in ("before_save_checkpoint", "after_load_checkpoint"):
        assert name not in vars(theirs) and name in vars(ours)


def test_full_mmcv(monkeypatch):
    """As on Python 3.14."""
    monkeypatch.delattr(pkgutil, "find_loader", raising=False)
    with pytest.raises(AttributeError, match="find_loader"):
        mmengine.utils.dl_utils.mmcv_full_available()
    for module in (mmengine.model.utils, mmengine.optim.optimizer.default_constructor):
        assert module.mmcv_full_available() is False  # mmcv-lite
    constructor = DefaultOptimWrapperConstructor(
        dict(optimizer=dict(type="SGD", lr=0.1)), dict(bias_lr_mult=2.0)
    )
    assert constructor(torch.nn.Linear(1, 1)).optimizer.param_groups


def test_log_filter():
    config = dict(optimizer=dict(type="SGD", lr=0.1, weight_decay=0.1))
    constructor = DefaultOptimWrapperConstructor(config, dict(norm_decay_mult=0.0, bias_lr_mult=2.0))
    logger = MMLogger.get_instance("test_log_filter")  # the current one from now on
    said: list[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: said.append(record.getMessage())
    logger.addHandler(handler)
    constructor(torch.nn.Linear(1, 1))
    assert said and all(line.startswith("paramwise_options") for line in said)
    said.clear()
    drop_noise(logger)
    constructor(torch.nn.Linear(1, 1))
    FileClient(backend="disk")
    logger.info("something else")
    assert said == ["something else"]


def test_optim_wrappers():
    for wrapper_class, kept in ((mmengine.optim.OptimWrapper, False), (OptimWrapper, True)):
        weight = torch.nn.Parameter(torch.ones(1))
        wrapper = wrapper_class(optimizer=torch.optim.SGD([weight], lr=0.1))
        wrapper.update_params((weight * torch.nan).sum())
        assert bool(weight.isfinite()) == kept
    options = dict(optimizer=torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), dtype="float16")
    if not torch.cuda.is_available():
        with pytest.raises(AssertionError):
            mmengine.optim.AmpOptimWrapper(**options)
    assert AmpOptimWrapper(**options).scaler.is_enabled()


def test_safe_loader(tmp_path):
    torch.save(dict(state_dict=dict(w=torch.ones(4))), tmp_path / "a.pth")
    data = bytearray((tmp_path / "a.pth").read_bytes())
    place = data.find(torch.ones(4).numpy().tobytes())
    data[place] ^= 1
    (tmp_path / "a.pth").write_bytes(data)
    assert load_from_local(str(tmp_path / "a.pth"), "cpu")["state_dict"]["w"][0] != 1  # unnoticed
    mmengine_fixes.use_fixes()
    with pytest.raises(CellMMError, match="not a whole checkpoint"):
        CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"), "cpu")


def test_weights_only_hook():
    hub = MessageHub.get_instance("of a test")
    hub.update_scalar("loss", 1.0)
    assert not is_plain(hub.state_dict())
    file = io.BytesIO()
    torch.save(hub.state_dict(), file)
    file.seek(0)
    with pytest.raises(Exception, match="[Ww]eights.only"):
        torch.load(file, weights_only=True)


def test_they_are_applied(tmp_path, monkeypatch):
    """Also after mmengine has read or written something: it keeps a backend that it has used."""
    monkeypatch.setitem(backend_instances, ":{}", LocalBackend())
    mmengine_fixes.use_fixes()
    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(TypeError):
        put("text is not bytes", str(tmp_path / "a"))
    with get_local_path(str(tmp_path / "a")) as path:
        assert open(path, "rb").read() == b"before"
    assert Config(dict(a=dict(b=1))).pretty_text == "a = dict(\n    b=1,\n)\n"
