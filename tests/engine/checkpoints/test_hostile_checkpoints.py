"""Files that were made to do harm or are no checkpoints, through the real commands: nothing in them runs."""

import collections
import io
import itertools
import os
import pickle
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from cellmm.commands.cli import main as cellmm
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.errors import CellMMError

ROOT = Path(__file__).parents[3]
CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
data_root = "{data}"
simulation = dict(_delete_=True, splits=dict(train=2, val=1, test=1), scene="small", seed=0)
dataset = dict(data_root=data_root, simulation=simulation)
train_dataloader = dict(batch_size=1, dataset=dataset)
val_dataloader = test_dataloader = dict(dataset=dataset)
train_cfg = dict(max_iters=1, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=1))
"""
COMMANDS = {
    "resume": ["train", "{config}", "--work-dir", "{out}", "--resume", "{file}"],
    "load_from": ["train", "{config}", "--work-dir", "{out}", "--cfg-options", "load_from={file}"],
    "test": ["test", "{config}", "{file}", "--work-dir", "{out}"],
    "predict": [
        *("predict", "{images}", "--config", "{config}", "--checkpoint", "{file}"),
        *("--out", "{out}", "--device", "cpu", "--no-overlays"),
    ],
}
NUMBERS = itertools.count()


class Evil:
    """Unpickling it makes the folder ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Own:
    """An object of a class, without any trick."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the data, the config and a checkpoint of one iteration."""
    folder = tmp_path_factory.mktemp("whole")
    config = folder / "tiny.py"
    config.write_text(CONFIG.format(root=ROOT, data=folder / "data"))
    assert cellmm(["train", str(config), "--work-dir", str(folder / "work")]) == 0
    return folder


@pytest.fixture
def run(whole, tmp_path, capfd, monkeypatch):
    """``run(command, file)``: the command's exit status and what it wrote to stderr."""
    # laying out the config's text for the log takes longer than all the rest
    monkeypatch.setattr(Config, "pretty_text", property(lambda cfg: str(cfg._cfg_dict)))

    def run(command: str, file: Path) -> tuple[int, str]:
        names = dict(
            config=whole / "tiny.py",
            images=whole / "data/test/images",
            out=tmp_path / "out",
            file=file,
            number=next(NUMBERS),
        )
        capfd.readouterr()
        status = cellmm([word.format(**names) for word in COMMANDS[command]])
        return status, capfd.readouterr().err

    return run


def checkpoint_of(whole: Path) -> dict:
    return torch.load(whole / "work" / "iter_1.pth", weights_only=True)


def refused_in_one_line(status: int, error: str, file: Path) -> bool:
    return (
        status == 1
        and len(error.splitlines()) == 1
        and error.startswith("cellmm ")
        and str(file) in error
        and "Traceback" not in error
    )


def pickled(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))


def tar(path: Path, value: object) -> None:
    """The form of torch's first years: a tar archive of pickles."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            data = pickle.dumps(value)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def bomb(path: Path, value: object) -> None:
    """50 MB of zeros in 50 kB, under the names that torch.save uses."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value) + bytes(50_000_000))
        archive.writestr("archive/version", "3\n")


