"""integrations/: what is run here and what is only looked at.

Snakemake runs its workflow. The Slurm script runs with a stand-in for srun. Nextflow is not needed: bash runs
the scripts of its processes in folders that hold what Nextflow would put there, and their inputs and outputs
are compared with meta.yml. Whether Nextflow takes main.nf and nextflow.config is not tested.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from cellmm.commands import cli
from tests.fuzz.exact_model import write_exact_model

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "integrations"
MODULES = FOLDER / "nextflow/modules/cellmm"
COMMAND = '#!/usr/bin/env bash\nprintf "%s\\0" "$@" >> "$WORDS"; printf "\\n" >> "$WORDS"\n'


@pytest.fixture
def model(tmp_path):
    """images/, c.py and w.pth in ``tmp_path``, and the files that `cellmm predict` makes of them."""
    (tmp_path / "images").mkdir()
    image = np.full((70, 60), 20, np.uint16)
    image[5:10, 5:10] = image[44:51, 30:37] = 900
    tifffile.imwrite(tmp_path / "images/large.tif", image)
    tifffile.imwrite(tmp_path / "images/small image.tif", image[:40])
    config, weights = write_exact_model(tmp_path, "dict(type='Normalize', mode='percentile')")
    config.write_text("custom_imports = dict(imports=['tests.fuzz.exact_model'])" + config.read_text())
    argv = [tmp_path / "images", "--config", config, "--checkpoint", weights, "--device", "cpu", "--tile", 48]
    argv += ["--save", "coco", "--out", tmp_path / "wanted"]
    assert cli.main(["predict", *map(str, argv)]) == 0
    return config, weights, files_of(tmp_path / "wanted")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return dict(os.environ, PATH=path, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", **more)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_snakemake_predicts_in_pieces(model, tmp_path):
    """A piece that is lost before the merge is made again, and no other."""
    config, weights, wanted = model
    options = {"images": ["images"], "model": str(config), "checkpoint": str(weights), "pieces": 2}
    options |= {"options": "--tile 48", "save": "coco", "device": "cpu", "threads": 1}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(options))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        FOLDER / "snakemake/Snakefile",
        "--cores",
        "1",
    ]
    command += ["--configfile", tmp_path / "own.yaml", "--nocolor"]

    def run(*more: str) -> str:
        words, named = [*map(str, command), *more], environment(tmp_path)
        done = subprocess.run(words, cwd=tmp_path, env=named, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr + done.stdout

    run()
    assert files_of(tmp_path / "results") == wanted | {"DONE": b""}
    (tmp_path / "pieces/pieces/0001.npz").unlink()
    (tmp_path / "results/DONE").unlink()
    counts = dict(re.findall(r"^(plan|run|merge) +(\d+)$", run("--dry-run"), flags=re.M))
    assert counts == {"run": "1", "merge": "1"}


SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift 2; done
for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@" || exit; done
"""


def test_slurm_array_takes_every_piece_once(model, tmp_path):
    """Two jobs of two processes; srun and Python are stood in for, and what they ask for is done here."""
    config, weights, wanted = model
    folder = tmp_path / "my pieces"
    plan = [tmp_path / "images", "--config", config, "--checkpoint", weights, "--tile", 48, "--pieces", 8]
    assert cli.main(["tiles", "plan", *map(str, plan), "--out", str(folder), "--device", "cpu"]) == 0
    program(tmp_path / "bin/srun", SRUN)
    program(tmp_path / "bin/python", COMMAND)
    script = FOLDER / "slurm/predict_array.sh"
    for task in "01":
        more = dict(SLURM_ARRAY_TASK_ID=task, SLURM_NTASKS="2", WORDS=str(tmp_path / "words"))
        command = ["bash", str(script), str(folder), "2", "--device", "cpu"]
        subprocess.run(command, env=environment(tmp_path / "bin", **more), check=True)
    asked = [line.rstrip("\0").split("\0") for line in (tmp_path / "words").read_text().splitlines()]
    assert [words[:2] for words in asked] == [["-m", "cellmm.commands.cli"]] * 4
    assert [words[6] for words in asked] == ["0-1", "2-3", "4-5", "6-7"]
    for words in asked:
        assert cli.main(words[2:]) == 0
    merge = [folder, "--save", "coco", "--device", "cpu", "--out", tmp_path / "out"]
    assert cli.main(["tiles", "merge", *map(str, merge)]) == 0
    assert files_of(tmp_path / "out") == wanted


def test_slurm_script_explains_itself(tmp_path):
    script = FOLDER / "slurm/predict_array.sh"
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode == 2 and "sbatch --array=0-15" in done.stderr
    named = environment(tmp_path)
    named.pop("SLURM_ARRAY_TASK_ID", None)
    done = subprocess.run(["bash", script, "pieces", "1"], env=named, capture_output=True, text=True)
    assert done.returncode != 0 and "submit this file with sbatch --array" in done.stderr


