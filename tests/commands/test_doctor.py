"""``cellmm doctor``: each known trouble is found and gets its cure; a sound installation passes."""

import importlib
import sys
from types import SimpleNamespace

import pytest

from cellmm.commands import doctor
from cellmm.commands.doctor import HEADLESS, TORCH_PAIR, Finding


def fake_torch(*, version="2.9.0", cuda="13.0", capabilities=(), arch_list=("sm_80", "sm_90")):
    return SimpleNamespace(
        __version__=version,
        __name__="torch",
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: bool(capabilities),
            device_count=lambda: len(capabilities),
            get_device_capability=lambda i: capabilities[i],
            get_device_properties=lambda i: SimpleNamespace(name="A GPU", total_memory=8 * 1024**3),
            get_arch_list=lambda: list(arch_list),
        ),
    )


def fake_cv2(gui):
    return SimpleNamespace(
        __name__="cv2", getBuildInformation=lambda: f"General\n  GUI:      {gui}\n  Media:\n"
    )


@pytest.fixture
def no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "Path", lambda path: tmp_path / "absent")


def test_this_installation_is_sound(capsys):
    status = doctor.main([])
    out = capsys.readouterr().out
    assert status == 0, out
    for name in ("python", "torch", "torchvision", "cv2", "mmengine", "machine", "folder"):
        assert f" {name} " in out
    assert out.endswith("nothing is wrong\n")


def test_status_1_and_the_cure_when_a_library_is_broken(monkeypatch, capsys):
    """The doctor speaks on when imports fail."""
    real = importlib.import_module

    def import_module(name):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
        return real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", import_module)
    monkeypatch.setattr(doctor, "OWN_PACKAGES", ())
    assert doctor.main([]) == 1
    out = capsys.readouterr().out
    assert "libGL.so.1" in out and HEADLESS in out
    assert "matplotlib" in out and "1 thing(s) wrong" in out


@pytest.mark.parametrize(
    ("error", "distribution", "cure"),
    [
        (ImportError("libGL.so.1: cannot open shared object file"), "opencv-python-headless", HEADLESS),
        (ImportError("libxcb.so.1: cannot open shared object file"), "mmengine", HEADLESS),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "mmengine", HEADLESS),
        (AttributeError("module 'cv2' has no attribute 'getBuildInformation'"), "mmengine", HEADLESS),
        (RuntimeError("operator torchvision::nms does not exist"), "torchvision", TORCH_PAIR),
        (RuntimeError("operator torchvision::nms does not exist"), "mmengine", TORCH_PAIR),
        (
            ModuleNotFoundError("No module named 'skimage'", name="skimage"),
            "scikit-image",
            "pip install scikit-image",
        ),
        (ModuleNotFoundError("No module named 'mmcv'", name="mmcv"), "mmcv-lite", "pip install mmcv-lite"),
        (ModuleNotFoundError("No module named 'pkg_resources'", name="pkg_resources"), "x", "setuptools<81"),
        (ImportError("numpy.core.multiarray failed to import"), "scipy", "--upgrade --force-reinstall scipy"),
        (OSError("something else"), "tifffile", "pip install --force-reinstall --no-deps tifffile"),
    ],
)
def test_cure_of_a_failed_import(error, distribution, cure):
    assert cure in doctor.cure_of(error, distribution=distribution)


def test_half_an_opencv_is_reported_not_raised():
    """What is left after pip uninstall: an empty folder cv2 that can be imported."""
    (finding,) = doctor.look_deeper(type(sys)("cv2"), "opencv-python-headless", check=doctor.check_opencv)
    assert (finding.level, finding.subject, finding.cure) == ("wrong", "cv2", HEADLESS)


def test_opencv_builds():
    assert [finding.level for finding in doctor.check_opencv(fake_cv2("NONE"))] == ["ok"]
    (finding,) = doctor.check_opencv(fake_cv2("QT5"))
    assert (finding.level, finding.cure) == ("warning", HEADLESS)
    assert "QT5" in finding.text


