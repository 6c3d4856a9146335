"""Checks of the machine and the environment, each with its cure.

The top of this file runs on any Python 3 of any system, before anything is installed:
`platform_problem` is what `make setup` asks first.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import PipelineError
from ..language import _
from ..machine import cores
from . import places

PYTHONS = ((3, 10), (3, 11))
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
RUN_GB = 2.0  # what the default recipe writes: 1.5 GB of pictures, and models
BUILDS = {"paddlepaddle": ("paddlepaddle", "paddlepaddle-gpu")}  # one package, two builds
KEPT_PADDLE = "MNIST_RKNN_KEPT_PADDLE"  # version of a preinstalled Paddle, as on AI Studio


class Check(NamedTuple):
    """One line of the report."""

    name: str
    status: str  # "OK", "FAIL", or "NOTE" for what the project can do without
    detail: str
    cure: str = ""

    def __str__(self) -> str:
        cure = f"; {self.cure}" if self.cure and self.status != "OK" else ""
        return f"{self.status:<4}  {self.name:<16}  {self.detail}{cure}"


def platform_problem() -> str | None:
    """One sentence if rknn-toolkit2 cannot run here at all, else None."""
    system, machine = platform.system(), platform.machine().lower()
    if system == "Windows":
        return _(
            "rknn-toolkit2 needs Linux on x86_64: on Windows, install WSL2 (wsl --install) and "
            "run this inside it."
        )
    if system == "Darwin":
        return _(
            "rknn-toolkit2 needs Linux on x86_64: on a Mac, use a Linux x86_64 machine, AI Studio, "
            "or an x86_64 Linux virtual machine."
        )
    if system != "Linux" or machine not in ("x86_64", "amd64"):
        return _(
            "rknn-toolkit2 needs Linux on x86_64, this is {system} on {machine}: "
            "use an x86_64 PC or AI Studio."
        ).format(system=system, machine=machine)
    if sys.version_info[:2] not in PYTHONS:
        return _(
            "this is Python {version}; the pinned packages exist for 3.10 and "
            "3.11: run make with PYTHON=python3.11 (onnxoptimizer has no wheel for 3.12)."
        ).format(version=platform.python_version())
    return None


def run_checks() -> list[Check]:
    """Make every check and print a line for each, then whether this machine is ready."""
    checks = []
    for check in check_all():
        checks.append(check)
        print(check, flush=True)
    print(verdict(checks))
    return checks


def is_ready(checks: list[Check]) -> bool:
    """Whether none of the checks failed."""
    return not any(check.status == "FAIL" for check in checks)


def check_all() -> Iterator[Check]:
    """Every check, in the order of the report, each made when it is asked for."""
    for check in (
        check_platform,
        check_processor,
        check_python,
        check_disk,
        check_places,
        check_path,
        check_packages,
        check_rknn,
        check_paddle,
        check_engine,
        check_kernel,
        check_device,
        check_font,
    ):
        yield check()


def check_platform() -> Check:
    """Operating system and machine."""
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    problem = platform_problem()
    return Check("platform", "FAIL" if problem else "OK", problem or name)


def check_processor() -> Check:
    """Cores, and AVX, without which the Paddle wheel does not start."""
    cpu = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    )
    if "avx" not in cpu:
        return Check(
            "processor", "FAIL", _("no AVX"), _("Paddle's wheel needs it: use another machine")
        )
    return Check(
        "processor",
        "OK",
        _("{cores} cores, AVX{remark}").format(cores=cores(), remark="2" if "avx2" in cpu else ""),
    )


def check_python() -> Check:
    """Version and whether it is an environment of its own."""
    own = sys.prefix != sys.base_prefix
    where = _("virtual environment") if own else _("no virtual environment")
    return Check("python", "OK", f"{platform.python_version()}, {where}")


def check_disk() -> Check:
    """Free space where the project lies."""
    free = shutil.disk_usage(REQUIREMENTS.parent).free / 1e9
    if free < RUN_GB:
        return Check(
            "disk",
            "FAIL",
            _("{free:.1f} GB free").format(free=free),
            _("free at least {run_gb:g} GB").format(run_gb=RUN_GB),
        )
    return Check("disk", "OK", _("{free:.1f} GB free").format(free=free))


def check_places() -> Check:
    """Folders that the steps need: for temporary files, the home, shared memory, the project's."""
    found = places.problems()
    if found:
        return Check("folders", "FAIL", found[0].detail, found[0].cure)
    return Check("folders", "OK", _("temporary files, home, shared memory, the project's path"))


