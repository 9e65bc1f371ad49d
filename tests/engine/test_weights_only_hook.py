"""The message hub goes into a checkpoint as plain values and comes back."""

from types import SimpleNamespace

import numpy as np
import torch
from mmengine.logging import MessageHub

from cellmm.registry import HOOKS


def hub(name: str) -> MessageHub:
    hub = MessageHub.get_instance(name)
    for i in range(5):
        hub.update_scalar("train/loss", i)
    hub.update_info("iter", np.int64(5))
    hub.update_info("object", object())
    return hub


def test_round_trip_with_weights_only(tmp_path):
    hook = HOOKS.build(dict(type="WeightsOnlyHook"))
    checkpoint = dict(message_hub=hub("one").state_dict(), meta=dict(iter=5, seed=np.int64(3)))
    hook.before_save_checkpoint(None, checkpoint)
    torch.save(checkpoint, tmp_path / "a.pth")
    loaded = torch.load(tmp_path / "a.pth", weights_only=True)
    assert loaded["meta"] == dict(iter=5, seed=3)
    hook.after_load_checkpoint(None, loaded)
    other = MessageHub.get_instance("two")
    other.load_state_dict(loaded["message_hub"])
    assert other.get_scalar("train/loss").data[0].tolist() == [0, 1, 2, 3, 4]
    assert other.get_scalar("train/loss").mean(2) == 3.5
    assert other.get_info("iter") == 5
    other.update_scalar("train/loss", 5)
    assert other.get_scalar("train/loss").current() == 5


def test_history_stays_bounded():
    hook = HOOKS.build(dict(type="WeightsOnlyHook", max_history=3))
    runner = SimpleNamespace(message_hub=hub("three"))
    hook.after_train_iter(runner, 0)
    assert len(runner.message_hub.get_scalar("train/loss").data[0]) == 5
    for i in range(2):
        runner.message_hub.update_scalar("train/loss", 5 + i)
    hook.after_train_iter(runner, 0)
    assert runner.message_hub.get_scalar("train/loss").data[0].tolist() == [4, 5, 6]


def test_a_checkpoint_without_a_message_hub_is_left_alone():
    checkpoint = dict(state_dict={})
    HOOKS.build(dict(type="WeightsOnlyHook")).after_load_checkpoint(None, checkpoint)
    assert checkpoint == dict(state_dict={})
