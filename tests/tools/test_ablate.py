"""tools/analysis/ablate.py: equal budgets, resumed where it was stopped, failing runs alone, its tables."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cellmm.commands.cli
from cellmm.ablation.grid import Grid, Row, Run, Table, digest, effective_config, load_grid
from cellmm.ablation.tables import table_text
from cellmm.config.load import load_config
from cellmm.errors import CellMMError

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "analysis" / "ablate.py"
GRIDS = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "tools" / "analysis" / "ablations").glob("*.py")
)
GRID = """
runs = dict(
    first=dict(config="{config}"),
    second=dict(config="{config}", options={{"optim_wrapper.optimizer.lr": 1e-4}}),
    again=dict(weights_of="second", options={{"model.heads.instances.test_cfg.mask_thr": 0.4}}),
)
iters = 2
seeds = [0]
tables = [dict(title="Tiny", rows=dict(A="first", B="second", C="again"), columns=dict(AP="AP", S="S"))]
"""
# the tool in a process of its own that is killed with the training it runs in the same process
KILLED = """
import runpy
from tests.tools.test_ablate import in_process
runpy.run_path({tool!r})["main"]({argv}, in_process)
"""


def in_process(arguments, log):
    """As ``python -m cellmm.commands.cli ...``, without the seconds that a process takes to start."""
    assert arguments[:2] == ["-m", "cellmm.commands.cli"]
    with open(log, "a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        return cellmm.commands.cli.main(arguments[2:])


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/ablate")


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory):
    return tiny_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def finished(tool, config, tmp_path_factory):
    """A grid that was run without a stop: (grid, folder, what was said)."""
    top = tmp_path_factory.mktemp("finished")
    grid, said = top / "grid.py", []
    grid.write_text(GRID.format(config=config))
    tool._say, say = said.append, tool._say
    assert tool.main([str(grid), "--work-dir", str(top / "work")], in_process) == 0
    tool._say = say
    return grid, top / "work", said


def numbers(folder):
    """The lines of the tables, without what is below them."""
    return [line for line in (folder / "tables.md").read_text().splitlines() if line.startswith("|")]


def test_runs_are_trained_and_tested(finished):
    _, folder, said = finished
    results = [json.loads((folder / name / "seed0/result.json").read_text()) for name in ("first", "again")]
    assert [result["iters"] for result in results] == [2, 2]
    assert results[0]["minutes"] > 0 == results[1]["minutes"] and results[0]["batch_size"] == 2
    assert results[0]["metrics"].keys() >= {"AP", "AP50", "S"} and "core" in results[0]["hardware"]
    assert sorted(path.name for path in folder.glob("*/seed0/iter_2.pth")) == ["iter_2.pth"] * 2
    assert [re.sub("about .* left", "about T left", line) for line in said[:3]] == [
        "[1/3] first seed 0: 0 % done, no estimate so far",
        "[2/3] second seed 0: 33 % done, about T left",
        "[3/3] again seed 0: 66 % done, about T left",
    ]
    text = (folder / "tables.md").read_text()
    assert numbers(folder)[0] == "| Model | AP | S |" and len(numbers(folder)) == 5
    assert "2 iterations a run, seed 0." in text and "again not trained" in text and "torch 2" in text


def test_killed_and_started_again_gives_the_same(tool, forked, finished, tmp_path, capsys):
    grid, folder, _ = finished
    work = tmp_path / "work"
    code = KILLED.format(tool=str(TOOL), argv=[str(grid), "--work-dir", str(work)])
    process = forked.Process(target=exec, args=(code, {}))
    process.start()
    while process.is_alive() and not (work / "second/seed0/iter_1.pth").exists():
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it ended before it could be killed"
    assert not (work / "second/seed0/result.json").exists()
    first = (work / "first/seed0/result.json").stat().st_mtime
    assert json.loads((work / "second/seed0/state.json").read_text())["parts"][-1][1] is None
    assert tool.main([str(grid), "--work-dir", str(work)], in_process) == 0
    assert numbers(work) == numbers(folder)
    assert (work / "first/seed0/result.json").stat().st_mtime == first
    parts = json.loads((work / "second/seed0/state.json").read_text())["parts"]
    assert all(begin <= end for begin, end in parts)
    minutes = json.loads((work / "second/seed0/result.json").read_text())["minutes"]
    assert minutes == pytest.approx(sum(end - begin for begin, end in parts) / 60)
    assert capsys.readouterr().out.startswith("[2/3] second seed 0: 33 % done")


def test_a_changed_config_runs_again_and_a_changed_test_is_tested_again(tool, finished, config, capsys):
    grid, folder, _ = finished
    text = grid.read_text()
    other = text.replace("1e-4", "2e-4").replace(
        f'"{config}"),', f'"{config}", options={{"test_evaluator.score_thr": 0.1}}),'
    )
    assert other.count("score_thr") == 1
    grid.write_text(other)
    start = json.loads((folder / "first/seed0/result.json").read_text())
    try:
        assert tool.main([str(grid), "--work-dir", str(folder), "--tables-only"]) == 0
        assert "second: 0 of 1 done; its config has changed since." in (folder / "tables.md").read_text()
        assert numbers(folder)[2:] == [f"| {name} | - | - |" for name in "ABC"]
        assert tool.main([str(grid), "--work-dir", str(folder)], in_process) == 0
    finally:
        grid.write_text(text)
    out = capsys.readouterr().out
    assert "second seed 0: its config has changed, it runs again" in out
    assert "first seed 0: its config has changed" not in out
    assert len(list(folder.glob("second/earlier/seed0_*/result.json"))) == 1
    again = json.loads((folder / "first/seed0/result.json").read_text())
    assert again["digest"] != start["digest"] and again["minutes"] == start["minutes"]


def test_a_failing_run_does_not_stop_the_others(tool, config, tmp_path, capsys):
    grid, ran = tmp_path / "grid.py", []
    grid.write_text(GRID.format(config=config).replace(str(config), "no.py", 1))

    def execute(arguments, log):
        ran.append(arguments[2])
        log.write_text("a line\nValueError: the loss is lost\n")
        return 1

    assert tool.main([str(grid), "--work-dir", str(tmp_path / "work")], execute) == 1
    out = capsys.readouterr().out
    assert ran == ["train"]
    assert (
        "first seed 0 failed: no.py: no such config file; `cellmm config --list` names those of cellmm\n"
        in out
    )
    assert "second seed 0 failed: ValueError: the loss is lost (" in out
    assert "again seed 0 failed: second has no weights at the end, iter_2.pth\n" in out
    assert "tables.md; 3 failed, see above" in out
    assert (
        "first: 0 of 1 done; failed: no.py: no such config file; `cellmm config --list` names those of "
        "cellmm." in (tmp_path / "work/tables.md").read_text()
    )
    assert tool.main([str(grid), "--work-dir", str(tmp_path / "work"), "--list"]) == 0
    assert f"again  {config} (weights of second)  seeds: 0 begun" in capsys.readouterr().out


def test_an_error_analysis_is_made_up_for_and_ctrl_c_is_one_line(tool, config, tmp_path, capsys):
    """Asked for later it trains nothing again; its rows are numbers of the table."""
    grid, ran = tmp_path / "grid.py", []
    work = tmp_path / "work"
    text = GRID.format(config=config)
    tables = text.index("tables = ")
    grid.write_text(text)

    def execute(arguments, log):
        ran.append(Path(arguments[0]).name if arguments[0] != "-m" else arguments[2])
        if len(ran) == 2:
            raise KeyboardInterrupt
        if ran[-1] == "train":
            (log.parent / "iter_2.pth").touch()
        elif ran[-1] == "test":
            (log.parent / "metrics.json").write_text('{"AP": 0.25, "S": null, "config": "a.py"}')
        else:
            (Path(arguments[-1])).mkdir()
            found = dict(oracles={"true masks": {"AP": 0.75}}, errors={"missed": {"AP": 0.125}})
            (Path(arguments[-1]) / "errors.json").write_text(json.dumps(found))
        return 0

    assert tool.main([str(grid), "--work-dir", str(work), "--only", "first"], execute) == 130
    assert capsys.readouterr().err == "ablate: stopped; the same command goes on from here\n"
    assert tool.main([str(grid), "--work-dir", str(work), "--list"]) == 0
    assert f"first  {config}  seeds: 0 trained\n" in capsys.readouterr().out
    assert tool.main([str(grid), "--work-dir", str(work), "--tables-only"]) == 0
    assert "first: 0 of 1 done; seed 0 trained, not finished." in (work / "tables.md").read_text()
    assert tool.main([str(grid), "--work-dir", str(work), "--only", "first"], execute) == 0
    assert ran == ["train", "test", "test"]
    text_after = (work / "tables.md").read_text()
    assert "second: 0 of 1 done; not run so far." in text_after
    text = text[:tables] + 'tables = [dict(title="T", errors_of="first")]'
    grid.write_text(
        text.replace(f'first=dict(config="{config}"', f'first=dict(config="{config}", error_analysis=True')
    )
    assert tool.main([str(grid), "--work-dir", str(work), "--only", "first"], execute) == 0
    assert ran[3:] == ["test", "analyse_errors.py"]
    lines = (work / "tables.md").read_text().splitlines()
    assert lines[lines.index("## T") + 4 :][:3] == [
        "| baseline | 25.0 | - | - | - | - | - |",
        "| w/ gt mask | 75.0 | - | - | - | - | - |",
        "| gt matched | - | - | - | - | - | - |",
    ]
    assert "| missed | 12.5 | - |" in lines


def test_processes_hold_the_lock_and_give_the_last_line(tool, tmp_path, capsys):
    log = tmp_path / "log"
    with tool.Processes(tmp_path) as run:
        assert run(["-c", "import cellmm, sys; print(cellmm.__name__); sys.exit(3)"], log) == 3
    assert log.read_text() == "cellmm\n"
    left = (
        "import fcntl, time; lock = open('.lock'); fcntl.flock(lock, 2); print(flush=True); time.sleep(0.5)"
    )
    with subprocess.Popen([sys.executable, "-c", left], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with tool.Processes(tmp_path):
            assert process.poll() is not None or process.wait(1) == 0
    assert "waiting for another call" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("iters = 2", "iter = 2", "iter: unknown; did you mean iters?"),
        ("iters = 2", "", "iters: missing"),
        ("iters = 2", "iters = 0", "iters: a whole number of at least 1"),
        ("[0]", "[0, 0]", "seeds: different whole numbers"),
        (
            'weights_of="second"',
            'weight_of="second"',
            "runs.again.weight_of: unknown; did you mean weights_of?",
        ),
        ('weights_of="second"', 'weights_of="secnd"', "no run 'secnd' is trained; did you mean second?"),
        ('A="first"', 'A="frist"', "tables.0.rows.A: no run is called 'frist'; did you mean first?"),
        ("tables = [", 'tables = [dict(title="E", errors_of="first"),', "runs.first has no error analysis"),
        (
            "tables = [",
            'tables = [dict(title="E", errors_of="frist"),',
            "no run is called 'frist'; did you mean first?",
        ),
        ("tables = [", 'tables = [dict(errors_of="first", rows={}),', "tables.0.rows: unknown"),
        ('title="Tiny"', 'titel="Tiny"', "tables.0.titel: unknown; did you mean title?"),
        ('title="Tiny"', 'title="Tiny", scale=10', "tables.0.scale: 1 or 100 is needed, got 10"),
        ('title="Tiny"', 'title="Tiny", header="a|b"', "'A' has not as many parts"),
    ],
)
def test_a_wrong_grid_is_one_line(tool, config, tmp_path, capsys, old, new, message):
    text = GRID.format(config=config)
    assert old in text
    (tmp_path / "grid.py").write_text(text.replace(old, new))
    assert tool.main([str(tmp_path / "grid.py"), "--list"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ablate: ") and error.count("\n") == 1 and message in error


def test_an_unknown_run_is_refused(tool, finished, capsys):
    assert tool.main([str(finished[0]), "--only", "frist", "--list"]) == 1
    assert capsys.readouterr().err == "ablate: --only frist: no such run; did you mean first?\n"


def scheduled(tiny_config, folder, schedule, more=""):
    text = f"train_cfg = dict(max_iters=500, val_interval=50)\nparam_scheduler = [{schedule}]\n{more}"
    return Run("run", str(tiny_config(folder, text)))


def test_the_budget_scales_the_schedule(tiny_config, tmp_path):
    schedule = """
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=30, end=500),
    dict(type="MultiStepLR", by_epoch=False, milestones=[250, 400], gamma=0.1),
