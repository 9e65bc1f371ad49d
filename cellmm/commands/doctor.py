"""``cellmm doctor``: the installation and the machine, what is wrong and how to mend it.

It must speak when everything else fails, so nothing but the standard library is imported at the top, and each
library is imported under guard. Each check returns a list of :class:`Finding`.
"""

import argparse
import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from cellmm import __version__

REINSTALL = "pip install --force-reinstall --no-deps"
HEADLESS = f"{REINSTALL} opencv-python-headless"
TORCH_PAIR = "pip install --force-reinstall torch torchvision  (both in one command, so that they match)"
# import name -> distribution; torch before what needs it, OpenCV before mmengine and albumentations
LIBRARIES = {
    "numpy": "numpy",
    "torch": "torch",
    "torchvision": "torchvision",
    "cv2": "opencv-python-headless",
    "mmengine.runner": "mmengine",
    "mmcv.transforms": "mmcv-lite",
    "albumentations": "albumentations",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "tifffile": "tifffile",
    "imagecodecs": "imagecodecs",
    "pycocotools.mask": "pycocotools",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "yaml": "PyYAML",
}
OWN_PACKAGES = ("structures", "datasets", "models", "evaluation", "engine", "visualization")
GIB = 1024**3


@dataclass(frozen=True)
class Finding:
    """One line of the report: ``level`` is 'ok', 'info', 'warning' (works, with a catch) or 'wrong'."""

    level: str
    subject: str
    text: str
    cure: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report on stdout; status 1 when something is wrong, 0 otherwise (warnings included)."""
    parser = argparse.ArgumentParser(
        prog="cellmm doctor", description="Check this installation of cellmm and say how to mend it."
    )
    parser.parse_args(argv)
    wrong = 0
    for finding in examine():
        sys.stdout.write(_format(finding))
        sys.stdout.flush()
        wrong += finding.level == "wrong"
    sys.stdout.write(f"\n{wrong} thing(s) wrong: see the cures above\n" if wrong else "\nnothing is wrong\n")
    return int(wrong > 0)


def examine() -> Iterable[Finding]:
    """All findings, in the order of the report."""
    yield from check_python()
    for name, distribution in LIBRARIES.items():
        module, finding = check_import(name, distribution)
        yield finding
        if module is not None and name in _DEEPER:
            yield from look_deeper(module, distribution, check=_DEEPER[name])
    yield from check_twins()
    yield from check_own_packages()
    yield from check_machine()
    yield from check_cpu()
    yield from check_folder(Path.cwd())


def check_python() -> list[Finding]:
    """Python and cellmm themselves."""
    text = f"{platform.python_version()} on {platform.platform()}, {sys.executable}"
    if sys.version_info >= (3, 15):
        first = Finding("warning", "python", f"{text}; cellmm is tested on 3.11 to 3.14")
    else:
        first = Finding("ok", "python", text)
    return [first, Finding("ok", "cellmm", f"{__version__} at {Path(__file__).parent}")]


def check_import(name: str, distribution: str) -> tuple[ModuleType | None, Finding]:
    """Import ``name``; when that fails, what was raised and the cure."""
    subject, version = name.partition(".")[0], installed_version(distribution)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
    except Exception as error:  # whatever a broken library raises is what there is to report
        text = f"{distribution} {version or 'is not installed'}: {_one_line(error)}"
        return None, Finding("wrong", subject, text, cure_of(error, distribution=distribution))
    version = version or str(getattr(sys.modules[subject], "__version__", "of unknown version"))
    return module, Finding("ok", subject, version)


def look_deeper(
    module: ModuleType, distribution: str, *, check: Callable[[ModuleType], list[Finding]]
) -> list[Finding]:
    """What ``check`` finds in a library that could be imported; a broken library is a finding, too."""
    try:
        return check(module)
    except Exception as error:  # as in check_import
        cure = cure_of(error, distribution=distribution)
        return [Finding("wrong", module.__name__.partition(".")[0], _one_line(error), cure)]


def cure_of(error: Exception, *, distribution: str) -> str:
    """The command that mends a failed import of ``distribution``."""
    text = str(error)
    if re.search(r"lib(GL|EGL|gthread|SM|Xext|Xrender|xcb)\b", text):
        return f"this OpenCV build wants a desktop: {HEADLESS}"
    if "torchvision::" in text:
        return f"a torchvision of another build than this torch (CPU against CUDA): {TORCH_PAIR}"
    if "pkg_resources" in text:
        return 'a library here still wants pkg_resources: pip install "setuptools<81"'
    if "numpy.core.multiarray" in text or "compiled using NumPy 1.x" in text:
        return f"built for another numpy: pip install --upgrade --force-reinstall {distribution}"
    missing = getattr(error, "name", None)
    if isinstance(error, ModuleNotFoundError) and missing and missing != "cv2":
        wanted = LIBRARIES_BY_ROOT.get(missing.partition(".")[0], missing)
        return f"pip install {wanted}" + (f"  then: {HEADLESS}" if wanted.startswith(("mm", "albu")) else "")
    if "cv2" in text:
        return HEADLESS
    return f"{REINSTALL} {distribution}"


LIBRARIES_BY_ROOT = {name.partition(".")[0]: distribution for name, distribution in LIBRARIES.items()}


def check_torch(torch: ModuleType) -> list[Finding]:
    """Age, build and GPUs of torch."""
    findings = []
    if release(torch.__version__) < (2, 6):
        text = f"{torch.__version__} is older than 2.6"
        findings.append(Finding("wrong", "torch", text, "pip install --upgrade torch torchvision"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    for device in range(torch.cuda.device_count() if available else 0):
        findings.append(check_gpu(torch, device))
    if available:
        return findings
    has_gpu = shutil.which("nvidia-smi") is not None or Path("/dev/nvidiactl").exists()
    build = f"CUDA {torch.version.cuda} build" if torch.version.cuda else "CPU build"
    if has_gpu and torch.version.cuda is None:
        findings.append(Finding("warning", "gpu", f"an NVIDIA GPU, but torch is a {build}", TORCH_PAIR))
    elif has_gpu:
        why = _one_line(caught[0].message) if caught else "no device answers"
        cure = f"update the NVIDIA driver to one for CUDA {torch.version.cuda}, and look at `nvidia-smi`"
        findings.append(Finding("warning", "gpu", f"torch ({build}) cannot use the GPU: {why}", cure))
    else:
        findings.append(Finding("info", "gpu", f"none; everything runs on the CPU (torch is a {build})"))
    return findings


def check_gpu(torch: ModuleType, device: int) -> Finding:
    """Whether the installed torch holds code for this GPU."""
    properties = torch.cuda.get_device_properties(device)
    capability, built_for = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
    major, minor = capability
    text = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, compute capability {major}.{minor}"
    if runs_on(capability, built_for):
        return Finding("ok", f"gpu {device}", f"{text}, CUDA {torch.version.cuda}")
    cure = (
        f"install a torch and torchvision that list sm_{major}{minor} (an older release for an old GPU, the "
        "newest for a new one); until then CUDA_VISIBLE_DEVICES= runs on the CPU"
    )
    return Finding("wrong", f"gpu {device}", f"{text}, but torch is built for {' '.join(built_for)}", cure)


def runs_on(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """CUDA's rule: machine code sm_XY runs on X.Z with Z >= Y; portable compute_XY on every later GPU.

    Code for one architecture only (sm_90a) or one family (sm_100f) is not considered.
    """
    for name in built_for:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)", name)
        if match is None:
            continue
        code = int(match[2]), int(match[3])
        if code <= capability and (match[1] == "compute" or code[0] == capability[0]):
            return True
    return False


def check_torchvision(torchvision: ModuleType) -> list[Finding]:
    """Its compiled operators, tried on two boxes, on CPU and GPU: they fail beside another torch."""
    torch = importlib.import_module("torch")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        try:
            boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0]], device=device)
            torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8], device=device), 0.5)
        except Exception as error:  # a RuntimeError or NotImplementedError, by release
            text = f"nms does not run on {device}: {_one_line(error)}"
            return [Finding("wrong", "torchvision", text, TORCH_PAIR)]
    return []


def check_opencv(cv2: ModuleType) -> list[Finding]:
    """The OpenCV build that is in use, of those that share the folder cv2."""
    match = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if match is None or match[1] == "NONE":
        return [Finding("ok", "cv2", "the headless build is in place")]
    text = f"the desktop build ({match[1]}) is in place: it works here, but not on a machine without libGL"
    return [Finding("warning", "cv2", text, HEADLESS)]


def check_versions(module: ModuleType) -> list[Finding]:
    """mmengine, mmcv and albumentations outside of the releases that cellmm is made for."""
    name = module.__name__.partition(".")[0]
    lowest, below, wanted = {
        "mmengine": ((0, 10, 7), (0, 11), "mmengine>=0.10.7,<0.11"),
        "mmcv": ((2, 2), (2, 3), "mmcv-lite>=2.2,<2.3"),
        "albumentations": ((2, 0, 8), (2, 1), "albumentations>=2.0.8,<2.1"),
    }[name]
    version = str(sys.modules[name].__version__)
    if lowest <= release(version) < below:
        return []
    cure = f'pip install "{wanted}"  then: {HEADLESS}'
    return [Finding("wrong", name, f"{version}, where {wanted} is needed", cure)]


def check_twins() -> list[Finding]:
    """Distributions that write into the same folder."""
    findings = []
    for unwanted, wanted in {"mmcv": "mmcv-lite", "albumentationsx": "albumentations"}.items():
        if installed_version(unwanted) and installed_version(wanted):
            cure = f"pip uninstall -y {unwanted}  then: {REINSTALL} {wanted}"
            text = f"{unwanted} and {wanted} are both installed, in the same folder"
            findings.append(Finding("warning", wanted, text, cure))
    names = ("opencv-python", "opencv-contrib-python", "opencv-python-headless")
    builds = [f"{name} {version}" for name in names if (version := installed_version(name))]
    if len(builds) > 1:
        text = f"{' and '.join(builds)} share one folder; what counts is the build named under cv2"
        findings.append(Finding("info", "opencv", text))
    return findings


def check_own_packages() -> list[Finding]:
    """The parts of cellmm, once the libraries are known."""
    findings = []
    for name in OWN_PACKAGES:
        try:
            importlib.import_module(f"cellmm.{name}")
        except Exception as error:  # as above
            cure = "mend the libraries above first; if they are well, pip install -e . again in the clone"
            findings.append(Finding("wrong", f"cellmm.{name}", _one_line(error), cure))
    return findings or [Finding("ok", "parts", f"{', '.join(OWN_PACKAGES)} can be imported")]


def check_machine() -> list[Finding]:
    """Cores and memory that this process may use, and the shared memory of data loading workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = _memory()
    findings = [Finding("info", "machine", f"{cores} core(s), {memory / GIB:.1f} GiB of memory")]
    if 0 < memory < 4 * GIB:
        cure = "take the small configs (brightfield_quickstart.py) and num_workers=0"
        findings.append(Finding("warning", "memory", "under 4 GiB: training may be killed", cure))
    shared = Path("/dev/shm")
    if shared.is_dir() and (size := shutil.disk_usage(shared).total) < GIB // 2:
        cure = "start the container with --shm-size=2g, or train with train_dataloader.num_workers=0"
        text = f"/dev/shm holds {size / 2**20:.0f} MiB: data loading workers may die with a bus error"
        findings.append(Finding("warning", "shared memory", text, cure))
    return findings


