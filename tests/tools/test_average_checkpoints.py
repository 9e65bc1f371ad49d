"""The mean of the weights of checkpoints."""

import torch

from cellmm.engine.checkpoints import load_checkpoint, save_weights
from tools.model_converters.average_checkpoints import main


def saved(path, value, steps, shape=(2,)):
    weights = dict(a=torch.full(shape, value), steps=torch.tensor(steps))
    save_weights(path, weights, dict(iter=7, dataset_meta=dict(classes=["cell"])))
    return str(path)


def test_numbers_are_averaged_and_counts_are_those_of_the_last(tmp_path, capsys):
    files = [saved(tmp_path / f"{i}.pth", float(i), 10 * i) for i in (1, 2, 6)]
    out = tmp_path / "mean.safetensors"
    assert main([*files, "--out", str(out)]) == 0
    found = load_checkpoint(out)
    assert found["state_dict"]["a"].tolist() == [3, 3] and found["state_dict"]["a"].dtype == torch.float32
    assert int(found["state_dict"]["steps"]) == 60
    assert found["meta"]["dataset_meta"] == dict(classes=["cell"])
    assert main([*files, "--out", str(out)]) == 1
    assert "--force" in capsys.readouterr().err


def test_other_tensors_and_a_single_file_are_refused(tmp_path, capsys):
    one, other = saved(tmp_path / "1.pth", 1.0, 1), saved(tmp_path / "2.pth", 1.0, 1, shape=(3,))
    assert main([one, other, "--out", str(tmp_path / "o.pth")]) == 1
    assert "2.pth: its tensors differ" in capsys.readouterr().err
    assert main([one, "--out", str(tmp_path / "o.pth")]) == 1
    assert not (tmp_path / "o.pth").exists()