"""
    more = """
optim_wrapper = dict(accumulative_counts=4)
default_hooks = dict(checkpoint=dict(save_best="AP", rule="greater"))
custom_hooks = [
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", begin_iter=100),
    dict(type="EarlyStoppingHook", monitor="AP", rule="greater"),
]
"""
    cfg = effective_config(scheduled(tiny_config, tmp_path, schedule, more), 7, 50)
    linear, cosine, steps = cfg.param_scheduler
    assert (linear.begin, linear.end, linear.start_factor) == (0, 3, 0.02)
    assert (cosine.begin, cosine.end) == (3, 50) and steps.milestones == [25, 40]
    assert cfg.train_cfg == dict(type="IterBasedTrainLoop", max_iters=50) and cfg.randomness.seed == 7
    assert cfg.default_hooks.checkpoint == dict(
        type="CheckpointHook", by_epoch=False, interval=8, max_keep_ckpts=2
    )
    assert [(hook.type, hook.begin_iter) for hook in cfg.custom_hooks] == [("EMAHook", 10)]
    assert not [key for key in cfg if key.startswith("val_")]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            'dict(type="ExponentialLR", gamma=0.9, by_epoch=False)',
            "ExponentialLR cannot be scaled from 500 to 5",
        ),
        ('dict(type="LinearLR", by_epoch=False, begin=0, end=30)', "nothing is left of LinearLR in 5 iter"),
        ('dict(type="MultiStepLR", by_epoch=False, milestones=[200, 210])', "nothing is left of MultiStepLR"),
    ],
)
def test_what_cannot_be_scaled_is_refused(tiny_config, tmp_path, schedule, message):
    with pytest.raises(CellMMError, match=f"tiny.py: param_scheduler.*: .*{message}"):
        effective_config(scheduled(tiny_config, tmp_path, schedule), 0, 5)


def test_the_digest_is_of_values_not_of_their_order(config):
    first, second = load_config(config), load_config(config)
    encoder = second.model.pop("encoder")
    second.model.encoder = encoder
    assert digest(first) == digest(second) != digest(first, "weights")
    second.model.encoder.widths = (4, 4, 5)
    assert digest(first) != digest(second)


def result(metrics, **more):
    about = dict(minutes=2.0, hardware="One core", torch="2.15", batch_size=4, errors=None)
    return dict(about, metrics=metrics, **more)


def test_table_by_hand():
    runs = {name: Run(name, f"{name}.py") for name in ("base", "two", "four")}
    rows = {"SEU-Net (base)": Row("base"), "SEU-Net (2-head)": Row("two"), "SEU-Net (4-head)": Row("four")}
    columns = {"F1": "cytoplasm/F1", "IoU": "cytoplasm/IoU", "Rec.": "cytoplasm/Rex"}
    table = Table("Cytoplasm", rows, columns, number="5.1")
    grid = Grid(Path("grid.py"), runs, [table], 500, (0, 1))
    results = {
        ("base", 0): result({"cytoplasm/F1": 0.9, "cytoplasm/IoU": 0.83}),
        ("base", 1): result({"cytoplasm/F1": 0.91, "cytoplasm/IoU": 0.83}),
        ("two", 0): result({"cytoplasm/F1": 0.92, "cytoplasm/IoU": None}, batch_size=2),
        ("two", 1): result({"cytoplasm/F1": 0.94, "cytoplasm/IoU": 0.85}, batch_size=2),
    }
    text = table_text(table, grid, results, command="ablate grid.py", notes=dict(four="failed: no memory"))
    assert text.splitlines() == [
        "## Table 5.1: Cytoplasm",
        "",
        "| Model | F1 | IoU | Rec. |",
        "| --- | --- | --- | --- |",
        "| SEU-Net (base) | <u>0.9050</u> (0.9000 to 0.9100) | <u>0.8300</u> (0.8300 to 0.8300) | - |",
        "| SEU-Net (2-head) | **0.9300** (0.9200 to 0.9400) | **0.8500** | - |",
        "| SEU-Net (4-head) | - | - | - |",
        "",
        "`ablate grid.py`: 500 iterations a run, seeds 0, 1; mean (lowest to highest) over the seeds.",
        "",
        "Minutes of training (mean): base 2.0, two 2.0. One core, torch 2.15.",
        "",
        "Images a batch: base 4, two 2.",
        "",
        "four: 0 of 2 done; failed: no memory.",
        "",
        "Rec.: no run gives cytoplasm/Rex; did you mean cytoplasm/F1?",
        "",
    ]


def test_table_of_errors_in_percent_with_two_label_columns():
    runs = dict(best=Run("best", "best.py", error_analysis=True))
    rows = {"best | ": Row("best"), "best | w/ gt mask": Row("best", "gt_mask")}
    table = Table("Errors", rows, dict(AP="AP"), header="run | masks", scale=100, mark=False)
    grid = Grid(Path("grid.py"), runs, [table], 2, (0,))
    results = {("best", 0): result({"AP": 0.443}, errors=dict(gt_mask=dict(AP=0.978)))}
    lines = table_text(table, grid, results, command="x", notes={}).splitlines()
    assert lines[0] == "## Errors" and lines[2:4] == ["| run | masks | AP |", "| --- | --- | --- |"]
    assert lines[4:6] == ["| best |  | 44.3 |", "| best | w/ gt mask | 97.8 |"]
    rows["best | w/ gt mask"] = Row("best", "gt_mast")
    text = table_text(table, grid, results, command="x", notes={})
    assert "best | w/ gt mask: the error analysis has no 'gt_mast'; did you mean gt_mask?" in text


def test_the_best_are_marked_by_what_is_shown():
    rows = {name: Row(name) for name in "abcd"}
    table = Table("Ties", rows, dict(AP="AP"), scale=100)
    grid = Grid(Path("grid.py"), {name: Run(name, "") for name in "abcd"}, [table], 2, (0,))
    shown = dict(a=0.5001, b=0.5, c=0.4, d=0.3)
    results = {(name, 0): result({"AP": value}) for name, value in shown.items()}
    lines = table_text(table, grid, results, command="x", notes={}).splitlines()
    assert lines[4:8] == ["| a | **50.0** |", "| b | **50.0** |", "| c | <u>40.0</u> |", "| d | 30.0 |"]
    alone = table_text(table, grid, {("a", 0): results["a", 0]}, command="x", notes={})
    assert "| a | 50.0 |" in alone


def test_there_are_grids():
    assert {Path(path).stem for path in GRIDS} == {
        "few_worms",
        "few_worms_sparseseunet",
        "seunet_paper",
        "simulated",
        "sparseseunet_paper",
        "synthesis",
        "worms",
    }


@pytest.mark.parametrize("path", GRIDS)
def test_configs_of_a_grid_exist_and_can_be_scaled(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    grid = load_grid(path)
    absent = {run.config for run in grid.runs.values() if not Path(run.config).is_file()}
    assert not absent
    for run in grid.runs.values():
        assert effective_config(run, 0, grid.iters).train_cfg.max_iters == grid.iters