def plain_zip(path: Path, value: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not a checkpoint")


def torch_zip(path: Path, value: object) -> None:
    torch.save(value, path)


def torch_legacy(path: Path, value: object) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


# what is written -> how, and what is made of a good checkpoint and an object that runs code
HOSTILE = {
    "code, zip": (torch_zip, lambda good, evil: evil),
    "code, legacy": (torch_legacy, lambda good, evil: evil),
    "code, pickle.dump": (pickled, lambda good, evil: evil),
    "code in meta.config, zip": (torch_zip, lambda good, evil: good | dict(meta=dict(config=evil))),
    "code in the state dict, legacy": (torch_legacy, lambda good, evil: good | dict(state_dict=dict(w=evil))),
    "code in the optimizer, zip": (torch_zip, lambda good, evil: good | dict(optimizer=dict(state=evil))),
    "code, pickle.dump of a dict": (pickled, lambda good, evil: dict(state_dict=dict(w=evil))),
    "code in a tar archive": (tar, lambda good, evil: evil),
    "code in a compressed zip": (bomb, lambda good, evil: evil),
    "another zip": (plain_zip, lambda good, evil: evil),
    "an object of a class": (torch_zip, lambda good, evil: good | dict(meta=Own())),
    "wrong types": (torch_zip, lambda good, evil: dict(state_dict=dict.fromkeys(good["state_dict"], "text"))),
    "ragged lists": (torch_zip, lambda good, evil: dict.fromkeys(good["state_dict"], [[1.0], [2.0, 3.0]])),
    "numbers as names": (torch_zip, lambda good, evil: dict(enumerate(good["state_dict"].values()))),
    "a list": (torch_zip, lambda good, evil: list(good["state_dict"].values())),
    "one tensor": (torch_zip, lambda good, evil: torch.ones(3)),
    "an empty dict": (torch_zip, lambda good, evil: {}),
    "an empty state dict": (torch_zip, lambda good, evil: good | dict(state_dict={})),
    "meta is a list": (torch_zip, lambda good, evil: good | dict(meta=[1, 2])),
    "dataset_meta is a tensor": (
        torch_zip,
        lambda good, evil: good | dict(meta=dict(good["meta"], dataset_meta=torch.ones(2))),
    ),
    "another model": (torch_zip, lambda good, evil: dict(state_dict=dict(w=torch.ones(3)))),
    "a log of text": (
        torch_zip,
        lambda good, evil: good | dict(message_hub=dict(log_scalars=dict(loss="text"))),
    ),
}
# good weights without what a resume needs, or with what does not fit
NO_STATE = {
    "weights alone": lambda good: good["state_dict"],
    "weights and meta": lambda good: dict(state_dict=good["state_dict"], meta=good["meta"]),
    "meta without iter": lambda good: (
        good | dict(meta={k: v for k, v in good["meta"].items() if k != "iter"})
    ),
    "no meta": lambda good: {key: value for key, value in good.items() if key != "meta"},
    "an empty message hub": lambda good: good | dict(message_hub={}),
    "iter below 0": lambda good: good | dict(meta=dict(good["meta"], iter=-3)),
    "an empty optimizer": lambda good: good | dict(optimizer={}),
    "the optimizer of another model": lambda good: (
        good | dict(optimizer=dict(state={}, param_groups=[dict(params=[0, 1], lr=0.1)]))
    ),
    "averaged weights of another model": lambda good: good | dict(ema_state_dict={"module.w": torch.ones(1)}),
    "half of the weights": lambda good: good | dict(state_dict=dict(list(good["state_dict"].items())[::2])),
}
# where in a good checkpoint -> what is put there
ALTERED = {
    "optimizer.param_groups.0.params.0": [1],
    "optimizer.param_groups.0.params": "0",
    "optimizer.param_groups.0.lr": "x",
    "optimizer.param_groups.0.weight_decay": torch.ones(2),
    "optimizer.param_groups.0.betas": 0.9,
    "optimizer.param_groups.0.eps": None,
    "optimizer.state.0.exp_avg": torch.ones(7, 3),
    "optimizer.state.1.exp_avg_sq": "x",
    "optimizer.state.0.step": "x",
    "optimizer.state.0": dict(step=torch.tensor(1.0)),
    "optimizer.base_param_settings": dict(lr="x"),
    "message_hub.runtime_info.best_score": "x",
    "message_hub.runtime_info.last_validation": torch.ones(2),
    "early_stopping": {"AP": 3},
    "early_stopping.AP": dict(wait_count="x", best_score=0.5, stop_training=False),
    "early_stopping.BP": dict(wait_count=1, best_score=0.5),
    "param_schedulers": [3],
    "param_schedulers.0": "x",
    "meta.iter": 10**30,
    "meta.epoch": -1,
    "meta.draws": -1,
    "trained_with": 3,
    "trained_with.config": "{",
    "trained_with.ranks": "2",
    "meta.seed": 10**30,
    "optimizer.loss_scaler": dict(scale=1.0),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_runs_and_the_error_is_one_line(whole, run, tmp_path, kind, command):
    write, make = HOSTILE[kind]
    file = tmp_path / "bad.pth"
    write(file, make(checkpoint_of(whole), Evil(tmp_path / "ran")))
    status, error = run(command, file)
    assert refused_in_one_line(status, error, file), error
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", NO_STATE)
def test_what_cannot_be_resumed(whole, run, tmp_path, kind):
    file = tmp_path / "bad.pth"
    torch.save(NO_STATE[kind](checkpoint_of(whole)), file)
    status, error = run("resume", file)
    assert refused_in_one_line(status, error, file), error
    if kind in ("weights alone", "weights and meta", "meta without iter", "no meta"):
        assert "weights only, no training state (" in error and f"load_from={file}" in error
        assert run("load_from", file)[0] == 0
        assert run("test", file)[0] == 0


@pytest.mark.parametrize("where", ALTERED)
def test_an_altered_training_state(whole, run, tmp_path, where):
    good = checkpoint_of(whole)
    good.setdefault("early_stopping", {})
    *parents, last = (int(key) if key.isdigit() else key for key in where.split("."))
    place = good
    for key in parents:
        place = place[key]
    place[last] = ALTERED[where]
    torch.save(good, tmp_path / "bad.pth")
    status, error = run("resume", tmp_path / "bad.pth")
    assert refused_in_one_line(status, error, tmp_path / "bad.pth"), error


@pytest.mark.parametrize("command", COMMANDS)
def test_code_in_the_configs_of_a_good_checkpoint_is_text(whole, run, tmp_path, command):
    """Both keys are strings that mmengine, or a reader of the checkpoint, might run as Python."""
    code = f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n"
    good = checkpoint_of(whole)
    good["meta"].update(config=code, cfg=code)
    good["message_hub"]["runtime_info"]["cfg"] = code
    torch.save(good, tmp_path / "good.pth")
    status, _ = run(command, tmp_path / "good.pth")
    assert status == 0
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_names_no_file_for_removal(whole, tmp_path):
    """mmengine removes the file, or the whole folder, that a resumed checkpoint calls the best so far."""
    good = checkpoint_of(whole)
    info = good["message_hub"]["runtime_info"]
    for named, kept in (
        ("/gone/best_AP_iter_3.pth", str(tmp_path / "best_AP_iter_3.pth")),  # a work dir that was moved
        ("/home", None),
        ("../best_AP_iter_3.pth/..", None),
        (7, None),
    ):
        info.update(best_ckpt=named, best_ckpt_AP=named, keep_ckpt_ids=["/../../x", 1])
        torch.save(good, tmp_path / "a.pth")
        loaded = load_checkpoint(tmp_path / "a.pth")["message_hub"]["runtime_info"]
        assert loaded.get("best_ckpt") == loaded.get("best_ckpt_AP") == kept
        assert "keep_ckpt_ids" not in loaded
    info["keep_ckpt_ids"] = [1, 2]
    torch.save(good, tmp_path / "a.pth")
    loaded = load_checkpoint(tmp_path / "a.pth")["message_hub"]["runtime_info"]
    assert loaded["keep_ckpt_ids"] == [1, 2]


def test_a_better_one_removes_nothing_that_a_checkpoint_names(whole, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    good = checkpoint_of(whole)
    good["message_hub"]["runtime_info"].update(best_ckpt=str(victim), best_score=-1.0)
    torch.save(good, tmp_path / "a.pth")
    argv = ["train", str(whole / "tiny.py"), "--work-dir", str(tmp_path / "out")]
    argv += ["--resume", str(tmp_path / "a.pth"), "--cfg-options", f"experiment_name={next(NUMBERS)}"]
    argv += ["default_hooks.checkpoint.save_best=AP", "default_hooks.checkpoint.rule=greater"]
    assert cellmm([*argv, "train_cfg.max_iters=2", "train_cfg.val_interval=1"]) == 0
    assert list((tmp_path / "out").glob("best_AP_iter_*.pth")) and victim.is_dir()


def test_no_environment_variable_opens_the_door(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(Evil(tmp_path / "ran"), tmp_path / "evil.pth")
    with pytest.raises(CellMMError, match="refused"):
        load_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_as_a_process(whole, tmp_path):
    """The tool that users start: exit code 1, one line at the end, no traceback."""
    torch.save(dict(state_dict=dict(w=Evil(tmp_path / "ran"))), tmp_path / "evil.pth")
    argv = [sys.executable, str(ROOT / "tools" / "predict.py"), str(whole / "data/test/images")]
    argv += ["--config", str(whole / "tiny.py"), "--checkpoint", str(tmp_path / "evil.pth")]
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [*argv, "--out", str(tmp_path / "out")], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"cellmm predict: {tmp_path / 'evil.pth'}: refused")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_bytes_that_are_changed_or_lost_give_a_checkpoint_or_one_line(tmp_path, legacy):
    good = io.BytesIO()
    state = collections.OrderedDict(w=torch.ones(3, 4), b=torch.zeros(2, dtype=torch.int64))
    meta = dict(iter=3, epoch=0, cfg="x = 1", dataset_meta=dict(classes=("cell",)))
    content = dict(state_dict=state, meta=meta, optimizer=dict(state={0: dict(step=torch.ones(()))}))
    torch.save(content, good, _use_new_zipfile_serialization=not legacy)
    draw, refused = random.Random(0), 0
    for _ in range(400):
        data = bytearray(good.getvalue())
        for _ in range(draw.choice([1, 2, 5])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.2:
            del data[draw.randrange(len(data)) :]
        (tmp_path / "a.pth").write_bytes(data)
        try:
            assert load_checkpoint(tmp_path / "a.pth")["state_dict"]
        except CellMMError as error:
            assert "\n" not in str(error) and "a.pth" in str(error)
            refused += 1
    assert 20 < refused < 400
