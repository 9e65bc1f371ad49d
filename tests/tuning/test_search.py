"""A search with a formula in place of the training: what is drawn, kept, taken up and shared."""

import copy
import math
import multiprocessing
import os

import pytest
from mmengine.config import Config

from cellmm.errors import CellMMError
from cellmm.tuning import search as search_module
from cellmm.tuning.search import Plan, Search
from cellmm.tuning.space import read_space
from cellmm.tuning.training import Outcome
from cellmm.tuning.trial_config import TrialSettings, check_space, write_best_config

SPACE = {
    "optim_wrapper.optimizer.lr": "log 1e-5 1e-1",
    "train_dataloader.batch_size": "int 1 4",
    "model.encoder.se": [True, False],
}


TINY = dict(
    train_cfg=dict(max_iters=4, val_interval=2),
    optim_wrapper=dict(optimizer=dict(lr=1e-3)),
    train_dataloader=dict(batch_size=1),
    model=dict(encoder=dict(se=True)),
)


def tiny(settings, values, work_dir):
    """The config of a trial, without reading and checking files."""
    cfg = Config(copy.deepcopy(TINY))
    cfg.merge_from_dict(values)
    return cfg


def score(cfg):
    return -((math.log10(cfg.optim_wrapper.optimizer.lr) + 3) ** 2) - 0.1 * cfg.train_dataloader.batch_size


def formula(cfg, trial, **_):
    trial.report(score(cfg), 1)
    return Outcome("complete", score(cfg))


@pytest.fixture
def make(tmp_path, monkeypatch):
    """``make(folder, train, **plan)``: a search whose trainings are ``train``."""
    monkeypatch.setattr(search_module, "trial_config", tiny)
    monkeypatch.setattr(search_module, "write_report", lambda *_: None)
    monkeypatch.setattr(search_module, "write_best_config", lambda *_: None)

    def build(folder="search", train=formula, metric="S", space=SPACE, **plan):
        monkeypatch.setattr(search_module, "train_trial", train)
        settings = TrialSettings(config="tiny.py", options={}, metric=metric)
        said = []
        found = Search(tmp_path / folder, settings, read_space(space, "space"), Plan(**plan), said.append)
        found.said = said
        return found

    return build


def params(search):
    return [trial.params for trial in search.study.get_trials()]


def states(search):
    return [trial.state.name for trial in search.study.get_trials()]


def test_the_second_round_is_narrowed_around_the_best_of_the_first(make):
    search = make(trials=8, rounds=2)
    search.run()
    trials = search.study.get_trials()
    assert states(search) == ["COMPLETE"] * 16
    best = sorted(trials[:8], key=lambda trial: -trial.value)[:3]
    rates = [trial.params["optim_wrapper.optimizer.lr"] for trial in best]
    narrow = search.narrowed(trials[:8])[0]
    assert narrow.low <= min(rates) and max(rates) <= narrow.high < 1e-1
    assert all(narrow.low <= t.params["optim_wrapper.optimizer.lr"] <= narrow.high for t in trials[8:])
    assert search.best().value == max(trial.value for trial in trials)


@pytest.mark.parametrize("plan", [dict(trials=3, rounds=2), dict(trials=6, rounds=1, sampler="tpe")])
def test_same_seed_same_search_also_if_it_is_stopped(make, plan):
    whole = make("whole", **plan)
    whole.run()
    calls = []

    def stops(cfg, trial, **options):
        calls.append(trial.number)
        return Outcome("stopped") if len(calls) == 3 else formula(cfg, trial, **options)

    first = make("parts", stops, **plan)
    first.run()
    assert states(first) == ["COMPLETE", "COMPLETE", "RUNNING"] and "goes on" in first.said[-1]
    second = make("parts", **plan)
    second.run()
    assert states(second) == ["COMPLETE"] * 6
    assert params(second) == params(whole)
    other = make("other", **plan, seed=1)
    other.run()
    assert params(other) != params(whole)


def test_failed_trials_do_not_end_the_search(make):
    def sometimes(cfg, trial, **options):
        return Outcome("failed", reason="loss not finite") if trial.number == 1 else formula(cfg, trial)

    search = make("search", sometimes, trials=4, rounds=1)
    search.run()
    assert states(search) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert search.study.get_trials()[1].user_attrs["reason"] == "loss not finite"
    assert any("loss not finite" in line for line in search.said)


def test_a_search_in_which_nothing_works_ends(make):
    search = make("search", lambda *_, **__: Outcome("failed", reason="no such folder"), trials=50)
    with pytest.raises(CellMMError, match="all of the first 10 trials failed, the last one: no such folder"):
        search.run()


