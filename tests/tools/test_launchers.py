"""dist_train.sh, dist_test.sh and slurm_train.sh; two of them train on two processes without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.run import parse_args as torchrun_arguments

TOOLS = Path(__file__).parents[2] / "tools"
ROOT = TOOLS.parent
CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
data_root = "{data}"
simulation = dict(
    _delete_=True,
    splits=dict(train=3, val=1, test=3),
    scene=dict(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20),
)
loader = dict(dataset=dict(data_root=data_root, simulation=simulation))
train_dataloader = dict(batch_size=1, **loader)
val_dataloader = test_dataloader = loader
train_cfg = dict(max_iters=2, val_interval=2)
"""
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
SLURM_NODEID=1 "$@" &
SLURM_NODEID=0 "$@" && wait $!
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    (folder / "tiny.py").write_text(CONFIG.format(root=ROOT, data=folder / "data"))
    return folder


def run(folder, *command, **variables):
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = dict(
        os.environ, PATH=path, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(ROOT)
    )
    command = [str(part) for part in command]
    return subprocess.run(
        command, env=environment | variables, cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    ("script", "options"), [("train", ["--resume"]), ("test", ["iter_2.pth", "--split", "val"])]
)
def test_torchrun_is_asked_for_two_processes(tmp_path, script, options):
    """The script ends as ``python -m torch.distributed.run ...``; Python is stood in for."""
    (tmp_path / "python").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    tool = TOOLS / f"dist_{script}.sh"
    before = [option for option in options if option.endswith(".pth")]
    done = run(tmp_path, tool, "tiny.py", *before, 2, *options[len(before) :])
    assert done.returncode == 0, done.stderr
    module, *arguments = done.stdout.splitlines()[1:]
    assert module == "torch.distributed.run"
    asked = torchrun_arguments(arguments)
    assert asked.standalone and asked.nproc_per_node == "2"
    assert Path(asked.training_script).samefile(TOOLS / f"{script}.py")
    assert asked.training_script_args == ["tiny.py", *options, "--launcher", "pytorch"]


def test_two_processes_train(folder):
    """Two iterations; the simulated data are made by one of the processes."""
    done = run(folder, TOOLS / "dist_train.sh", folder / "tiny.py", 2, "--work-dir", folder / "dist")
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = torch.load(folder / "dist" / "iter_2.pth", weights_only=True)
    assert checkpoint["meta"]["draws"] == 4  # two iterations of one image on each process


def test_two_machines_of_slurm(folder):
    """Slurm's own commands are stood in for: two machines that are both this one.

    The simulated data are made by one of the processes.
    """
    for name, text in (("srun", SRUN), ("scontrol", "#!/usr/bin/env bash\necho 127.0.0.1\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    done = run(
        folder,
        *("bash", TOOLS / "slurm_train.sh", folder / "tiny.py", 1, "--work-dir", folder / "slurm"),
        SLURM_SUBMIT_DIR=str(ROOT),
        SLURM_NNODES="2",
        SLURM_JOB_NODELIST="here[1-2]",
        SLURM_JOB_ID=str(os.getpid()),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "slurm" / "iter_2.pth").is_file()
    (log,) = (folder / "slurm").glob("*/*.log")
    assert "GPU number: 2" in log.read_text()  # how mmengine calls the number of ranks


@pytest.mark.parametrize("name", ["dist_train.sh", "dist_test.sh", "slurm_train.sh"])
def test_help(folder, name):
    done = run(folder, TOOLS / name)
    assert done.returncode == 2
    assert f"tools/{name} CONFIG" in done.stderr
