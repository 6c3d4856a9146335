"""The bundle for the module: model, labels, programs, golden pack and the commands to use them.

Its bytes depend on the run only: no time, no path, no order of a folder. The `.rknn` file itself
differs from build to build, as rknn-toolkit2 makes it; so nothing else in the bundle holds its
hash. What ties them together is the model's custom string, which names the ONNX model.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np

from ..conversion import rknn_file, rknn_simulator, rknn_toolkit
from ..data import archives, dataset
from ..errors import PipelineError
from ..files import PROJECT, relative, replacing_folder, write_json
from ..recipe import Image, Recipe
from ..records import Manifest
from ..verification import golden
from ..verification import manifest as manifests

SOURCES = PROJECT / "deploy"
ADDRESS = "10.1.1.144"  # of the module on its USB network, as its maker documents
FOLDER = "mnist-rknn"  # on the module, below the home of its user root
# A user's report on this very module: rknn-toolkit2 issue 557, July 2026.
SEEN_ON_THE_MODULE = {"runtime": "2.3.2", "driver": "0.9.2"}
READMES = {"README.md": "README.md.j2", "README.zh.md": "README.zh.md.j2"}
FRAME = (240, 320)  # height and width of golden/frame.bmp, pixels


def build(recipe: Recipe, folder: Path, codegen: bool = False) -> Path:
    """Write `deploy/` and `deploy.zip` in the folder of a finished run.

    Args:
        folder: of the run.
        codegen: add Rockchip's own demo, which rknn-toolkit2 generates, in `deploy/codegen/`.

    Returns:
        The zip file.

    Raises:
        PipelineError: the run is not finished or not verified, its files are not those that were
            measured, or its model is one that the module would refuse.
    """
    manifest = manifests.read_own(folder)
    if not manifest.verified:
        raise PipelineError(
            f"{relative(folder)} is not verified ({'; '.join(manifest.misses)}): a model that "
            "misses its recipe's thresholds is not packed; mend it and run 06_verify"
        )
    model = folder / f"{recipe.name}.rknn"
    file = rknn_file.read(model)
    image = recipe.image
    shape = [1, 3, image.height, image.width]
    rknn_file.require_deployable(file, shape, image.mean, image.std)
    target = folder / "deploy"
    with replacing_folder(target) as bundle:
        shutil.copyfile(model, bundle / model.name)
        shutil.copyfile(folder / "labels.txt", bundle / "labels.txt")
        for name in ("digits.py", "locator.py", "reading.py", "ruling.py"):
            shutil.copyfile(SOURCES / "python" / name, bundle / name)
        (bundle / "cpp").mkdir()
        for source in sorted((SOURCES / "cpp").iterdir()):
            shutil.copyfile(source, bundle / "cpp" / source.name)
        (bundle / "golden").mkdir()
        golden.write_pack(
            bundle / "golden", folder / "golden.npz", image, file, manifest.output.labels
        )
        _write_frame(bundle / "golden" / "frame.bmp", folder / "golden.npz", image)
        write_json(bundle / "manifest.json", _manifest(manifest, file))
        _write_readmes(bundle, recipe, manifest, file)
        if codegen:
            generate_demo(recipe, folder, bundle / "codegen")
    path = folder / "deploy.zip"
    top = f"{recipe.name}-deploy"
    archives.pack(
        {f"{top}/{found.relative_to(target).as_posix()}": found for found in files(target)}, path
    )
    return path


def files(bundle: Path) -> list[Path]:
    """All files of a bundle, sorted."""
    return sorted(found for found in bundle.rglob("*") if found.is_file())


def _manifest(manifest: Manifest, file: rknn_file.RknnFile) -> dict[str, Any]:
    """What of a run's manifest concerns the module, without anything that differs by build."""
    kept = {"packages", "target", "input", "output", "accuracy", "camera_accuracy", "estimate"}
    return {
        "recipe": manifest.recipe["name"],
        "model": f"{manifest.recipe['name']}.rknn",
        "custom_string": file.custom_string,
        **manifest.model_dump(include=kept),
        "seen_on_the_module": SEEN_ON_THE_MODULE,
        "measured": "accuracy on the PC, rknn in the RKNN simulator; board: not measured",
    }


def _write_frame(path: Path, source: Path, image: Image) -> None:
    """A picture for `--bench` where no camera is at hand: three golden pictures on one ground."""
    with np.load(source) as arrays:
        images = arrays["images"][:3]
    if image.color_order == "bgr":
        images = images[..., ::-1]
    height, width = FRAME
    frame = np.full((height, width, 3), 200, np.uint8)
    side = width // 4
    for number, picture in enumerate(images):
        left = (number + 1) * (width - 3 * side) // 4 + number * side
        top = (height - side) // 2
        frame[top : top + side, left : left + side] = cv2.resize(picture, (side, side))
    dataset.write_image(path, frame)


def _write_readmes(
    bundle: Path, recipe: Recipe, manifest: Manifest, file: rknn_file.RknnFile
) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    for name, template in READMES.items():
        text = environment.get_template(template).render(
            name=recipe.name,
            model=f"{recipe.name}.rknn",
            height=recipe.image.height,
            width=recipe.image.width,
            toolkit=file.toolkit,
            accuracy=manifest.accuracy["rknn"],
            address=ADDRESS,
            folder=f"{FOLDER}/{recipe.name}",
            pictures=golden.PICTURES,
        )
        (bundle / name).write_text(text, encoding="utf-8")


def generate_demo(recipe: Recipe, folder: Path, target: Path) -> None:
    """Write the C++ demo of `rknn.codegen`, which needs Rockchip's runtime and nothing else.

    Args:
        folder: of the run; the model is built again from its slim ONNX.
        target: folder for the demo, with the first golden picture and its answer.
    """
    log = folder / "codegen.log"
    with np.load(folder / "golden.npz") as arrays:
        picture = arrays["images"][0]
    rknn = rknn_simulator.build_of_run(recipe, folder, log)
    with tempfile.TemporaryDirectory() as scratch, rknn_toolkit.captured(log):
        shown = Path(scratch) / "picture.png"  # codegen takes a BMP for a NumPy file
        bgr = picture[..., ::-1] if recipe.image.color_order == "rgb" else picture
        cv2.imwrite(str(shown), bgr)
        exported = Path(scratch) / f"{recipe.name}.rknn"
        rknn_toolkit.require_success("export_rknn", rknn.export_rknn(str(exported)), log)
        code = rknn.codegen(str(target), inputs=[str(shown)], overwrite=True)
        rknn_toolkit.require_success("codegen", code, log)
        rknn.release()
