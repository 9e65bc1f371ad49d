"""Averaged weights are compared with the plain ones in validation where they are far apart."""

import re

import torch
from mmengine.config import Config

from cellmm.config.load import load_config
from cellmm.engine.hooks import EMAHook
from cellmm.engine.runner import build_runner


def trained(tiny_config, folder, hook: str):
    """A runner after 4 iterations with validation at the last, and what it logged."""
    config = tiny_config(folder, f"custom_hooks = [dict(type='EMAHook', {hook})]\n")
    cfg: Config = load_config(config)
    cfg.work_dir = str(folder / "work")
    runner = build_runner(cfg)
    runner.train()
    return runner, next((folder / "work").glob("*/*.log")).read_text()


def test_both_are_scored_where_they_are_far_apart(tiny_config, tmp_path):
    runner, log = trained(tiny_config, tmp_path, "momentum=0.01, compare_above=0.0")
    hook = next(each for each in runner.hooks if isinstance(each, EMAHook))
    assert hook.distance() > 0
    line = re.search(r"averaged / plain weights, which are \d+% apart: AP \S+ / \S+, AP50 \S+ / \S+;", log)
    assert line, log
    saved = torch.load(tmp_path / "work/iter_4.pth", weights_only=True)
    plain = saved["ema_state_dict"][
        "module.heads.instances.activation.conv.weight"
    ]  # mmengine keeps the plain ones there
    assert torch.equal(plain, runner.model.heads.instances.activation.conv.weight.detach())
    assert not torch.equal(plain, saved["state_dict"]["heads.instances.activation.conv.weight"])


def test_near_weights_are_validated_once(tiny_config, tmp_path):
    runner, log = trained(tiny_config, tmp_path, "momentum=0.5")
    hook = next(each for each in runner.hooks if isinstance(each, EMAHook))
    assert 0 < hook.distance() <= hook.compare_above
    assert "averaged / plain" not in log


def test_the_distance_is_relative(tiny_config, tmp_path):
    runner, _ = trained(tiny_config, tmp_path, "momentum=0.5")
    hook = next(each for each in runner.hooks if isinstance(each, EMAHook))
    with torch.no_grad():
        for averaged, plain in zip(
            hook.ema_model.module.parameters(), hook.src_model.parameters(), strict=True
        ):
            averaged.copy_(1.25 * plain)
    assert abs(hook.distance() - 0.25) < 1e-5