def test_weights_of_the_best_trial_alone_are_kept(make):
    def saves(cfg, trial, **options):
        (search.place(trial.number) / "best.pth").touch()
        return formula(cfg, trial)

    search = make("search", saves, trials=5, rounds=1)
    search.run()
    kept = [path.parent.name for path in search.folder.glob("trial_*/*.pth")]
    assert kept == [f"trial_{search.best().number:04d}"]


def test_another_space_in_the_same_folder_is_refused(make):
    make(trials=2, rounds=1)
    make(trials=9, rounds=1)  # more trials may follow
    with pytest.raises(CellMMError, match="a search with another space.*--work-dir"):
        make(trials=2, rounds=1, space=SPACE | {"model.encoder.se": [False, True]})
    with pytest.raises(CellMMError, match="another metric, 'S' and not 'AP'"):
        make(trials=2, rounds=1, metric="AP")


@pytest.mark.parametrize("pruner", ["asha", "hyperband"])
def test_pruners_give_up_what_is_behind(make, pruner):
    def reports(cfg, trial, *, steps, **_):
        for step in range(1, 28):
            trial.report(-trial.number * step / 27, step)  # each trial is worse than those before
            if trial.should_prune():
                return Outcome("pruned")
        return Outcome("complete", -trial.number)

    search = make("search", reports, trials=9, rounds=1, pruner=pruner)
    search.steps = 27
    search.study.pruner = search._pruner()
    search.run()
    assert states(search)[0] == "COMPLETE" and "PRUNED" in states(search)
    assert search.best().number == 0


def fork(make, die_in=None, **options):
    """A process that works on a search, and dies in the trial of this number as if killed."""

    def train(cfg, trial, **_):
        return os._exit(9) if trial.number == die_in else formula(cfg, trial)

    def work():
        make(train=train, **options).run()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def test_the_trial_of_a_killed_process_is_taken_up(make):
    process = fork(make, die_in=1, trials=3, rounds=1)
    process.join()
    assert process.exitcode == 9
    search = make(trials=3, rounds=1)
    assert states(search) == ["COMPLETE", "RUNNING"]
    before = params(search)
    search.run()
    assert states(search) == ["COMPLETE"] * 3 and params(search)[:2] == before
    assert any("trial 1: its process was ended; it is taken up" in line for line in search.said)


def test_a_trial_that_kills_its_process_again_and_again_fails(make):
    for _ in range(3):
        fork(make, die_in=0, trials=2, rounds=1).join()
    search = make(trials=2, rounds=1)
    search.run()
    assert states(search) == ["FAIL", "COMPLETE"]
    assert search.study.get_trials()[0].user_attrs["reason"] == "its process was ended 3 times"


def test_several_processes_share_a_search(make):
    alone = make("alone", trials=4, rounds=2)
    alone.run()
    for process in [fork(make, folder="shared", trials=4, rounds=2) for _ in range(3)]:
        process.join()
        assert process.exitcode == 0
    shared = make("shared", trials=4, rounds=2)
    assert states(shared) == ["COMPLETE"] * 8 and params(shared) == params(alone)


@pytest.mark.parametrize(
    ("key", "form", "message"),
    [
        ("optim_wrapper.optimizer.learning_rate", "log 1e-5 1e-2", "AdamW takes no such argument"),
        ("model.encoder.dropuot", [1, 2], "takes no such argument"),
        ("optim_wrapper.optimizer.lr.x", [1, 2], "space.yml: optim_wrapper.optimizer.lr.x = 1"),
        ("data_root", ["a", "b"], "data_root is no key of a config"),
    ],
)
def test_unknown_keys_are_found_before_the_first_trial(tiny_config, tmp_path, key, form, message):
    settings = TrialSettings(config=str(tiny_config(tmp_path)), options={}, metric="S")
    with pytest.raises(CellMMError, match=message):
        check_space(settings, read_space({key: form}, "space.yml"), "space.yml")


def test_the_best_config_inherits_the_original(tiny_config, tmp_path):
    schedule = "param_scheduler = [dict(type='LinearLR', begin=0, end=3, by_epoch=False)]\n"
    source = tiny_config(tmp_path, schedule)
    settings = TrialSettings(config=str(source), options={"randomness": dict(seed=4)}, metric="S")
    values = {"optim_wrapper.optimizer.lr": 0.02, "param_scheduler.0.end": 2}
    write_best_config(tmp_path / "best.py", settings, values, "S 0.5: trial 3 of 9")
    text = (tmp_path / "best.py").read_text()
    assert text.startswith("# S 0.5: trial 3 of 9\n_base_ = [") and len(text.splitlines()) == 5
    assert "optim_wrapper = dict(optimizer=dict(lr=0.02))" in text
    named = TrialSettings(config="sparseseunet/brightfield_quickstart", options={}, metric="S")
    write_best_config(tmp_path / "named.py", named, {"optim_wrapper.optimizer.lr": 0.02}, "")
    assert "cellmm::sparseseunet/brightfield_quickstart" in (tmp_path / "named.py").read_text()