def check_path() -> Check:
    """Whether PYTHONPATH puts other packages before those of this environment."""
    own = _modules(_packages_folder())
    for place in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if not Path(place).is_dir() or Path(place).resolve() == REQUIREMENTS.parent:
            continue
        both = sorted(own & _modules(place))
        if both:
            return Check(
                "python path",
                "FAIL",
                _("PYTHONPATH puts {both} of {place} before this environment's").format(
                    both=", ".join(both[:3]), place=place
                ),
                _("run `unset PYTHONPATH`"),
            )
    return Check("python path", "OK", _("no other packages come first"))


def _modules(folder: str) -> set[str]:
    """What can be imported from a folder, by name."""
    names = {name for name in os.listdir(folder) if "-info" not in name and name[0] not in "_."}
    return {name.partition(".")[0] for name in names}


def _packages_folder() -> str:
    import sysconfig

    return sysconfig.get_paths()["purelib"]


def pinned_packages() -> dict[str, str]:
    """Names and versions in requirements.txt that apply to this Python."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # the set-up asks, and is not done; pip brings a copy of its own
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]

    pins = {}
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9_.\-]+)==(\S+)( ;[^\\]*)?", line):
            requirement = Requirement(line.split("\\")[0].strip())
            if requirement.marker is None or requirement.marker.evaluate():
                pins[match[1]] = match[2]
    return pins


def installed_version(package: str) -> str:
    """Version of an installed package; Paddle's GPU build counts as `paddlepaddle`.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    from importlib import metadata

    for name in BUILDS.get(package, (package,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    raise metadata.PackageNotFoundError(package)


def check_packages() -> Check:
    """Every pinned package, as requirements.txt has it."""
    from importlib import metadata

    pins = pinned_packages()
    wrong, kept = [], []
    for name, wanted in pins.items():
        try:
            installed = installed_version(name)
        except metadata.PackageNotFoundError:
            installed = _("missing")
        if installed == wanted:
            continue
        if name == "paddlepaddle" and (
            _has_gpu_build() or installed == os.environ.get(KEPT_PADDLE)
        ):
            kept.append(_("preinstalled Paddle {version}").format(version=installed))
            continue
        if name == "rknn-toolkit2" and installed == "2.5.0":
            kept.append("rknn-toolkit2 2.5.0")
            continue
        wrong.append(
            _("{name} is {installed}, not {wanted}").format(
                name=name, installed=installed, wanted=wanted
            )
        )
    if wrong:
        more = _(" and {count} more").format(count=len(wrong) - 3) if len(wrong) > 3 else ""
        return Check("packages", "FAIL", "; ".join(wrong[:3]) + more, _("run `make setup`"))
    extra = _(" (instead of the pin: {kept})").format(kept=", ".join(kept)) if kept else ""
    return Check(
        "packages",
        "OK",
        _("{count} packages as in requirements.txt{extra}").format(count=len(pins), extra=extra),
    )


def _has_gpu_build() -> bool:
    from importlib import metadata

    try:
        metadata.version("paddlepaddle-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def check_rknn() -> Check:
    """Import `rknn.api` and make a real RKNN() object."""
    code = (
        "from mnist_rknn.conversion import rknn_toolkit; "
        "api = rknn_toolkit.load_api(); api(verbose=False); "
        "import torch; print('stand-in' if hasattr(torch, '__is_stand_in__') else 'real')"
    )
    ok, output = _run(code)
    if not ok:
        return Check("rknn-toolkit2", "FAIL", output, _("run `make setup`"))
    from importlib import metadata

    return Check(
        "rknn-toolkit2",
        "OK",
        _("{version}, torch: {output}").format(
            version=metadata.version("rknn-toolkit2"), output=output
        ),
    )


def check_paddle() -> Check:
    """Paddle's own run check, which trains a small layer."""
    ok, output = _run("import paddle; paddle.utils.run_check(); print(paddle.__version__)")
    return Check("paddlepaddle", "OK" if ok else "FAIL", output, _("run `make setup`"))


def check_engine() -> Check:
    """The PaddleClas that PaddleX will train with."""
    from ..errors import PipelineError
    from ..training.engine import find_engine

    try:
        return Check("training engine", "OK", str(find_engine()))
    except PipelineError as error:
        return Check("training engine", "FAIL", str(error))


def check_kernel() -> Check:
    """Whether the notebooks' kernel is the one of this environment."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        specification = KernelSpecManager().get_kernel_spec("python3")
    except Exception as error:  # jupyter_client missing, or no kernel: both have one cure
        return Check("jupyter kernel", "FAIL", f"{error}", _("run `make setup`"))
    command = specification.argv[0]
    # jupyter_client replaces a bare "python" by the interpreter it runs on
    interpreter = sys.executable if Path(command).name == command else command
    if Path(interpreter).parent != Path(sys.executable).parent:
        foreign = os.environ.get("JUPYTER_PATH", "")
        by_path = any(_lies_in(specification.resource_dir, f) for f in foreign.split(os.pathsep))
        return Check(
            "jupyter kernel",
            "FAIL",
            f"python3 starts {interpreter}"
            + (f", as JUPYTER_PATH={foreign} says" if by_path else ""),
            _("unset JUPYTER_PATH")
            if by_path
            else _(
                "remove that kernel with `jupyter kernelspec remove python3`, then `make setup`"
            ),
        )
    return Check("jupyter kernel", "OK", _("python3 of this environment"))


def _lies_in(path: str, folder: str) -> bool:
    return bool(folder) and Path(path).resolve().is_relative_to(Path(folder).resolve())


def check_device() -> Check:
    """Where training would run."""
    ok, output = _run(
        "from mnist_rknn.training import engine; print(engine.resolve_device('auto'))"
    )
    if not ok:
        return Check("device", "FAIL", output, _("run `make setup`"))
    return Check(
        "device", "OK", _("GPU") if output.startswith("gpu") else _("CPU (no GPU is needed)")
    )


def check_font() -> Check:
    """A font with Chinese characters, for plots in Chinese."""
    from .. import fonts

    font = fonts.cjk_font()
    shipped = _(" (the project's own)") if font == fonts.SHIPPED else ""
    return Check("CJK font", "OK", f"{font.name}{shipped}")


def _run(code: str) -> tuple[bool, str]:
    """Run Python code in a process of its own; its last line says how it went."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=REQUIREMENTS.parent,
            env={**os.environ, "PYTHONWARNINGS": "ignore", "TMPDIR": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    return result.returncode == 0, lines[-1] if lines else "no output"


def verdict(checks: list[Check]) -> str:
    """One line: "ready", or which checks failed."""
    failed = [check.name for check in checks if check.status == "FAIL"]
    if not failed:
        return _("ready")
    return _("{count} failed: {names}").format(count=len(failed), names=", ".join(failed))


def require_ready(checks: list[Check]) -> None:
    """Refuse to go on where a check failed.

    Raises:
        PipelineError: names the checks.
    """
    if any(check.status == "FAIL" for check in checks):
        raise PipelineError(
            _("{verdict}: mend what failed, then run again").format(verdict=verdict(checks))
        )
