"""A flipped bit anywhere in a file of weights is found, or changes nothing."""

import random

import pytest
import torch
from safetensors.torch import save_file

from cellmm.engine.checkpoints import load_checkpoint, load_weights, save_weights
from cellmm.engine.work_dir import find_training_state
from cellmm.errors import CellMMError

WEIGHTS = dict(
    w=torch.arange(60.0).view(3, 4, 5),
    half=torch.ones(7, dtype=torch.bfloat16),
    count=torch.tensor(3),
    none=torch.zeros(0, 2),
)
META = dict(iter=3, dataset_meta=dict(classes=["cell"]))


def flip(path, data, position, bit):
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    path.write_bytes(changed)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_no_flipped_bit_changes_what_is_loaded(tmp_path, suffix):
    """At 600 positions over headers, data and directory; and every bit of one tensor's numbers."""
    path = tmp_path / f"a{suffix}"
    save_weights(path, WEIGHTS, META)
    data, draw = path.read_bytes(), random.Random(0)
    numbers = data.index(WEIGHTS["w"].numpy().tobytes())
    places = [(draw.randrange(len(data)), draw.randrange(8)) for _ in range(600)]
    places += [(numbers + draw.randrange(240), bit) for bit in range(8) for _ in range(4)]
    found = 0
    for position, bit in places:
        flip(path, data, position, bit)
        try:
            loaded = load_checkpoint(path)
        except CellMMError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            found += 1
            continue
        assert not numbers <= position < numbers + 240
        assert loaded["state_dict"].keys() == WEIGHTS.keys()
        assert all(torch.equal(value, WEIGHTS[name]) for name, value in loaded["state_dict"].items())
        assert META.items() <= loaded["meta"].items()
    assert found > 300


def test_safetensors_of_others_need_no_digest(tmp_path):
    save_file(dict(w=torch.ones(2)), tmp_path / "a.safetensors", metadata=dict(format="pt"))
    assert load_weights(tmp_path / "a.safetensors")["w"].tolist() == [1, 1]


def test_resume_passes_a_flipped_bit_over(tmp_path, log):
    for number in (2, 4):
        state = dict(state_dict=dict(w=torch.arange(100.0)), optimizer={}, meta=dict(iter=number))
        torch.save(state, tmp_path / f"iter_{number}.pth")
    data = (tmp_path / "iter_4.pth").read_bytes()
    flip(tmp_path / "iter_4.pth", data, data.index(torch.arange(100.0).numpy().tobytes()) + 17, 5)
    assert find_training_state(tmp_path) == str(tmp_path / "iter_2.pth")
    assert "iter_4.pth: not a whole checkpoint" in log.text
