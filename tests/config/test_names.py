"""cellmm's own configs are found by name, from any folder and in ``_base_`` of any config."""

import pytest
from mmengine.config import Config

from cellmm.commands.cli import main
from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.names import config_names, configs_folder, find_config
from cellmm.engine.work_dir import default_work_dir
from cellmm.errors import CellMMError


@pytest.mark.parametrize(
    "name",
    [
        "diskmask/bbbc010_cpu",
        "diskmask/bbbc010_cpu.py",
        "configs/diskmask/bbbc010_cpu.py",
        "cellmm::diskmask/bbbc010_cpu",
    ],
)
def test_by_name_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == configs_folder() / "diskmask/bbbc010_cpu.py"
    assert load_config(name).max_iters == 6000
    assert default_work_dir(name) == "work_dirs/diskmask/bbbc010_cpu"


def test_an_installed_package_uses_its_own_configs(tmp_path, monkeypatch):
    """Whatever lies beside it: some packages install a setup.py or a folder configs into site-packages."""
    for path in (
        "setup.py",
        "configs/diskmask/other.py",
        "cellmm/__init__.py",
        "cellmm/configs/diskmask/own.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.setattr("cellmm.__file__", str(tmp_path / "cellmm/__init__.py"))
    assert configs_folder() == tmp_path / "cellmm/configs" and config_names() == ["diskmask/own"]


def test_a_file_of_the_user_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "diskmask").mkdir()
    (tmp_path / "diskmask/bbbc010_cpu.py").write_text("max_iters = 3\n")
    assert load_config("diskmask/bbbc010_cpu.py").max_iters == 3
    assert load_config("cellmm::diskmask/bbbc010_cpu.py").max_iters == 6000


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("diskmask/bbbc010_gpu", "did you mean diskmask/bbbc010_cpu"),
        ("bbbc010_cpu", "did you mean diskmask/bbbc010_cpu"),
        ("nowhere.py", "`cellmm config --list` names those of cellmm"),
        ("../setup", "`cellmm config --list` names those of cellmm"),
        ("", "`cellmm config --list` names those of cellmm"),
    ],
)
def test_no_such_config(name, cure):
    with pytest.raises(CellMMError, match="no such config file") as error:
        find_config(name)
    assert cure in str(error.value) and "\n" not in str(error.value)


def test_a_config_anywhere_inherits_one_of_cellmm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.py"
    mine.write_text(
        '_base_ = ["cellmm::diskmask/bbbc010_cpu"]\nmax_iters = 7\nseed = _base_.randomness.seed\n'
    )
    cfg = load_config(mine)
    assert cfg.max_iters == 7 and cfg.seed == 0 and cfg.model.type == "CellSegmentor"
    assert Config._get_base_files(str(mine)) == ["cellmm::diskmask/bbbc010_cpu"]
    mine.write_text('_base_ = ["cellmm::diskmask/bbbc010_cpus"]\n')
    with pytest.raises(CellMMError, match="did you mean diskmask/bbbc010_cpu"):
        load_config(mine)


def test_a_variable_without_effect_is_found_through_such_a_base(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text('_base_ = ["cellmm::diskmask/bbbc010_cpu"]\nmax_iters = 7\n')
    with pytest.raises(CellMMError, match="max_iters"):
        check_config(load_config(mine))


def test_the_list(capsys):
    assert main(["config", "--list"]) == 0
    names = capsys.readouterr().out.split()
    assert names == config_names() and "sparseseunet/brightfield" in names
    assert not [name for name in names if name.startswith("_base_")]
    for name in names:
        assert find_config(name).is_file()


def test_the_command_shows_a_config_by_name(capsys):
    assert main(["config", "diskmask/bbbc010_cpu", "--diff"]) == 0
    assert "optim_wrapper.type: 'OptimWrapper' -> 'AmpOptimWrapper'" in capsys.readouterr().out
