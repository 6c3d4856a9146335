"""The lessons of the lab run to their end, and their rows are true of the files they name."""

import importlib.util
import re

import onnx
import pytest
from support.runs import TINY, last_line, run_command, settings

from mnist_rknn.compression import onnx_weights, packed_file, runtimes
from mnist_rknn.conversion import rknn_file
from mnist_rknn.files import sha256
from mnist_rknn.records import CompressionTable

QUICK = {
    "11": ("seeds=[1]", "shares=[0.5]", "widths=[16, 24, 32]"),
    "12": ("epochs={LeNet300100: [1, 1, 1], LeNet5: [1, 1, 1]}",),
    "13": ("seeds=[1]", "training_pictures=1280", "epochs=1", "temperatures=[2]", "mixes=[0.5]"),
    "14": ("seeds=[1]", "tuning_pictures=320", "validation_pictures=100"),
    "15": (
        "families=[default, MobileNetV1 x0.25]", "sizes=[48]", "trials=4", "compared=3",
        "training_pictures=640", "full_pictures=640", "full_epochs=1", "seeds=[1]",
    ),
    "16": ("pictures=100", "slow_pictures=5", "rounds=2"),
}  # fmt: skip
if importlib.util.find_spec("optuna") is None:  # docs/requirements-search.txt, which is optional
    del QUICK["15"]


SEARCHED = pytest.mark.skipif("15" not in QUICK, reason="needs docs/requirements-search.txt")
ROWS = {
    name: count
    for name, count in {
        "11_pruning": 3, "12_small_files": 4, "13_distillation": 3, "14_qat": 3,
        "15_architectures": 1, "16_runtimes": 1 + len(runtimes.there() - {"TFLite Micro"}),
    }.items()
    if name[:2] in QUICK
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(tiny_run, tmp_path_factory):
    """A run with both lessons, and the report of it."""
    import shutil

    folder = tmp_path_factory.mktemp("lab") / "run"
    shutil.copytree(tiny_run, folder, symlinks=True)
    for step, values in QUICK.items():
        parameters = [word for value in values for word in ("--parameter", value)]
        result = run_command(
            "run", step, "--recipe", "smoke", "--output", folder, *settings(TINY), *parameters
        )
        assert result.returncode == 0, result.stderr
    assert run_command("report", "--run", folder).returncode == 0
    return folder


def test_every_row_is_true_of_the_files_it_names(lab):
    rows = CompressionTable.read(lab / "compression").rows
    assert [row.lesson for row in rows] == [name for name, n in ROWS.items() for _ in range(n)]
    for row in rows:
        for file in row.files:
            path = lab / file.path
            assert (path.stat().st_size, sha256(path)) == (file.bytes, file.sha256)
    decoded = [row for row in rows if row.files[0].path.endswith(".packed")]
    assert len(decoded) == 4
    for row in decoded:
        arrays = packed_file.read(lab / row.files[0].path).arrays()
        assert onnx_weights.nonzero(arrays) == row.weights
    for row in rows:
        if row.files[0].path.endswith(".rknn"):
            assert not rknn_file.problems(rknn_file.read(lab / row.files[0].path))


def test_a_packed_file_needs_nothing_else_to_be_the_network_again(lab):
    found = packed_file.read(lab / "small_files" / "network.packed")
    whole = onnx_weights.with_weights(onnx.load_from_string(found.graph), found.arrays())
    onnx.checker.check_model(whole, full_check=True)
    assert whole == onnx.load(str(lab / "small_files" / "network.onnx"))


def test_a_packed_file_is_unpacked_by_a_command(lab, tmp_path):
    folder, into = lab / "small_files", tmp_path / "network.onnx"
    assert run_command("unpack", folder / "network.packed", "--into", into).returncode == 0
    assert into.read_bytes() == (folder / "network.onnx").read_bytes()
    (tmp_path / "cut.packed").write_bytes((folder / "network.packed").read_bytes()[:-1])
    for file, said in (
        (tmp_path / "cut.packed", "is cut short"),
        (folder / "lenet5.1.packed", "holds weights alone and no graph"),
        (folder / "none.packed", "is missing: run 12_small_files first"),
    ):
        result = run_command("unpack", file, "--into", tmp_path / "wrong.onnx")
        assert result.returncode == 1 and said in last_line(result)
    assert not (tmp_path / "wrong.onnx").exists()


def test_zeros_cost_as_many_cycles_as_other_numbers_and_fewer_filters_cost_fewer(lab):
    rows = {row.name: row for row in CompressionTable.read(lab / "compression").rows}
    whole = rows["as trained, .rknn"]
    assert rows["70% of the weights removed, packed"].cycles == whole.cycles
    assert rows["shared, 5 bits, packed"].cycles == whole.cycles
    assert rows["50% of the filters removed, multiples of 16"].cycles < whole.cycles
    assert rows["student of a quarter, distilled"].cycles < whole.cycles / 2


def test_the_report_shows_the_lab(lab):
    page = (lab / "report.html").read_text(encoding="utf-8")
    section = page[page.index("<h2>Compression lab</h2>") :].partition("</section>")[0]
    assert 'aria-label="lab"' in section and "70% of the weights removed, packed" in section
    assert len(re.findall(r"<tr><th>\d", section)) == sum(ROWS.values())


@pytest.mark.parametrize(
    ("step", "value", "said"),
    [
        ("14", "bits=0", "bits 0: .* choose a whole number from 2 to 8"),
        ("14", "bits=9", "bits 9: .* choose a whole number from 2 to 8"),
        ("12", "bits=0", "bits 0: .* choose a whole number from 1 to 8"),
        ("12", "bits=9", "bits 9: .* choose a whole number from 1 to 8"),
        ("11", "sparsity=0", "sparsity 0: it removes nothing; choose a number between 0 and 1"),
        ("11", "sparsity=1", "sparsity 1: it leaves nothing; choose a number between 0 and 1"),
        ("11", "shares=[1.5]", "share 1.5: it is no share; choose a number between 0 and 1"),
        ("13", "temperature=0", "temperature 0: .* choose a number above 0"),
        ("13", "mixes=[0.5, 2]", "mix 2: .* choose a number from 0"),
        (
            "13",
            "student={stages: [[64], [128, 128]]}",
            "the student has .* its teacher .* fewer channels or layers",
        ),
        ("16", "rounds=0", "rounds 0: choose a whole number above 0"),
        pytest.param("15", "budget=0", "budget 0: give NPU cycles, such as 35000", marks=SEARCHED),
        pytest.param("15", "sizes=[50]", "size 50: .* choose a multiple of 16", marks=SEARCHED),
    ],
)
def test_a_wrong_parameter_is_one_line_with_the_cure(finished, step, value, said):
    result = run_command(
        "run", step, "--recipe", "smoke", "--output", finished, *settings(TINY),
        "--parameter", value,
    )  # fmt: skip
    assert result.returncode == 1
    assert re.search(said, last_line(result)), result.stderr
