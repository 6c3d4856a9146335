"""The C++ locator as the module's processor runs it: ARM hard-float code in QEMU, Cortex-A7."""

import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import digit_frames, twins
from support.runs import PROJECT

from mnist_rknn.redraw.sheets import sheet_of

COMPILER, EMULATOR = "arm-linux-gnueabihf-g++", "qemu-arm"
SYSROOT = Path(os.environ.get("ARM_SYSROOT", "/opt/arm-linux-gnueabihf"))  # .ci/arm-sysroot
LIBRARIES = SYSROOT / "usr" / "lib" / "arm-linux-gnueabihf"
HEADERS = Path("/usr/include/opencv4")
SOURCES = ("locate", "locator", "reading", "ruling")
# Hard-float code for the module's processor; `char` is unsigned there. -Wno-psabi leaves out the
# notes of a change in GCC 7, which concern libraries that are older.
FLAGS = ("-std=c++17", "-O2", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4", "-Wall", "-Wextra", "-Werror",
         "-Wno-psabi")  # fmt: skip


@pytest.fixture(scope="module")
def arm_program(tmp_path_factory) -> list[str]:
    """The command that runs `locate` as ARM code."""
    for tool, package in ((COMPILER, "g++-arm-linux-gnueabihf"), (EMULATOR, "qemu-user")):
        if not shutil.which(tool):
            pytest.skip(f"needs the Debian package {package}")
    library = next(LIBRARIES.glob("libopencv_imgproc.so.[0-9]??"), None)
    if not library or not HEADERS.is_dir():
        pytest.skip(f"needs libopencv-dev, and OpenCV for ARM: .ci/arm-sysroot {SYSROOT}")
    program = tmp_path_factory.mktemp("arm") / "locate"
    sources = [str(PROJECT / "deploy" / "cpp" / f"{name}.cpp") for name in SOURCES]
    core = library.name.replace("imgproc", "core")
    linked = [f"-L{LIBRARIES}", f"-l:{core}", f"-l:{library.name}", "-Wl,--allow-shlib-undefined"]
    subprocess.run(
        [COMPILER, *FLAGS, f"-I{HEADERS}", *sources, "-o", str(program), *linked], check=True
    )
    folders = f"{LIBRARIES}/blas:{LIBRARIES}/lapack"
    emulator = [EMULATOR, "-cpu", "cortex-a7", "-L", str(SYSROOT)]
    return [*emulator, "-E", f"LD_LIBRARY_PATH={folders}", str(program)]


def frames() -> list[np.ndarray]:
    """A few small frames: papers with lines and cells, light on dark, touching digits, noise."""
    found = []
    for number, kind in enumerate(("plain", "ruled", "squared", "cells", "cheque")):
        rng = np.random.default_rng([number, 7])
        sheet = sheet_of(kind, rng, 240, 320, "test").planes
        line = [digit_frames.drawn_ink(rng, int(rng.uniform(36, 50)), "ballpoint") * 0.8
                for _ in range(3)]  # fmt: skip
        digit_frames.place(rng, sheet, [line], -0.06 if number % 2 == 0 else 0.4)
        found.append(digit_frames.develop(rng, sheet * np.float32(0.8)))
    rng = np.random.default_rng(8)
    found += [255 - found[0], found[2][:50], rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)]
    # Reduced, as frames of the camera are: 2 pixels become one.
    found.append(cv2.resize(found[0], (960, 720), interpolation=cv2.INTER_CUBIC))
    return [np.ascontiguousarray(frame) for frame in found]


def test_arm_code_gives_the_same_boxes_crops_and_text_as_python(arm_program, tmp_path):
    pictures = frames()
    read = cut = 0
    for picture, found in twins.in_cpp(arm_program, pictures, tmp_path):
        here = twins.in_python(picture)
        assert found == here
        read += len(here["read"])
        cut += len(here["read"]) > len(here["boxes"])
    assert read > 12 and cut > 1