def _memory() -> int:
    """Bytes of memory, the container's limit where there is one; 0 where the system does not tell."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return 0
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(total, int(text)) if text.isdigit() else total


def check_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[Finding]:
    """Whether the CPU computes in bfloat16 by itself; where it does not, --amp is slower than fp32."""
    if not cpuinfo.is_file():
        return [Finding("info", "cpu", platform.processor() or platform.machine())]
    text = cpuinfo.read_text()
    flags = set(re.findall(r"\S+", " ".join(re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE))))
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    name = model[1] if model else platform.machine()
    units = [flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in flags]
    bf16 = f"bf16 in hardware ({', '.join(units)})" if units else "no bf16 in hardware: train without --amp"
    return [Finding("info", "cpu", f"{name}, {bf16}")]


def check_folder(folder: Path) -> list[Finding]:
    """Whether runs can write their ``work_dirs`` and ``data`` here, and the free space."""
    cure = "go to a folder of yours, or give --work-dir"
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        return [Finding("wrong", "folder", f"cannot write to {folder}: {_one_line(error)}", cure)]
    text = f"{folder} can be written to, {free:.1f} GiB free"
    return [Finding("warning", "folder", text, cure) if free < 1 else Finding("ok", "folder", text)]


def installed_version(distribution: str) -> str | None:
    """The version pip knows, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: '2.6.0+cu124' -> (2, 6, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _one_line(error: object) -> str:
    name = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
    text = " ".join(str(error).split())
    return f"{name}{text[:300]}"


def _format(finding: Finding) -> str:
    line = f"{finding.level:<8}{finding.subject:<20}{finding.text}\n"
    return line + (f"{'':<8}{'-> cure':<20}{finding.cure}\n" if finding.cure else "")


_DEEPER: dict[str, Callable[[ModuleType], list[Finding]]] = {
    "torch": check_torch,
    "torchvision": check_torchvision,
    "cv2": check_opencv,
    "mmengine.runner": check_versions,
    "mmcv.transforms": check_versions,
    "albumentations": check_versions,
}