def blocks(name: str) -> dict[str, str]:
    """{section: its text} of the process in modules/cellmm/NAME/main.nf."""
    text = (MODULES / name / "main.nf").read_text()
    assert text.startswith(f"process CELLMM_{name.upper()} {{")
    parts = re.split(r"^    (input|output|when|script|stub):\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def script_of(name: str, **values: object) -> str:
    """The shell script of a process, with its Groovy variables replaced."""
    (text,) = re.findall(r'"""\n(.*?)"""', blocks(name)["script"], flags=re.S)
    return re.sub(r"\$\{([\w.]+)\}", lambda found: str(values[found[1]]), text).replace("\\\\\n", "\\\n")


def stage(folder: Path, **files: Path | list[Path]) -> Path:
    """A folder of a task with links to its inputs, as Nextflow makes it; keys are folders, '_' for none."""
    for name, paths in files.items():
        place = folder / name.replace("__", "/").strip("_")
        place.mkdir(parents=True, exist_ok=True)
        for path in [paths] if isinstance(paths, Path) else paths:
            (place / path.name).symlink_to(path)
    return folder


def test_scripts_of_nextflow_give_the_results_of_predict(model, tmp_path, monkeypatch):
    config, weights, wanted = model
    program(tmp_path / "bin/cellmm", COMMAND)
    inputs = dict(images=sorted((tmp_path / "images").iterdir()), _=[config, weights])

    def run(task: Path, script: str) -> Path:
        words = task / ".words"
        named = environment(tmp_path / "bin", WORDS=str(words))
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=task, env=named, check=True)
        (line,) = words.read_text().splitlines()
        words.unlink()
        monkeypatch.chdir(task)
        assert cli.main(line.rstrip("\0").split("\0")) == 0
        return task

    known = dict(config=config.name, checkpoint=weights.name, pieces=2, prefix="cells")
    known["task.cpus"] = 2
    task = stage(tmp_path / "nf/plan", **inputs)
    plan = run(task, script_of("plan", args="--tile 48", **known)) / "plan/plan.json"
    found = []
    for piece in range(2):
        task = stage(tmp_path / f"nf/run{piece}", **inputs, plan=plan)
        run(task, script_of("run", args="--device cpu", piece=piece, **known))
        found += (task / "plan/pieces").glob("[0-9]*.npz")
    task = stage(tmp_path / "nf/merge", **inputs, plan=plan, plan__pieces=found)
    run(task, script_of("merge", args="--save coco --device cpu", **known))
    assert files_of(task / "cells") == wanted


@pytest.mark.parametrize("name", ["plan", "run", "merge"])
def test_meta_yml_describes_the_process(name):
    meta, parts = yaml.safe_load((MODULES / name / "meta.yml").read_text()), blocks(name)
    assert meta["name"] == f"cellmm_{name}" and len(meta["keywords"]) >= 3
    named = [
        [next(iter(item)) for item in channel] if isinstance(channel, list) else [next(iter(channel))]
        for channel in meta["input"]
    ]
    taken = [line for line in parts["input"].splitlines() if re.match(r" +(tuple|val|path)\b", line)]
    assert [re.findall(r"(?:val|path)[( ](\w+)", line) for line in taken] == named
    emitted = [
        (
            re.search(r"emit: (\w+)", line)[1],
            re.findall(r"""(?:val|path|eval)\((?:"|')?(.*?)(?:"|')?[,)]""", line),
        )
        for line in parts["output"].splitlines()
        if "emit:" in line
    ]
    assert [emit for emit, _ in emitted] == list(meta["output"])
    assert list(meta["output"][emitted[0][0]][0][1]) == [emitted[0][1][1]]
    environment = yaml.safe_load((MODULES / name / "environment.yml").read_text())
    (clone,) = environment["dependencies"][-1]["pip"]
    assert (MODULES / name / clone / "setup.py").is_file()


def test_nextflow_workflow_includes_every_module_and_only_known_parameters():
    text = (FOLDER / "nextflow/main.nf").read_text()
    included = re.findall(r"include \{ (\w+) +\} from '\./(.*)'", text)
    assert [(f"CELLMM_{Path(path).parent.name.upper()}") for _, path in included] == [n for n, _ in included]
    assert all((FOLDER / "nextflow" / f"{path}.nf").is_file() for _, path in included)
    settings = (FOLDER / "nextflow/nextflow.config").read_text()
    known = set(re.findall(r"^    (\w+) +=", settings.partition("process {")[0], flags=re.M))
    assert set(re.findall(r"params\.(\w+)", text + settings)) == known
    assert set(re.findall(r"withName: '(\w+)'", settings)) == {name for name, _ in included}