@pytest.mark.usefixtures("no_gpu")
def test_old_torch_is_wrong():
    wrong, gpu = doctor.check_torch(fake_torch(version="2.5.1+cpu", cuda=None))
    assert (wrong.level, wrong.cure) == ("wrong", "pip install --upgrade torch torchvision")
    assert gpu == Finding("info", "gpu", "none; everything runs on the CPU (torch is a CPU build)")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("version", ["2.6.0+cu124", "2.15.0", "3.0.0a1"])
def test_torch_from_2_6_on_is_right(version):
    assert [finding.level for finding in doctor.check_torch(fake_torch(version=version))] == ["info"]


def test_gpu_that_torch_is_not_built_for():
    old, new = doctor.check_torch(fake_torch(capabilities=[(6, 1), (8, 6)]))
    assert (old.level, old.subject) == ("wrong", "gpu 0")
    assert "sm_61" in old.cure and "compute capability 6.1" in old.text
    assert (new.level, new.subject) == ("ok", "gpu 1")


def test_gpu_beside_a_cpu_torch(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    (finding,) = doctor.check_torch(fake_torch(cuda=None))
    assert (finding.level, finding.cure) == ("warning", TORCH_PAIR)
    (finding,) = doctor.check_torch(fake_torch(cuda="13.0"))
    assert finding.level == "warning" and "driver" in finding.cure


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((8, 0), ["sm_80"], True),
        ((8, 6), ["sm_80"], True),  # later in the same generation
        ((8, 0), ["sm_86"], False),  # earlier
        ((9, 0), ["sm_80"], False),  # another generation
        ((9, 0), ["sm_80", "compute_80"], True),  # portable code
        ((7, 0), ["compute_80"], False),
        ((12, 0), ["sm_100", "sm_120"], True),
        ((9, 0), ["sm_90a"], False),  # for one architecture only: not counted on
        ((9, 0), [], False),
    ],
)
def test_capability_rule(capability, built_for, runs):
    assert doctor.runs_on(capability, built_for) is runs


def test_releases_outside_of_the_range(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv", SimpleNamespace(__version__="2.1.0"))
    (finding,) = doctor.check_versions(SimpleNamespace(__name__="mmcv.transforms"))
    assert (finding.level, finding.subject) == ("wrong", "mmcv")
    assert "mmcv-lite>=2.2,<2.3" in finding.cure
    monkeypatch.setitem(sys.modules, "mmcv", SimpleNamespace(__version__="2.2.0"))
    assert doctor.check_versions(SimpleNamespace(__name__="mmcv.transforms")) == []


def test_twins(monkeypatch):
    installed = {
        "mmcv": "2.2.0",
        "mmcv-lite": "2.2.0",
        "opencv-python": "5.0",
        "opencv-python-headless": "5.0",
    }
    monkeypatch.setattr(doctor, "installed_version", installed.get)
    findings = {finding.subject: finding for finding in doctor.check_twins()}
    assert set(findings) == {"mmcv-lite", "opencv"}
    assert findings["mmcv-lite"].level == "warning"
    assert "opencv-python 5.0 and opencv-python-headless 5.0" in findings["opencv"].text
    monkeypatch.setattr(
        doctor, "installed_version", {"mmcv-lite": "2.2.0", "opencv-python-headless": "5.0"}.get
    )
    assert doctor.check_twins() == []


def test_folder_that_cannot_be_written(tmp_path):
    (finding,) = doctor.check_folder(tmp_path / "absent")
    assert finding.level == "wrong" and "absent" in finding.text and "--work-dir" in finding.cure
    assert doctor.check_folder(tmp_path)[0].level in {"ok", "warning"}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512_bf16 amx_bf16", "bf16 in hardware (amx_bf16, avx512_bf16)"),
        ("fpu avx2", "no bf16 in hardware"),
    ],
)
def test_cpu(tmp_path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: A CPU\nflags\t\t: {flags}\n")
    (finding,) = doctor.check_cpu(cpuinfo)
    assert finding.text.startswith("A CPU, ") and expected in finding.text


def test_release():
    assert doctor.release("2.6.0+cu124") == (2, 6, 0)
    assert doctor.release("0.10.7") < (0, 11)
    assert doctor.release("of unknown version") == ()
