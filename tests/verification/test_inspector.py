"""The inspector and the recipe loader, with what nobody would write on purpose."""

import gzip
import json
import tracemalloc

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.runs import run_command

from mnist_rknn import cli, recipe, recipe_file
from mnist_rknn.conversion import rknn_file, rknn_text
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import comparison

MEMORY = 64 << 20  # bytes that reading one small file may take at most
QUICK = settings(
    max_examples=150, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# --- inspect --------------------------------------------------------------------------


def test_inspector_agrees_with_an_independent_reader(tiny_run):
    from rknncli.parser import RKNNParser

    path = tiny_run / "smoke.rknn"
    ours = rknn_file.read(path)
    theirs = RKNNParser(path)
    assert ours.target_platforms == theirs.model_info["target_platform"]
    tensors = {tensor["url"]: tensor for tensor in theirs.model_info["norm_tensor"]}
    for tensor in (ours.input, ours.output):
        assert tensor.shape == tensors[tensor.name]["size"]
        assert tensor.dtype == tensors[tensor.name]["dtype"]["vx_type"]


def test_inspect_says_what_a_good_file_is(tiny_run):
    result = run_command("inspect", tiny_run / "smoke.rknn")
    assert result.returncode == 0, result.stderr
    for word in ("rv1106", "mini model", "[1, 3, 48, 48]", "labels=0,1,2", "nothing wrong"):
        assert word in result.stdout
    found = json.loads(run_command("inspect", tiny_run / "smoke.rknn", "--json").stdout)
    assert found["problems"] == [] and found["kind"] == "mini"
    assert found["output"]["scale"] > 0 and found["input"]["mean"] == [127.5] * 3


def test_inspect_fails_for_a_file_the_module_would_refuse(tiny_run, tmp_path):
    content = (tiny_run / "smoke.rknn").read_bytes()
    path = tmp_path / "other.rknn"
    path.write_bytes(
        content.replace(b'"target_platform":["rv1106"]', b'"target_platform":["rk3566"]')
    )
    result = run_command("inspect", path)
    assert result.returncode == 1 and "is for rk3566" in result.stdout
    result = run_command("inspect", tmp_path / "nothing.rknn")
    assert result.returncode == 1 and result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def with_head(version: int, description: dict, header: int = rknn_file.HEADER) -> bytes:
    """A file of another toolkit: its head, 500 bytes, and what it says of itself."""
    trailer = json.dumps(description).encode()
    head = rknn_file.MAGIC + version.to_bytes(8, "little") + (500).to_bytes(8, "little")
    payload = bytes(header - len(head)) + b"\1" * 500
    return head + payload + len(trailer).to_bytes(8, "little") + trailer


NO_MODEL = {  # what is done to a good file, and what is said
    "line ends doubled": (lambda c: c.replace(b"\n", b"\r\n"), "its line ends are others"),
    "line ends dropped": (lambda c: c.replace(b"\r", b""), "its line ends are others"),
    "line ends exchanged": (lambda c: c.replace(b"\n", b"\r"), "its line ends are others"),
    "saved as text": (lambda c: c.decode("utf-8", "replace").encode(), "was saved as text"),
    "gzip": (gzip.compress, "is compressed with gzip, no .rknn file: unpack it with gunzip"),
    "ONNX": (lambda _: b"\x08\x07\x12\x04pyto", "is an ONNX model, no .rknn file: convert it with"),
    "LFS": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "empty": (lambda _: b"", "is empty (0 bytes), no .rknn file"),
    "cut short": (lambda c: c[:9000], "is cut short"),
    "unknown": (lambda c: c[:8] + b"\x99" + bytes(7) + c[16:], "has the unknown version 0x99"),
    "old and cut": (lambda _: with_head(2, {})[:300], "does not say for which chip"),
}
OF_OTHERS = {  # a file of another toolkit, and what is known of it
    "toolkit 1": (with_head(1, {"target_platform": ["rv1126"], "version": "1.7.3"}, 24), "1.7.3"),
    "version 2": (with_head(2, {"target_platform": ["rk3566"], "version": "1.3.0"}), "1.3.0"),
}


@pytest.mark.parametrize("kind", NO_MODEL)
def test_inspect_names_a_file_for_what_it_is(tiny_run, tmp_path, kind, capsys):
    change, expected = NO_MODEL[kind]
    path = tmp_path / "m.rknn"
    path.write_bytes(change((tiny_run / "smoke.rknn").read_bytes()))
    assert cli.main(["inspect", str(path)]) == 1
    said = capsys.readouterr().err
    assert expected in said and "05_convert" not in said and said.count("\n") == 1


@pytest.mark.parametrize("kind", OF_OTHERS)
def test_inspect_says_chip_and_toolkit_of_older_files_and_no_more(tmp_path, kind, capsys):
    content, toolkit = OF_OTHERS[kind]
    path = tmp_path / "m.rknn"
    path.write_bytes(content)
    assert cli.main(["inspect", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["toolkit"] == toolkit and found["inputs"] == found["outputs"] == []
    assert any("nothing more is read of others" in problem for problem in found["problems"])


def test_inspect_shows_every_tensor_and_counts_them(tiny_run, tmp_path, capsys):
    """A second output: the real file, with the description of another in its JSON."""
    content = (tiny_run / "smoke.rknn").read_bytes()
    start = rknn_file.HEADER + int.from_bytes(content[16:24], "little") + 8
    description = json.loads(content[start:])
    description["norm_tensor"].append(
        {"tensor_id": 7, "url": "boxes", "size": [1, 4], "dtype": {"vx_type": "int8"}}
    )
    description["graph"].append({"left": "output", "left_tensor_id": 1, "right_tensor_id": 7})
    trailer = json.dumps(description).encode()
    path = tmp_path / "m.rknn"
    path.write_bytes(content[: start - 8] + len(trailer).to_bytes(8, "little") + trailer)
    assert cli.main(["inspect", str(path)]) == 1
    said = capsys.readouterr().out
    for expected in ("(1 of 2)", "boxes: int8 [1, 4] (2 of 2)", "it has 2 outputs (", ", boxes)"):
        assert expected in said


def survives(path, read) -> None:
    """Read a file: a result or one line, within the bound on memory."""
    tracemalloc.start()
    try:
        read(path)
    except PipelineError as error:
        assert "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY


def inspect(path) -> None:
    file = rknn_file.read(path)
    problems = [problem.for_owner() for problem in rknn_file.problems(file)]
    remarks = rknn_file.remarks(file)
    json.dumps(rknn_text.to_json(file, problems, remarks))
    rknn_text.text(file, problems, remarks, path.name)


@QUICK
@given(content=st.binary(max_size=4096))
def test_inspector_survives_arbitrary_bytes(tmp_path, content):
    path = tmp_path / "any.rknn"
    path.write_bytes(content)
    survives(path, inspect)


@QUICK
@given(content=st.binary(max_size=4096), trailer=st.binary(max_size=512), version=st.booleans())
def test_inspector_survives_arbitrary_bytes_in_a_valid_frame(tmp_path, content, trailer, version):
    path = tmp_path / "framed.rknn"
    head = rknn_file.MAGIC + (rknn_file.MINI if version else rknn_file.FULL).to_bytes(8, "little")
    head += len(content).to_bytes(8, "little")
    head += bytes(rknn_file.HEADER - len(head))
    path.write_bytes(head + content + len(trailer).to_bytes(8, "little") + trailer)
    survives(path, inspect)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@QUICK
@given(
    description=st.fixed_dictionaries(
        {
            "target_platform": st.lists(st.text(max_size=8), max_size=2) | JSON,
            "version": st.text(max_size=8) | JSON,
            "graph": st.just(
                [
                    {"left": "input", "right_tensor_id": 0},
                    {"left": "output", "right_tensor_id": 1},
                ]
            )
            | JSON,
            "norm_tensor": st.lists(
                st.fixed_dictionaries(
                    {
                        "tensor_id": st.integers(0, 1) | JSON,
                        "url": st.text(max_size=8) | JSON,
                        "size": st.lists(st.integers(), max_size=5) | JSON,
                        "dtype": st.just({"vx_type": "int8"}) | JSON,
                    }
                ),
                max_size=3,
            )
            | JSON,
        }
    ),
    payload=st.sampled_from(
        [
            b"",
            b"{'attrs': {'': {'mean': [1, 2], 'std': []}}, 'quant_tab': {}, 'dynamic_shapes': {}}",
            b"{'attrs': {" + b"[" * 5000 + b"'dynamic_shapes': {}}",
            b"{'attrs': {'a': " + b"9" * 5000 + b"}, 'dynamic_shapes': {}}",
            b"{'attrs': {" * 3000,
        ]
    ),
)
def test_inspector_survives_a_description_of_any_kind(tmp_path, description, payload):
    path = tmp_path / "described.rknn"
    trailer = json.dumps(description).encode()
    head = (
        rknn_file.MAGIC + rknn_file.MINI.to_bytes(8, "little") + len(payload).to_bytes(8, "little")
    )
    head += bytes(rknn_file.HEADER - len(head))
    path.write_bytes(head + payload + len(trailer).to_bytes(8, "little") + trailer)
    survives(path, inspect)


@QUICK
@given(data=st.data())
def test_inspector_survives_a_real_file_with_bytes_changed(tiny_run, tmp_path, data):
    content = bytearray((tiny_run / "smoke.rknn").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    path = tmp_path / "changed.rknn"
    path.write_bytes(content[:cut])
    survives(path, inspect)


def test_file_larger_than_the_module_is_not_read(tmp_path):
    path = tmp_path / "huge.rknn"
    with path.open("wb") as file:
        file.truncate((rknn_file.MODULE_MB << 20) + 1)  # sparse: takes no space
    with pytest.raises(PipelineError, match="more than all the memory of the module"):
        rknn_file.read(path)
    survives(path, inspect)


# --- the recipe loader ----------------------------------------------------------------


@QUICK
@given(content=st.binary(max_size=2000) | st.text(max_size=500).map(str.encode))
def test_recipe_loader_survives_arbitrary_bytes(tmp_path, content):
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    survives(path, lambda path: recipe_file.load(str(path)))


SECTIONS = sorted(set(recipe.Recipe.model_fields) - {"name", "description", "seed"})


@QUICK
@given(
    section=st.sampled_from(SECTIONS),
    key=st.text(max_size=12) | st.sampled_from(["height", "std", "epochs", "redraw", "strengths"]),
    value=JSON,
)
def test_recipe_loader_survives_any_value_anywhere(tmp_path, section, key, value):
    content = yaml.safe_load((recipe_file.CONFIGS / "mnist.yaml").read_text())
    content.setdefault(section, {})[key] = value
    path = tmp_path / "mutated.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    survives(path, lambda path: recipe_file.load(str(path)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a [x]\nb: &b [*a, *a]\n", r"the reference \*a at line 2: write the value itself"),
        ("seed: 1\nseed: 2\n", "seed stands twice, at line 1 and at line 2: keep one"),
        ("description: 2001-99-99\n", "not valid YAML"),
        ("description: " + "[" * 3000, "not valid YAML"),
        ("description: x\n" + "#" * 200_000, "more than 100,000 bytes"),
    ],
)
def test_recipe_that_grows_or_nests_without_end(tmp_path, text, expected):
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(PipelineError, match=expected):
        recipe_file.load(str(path))


# --- compare --------------------------------------------------------------------------


def test_compare_names_what_changed_and_nothing_else(tiny_run, tmp_path):
    manifest = json.loads((tiny_run / "manifest.json").read_text())
    manifest["recipe"]["rknn"]["quantized_algorithm"] = "mmse"
    manifest["packages"]["numpy"] = "1.0"
    manifest["accuracy"]["rknn"] -= 0.1
    layers = json.loads((tiny_run / "layers.json").read_text())
    layers["layers"][1]["cycles"] += 5
    for name, content in (("manifest.json", manifest), ("layers.json", layers)):
        (tmp_path / name).write_text(json.dumps(content))
    changes = comparison.compare(tiny_run, tmp_path / "manifest.json")
    assert {part: list(found) for part, found in changes.items() if found} == {
        "recipe": ["rknn.quantized_algorithm"],
        "packages": ["numpy"],
        "accuracy": ["test, rknn"],
        "layers": [" 1 ConvRelu"],
    }
    result = run_command("compare", tiny_run, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "rknn.quantized_algorithm  normal → mmse" in result.stdout
    assert "(-10.00 points)" in result.stdout and "calibration: the same pictures" in result.stdout


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"accuracy": 3}'])
def test_compare_with_no_manifest_is_one_line(tiny_run, tmp_path, content, capsys):
    (tmp_path / "manifest.json").write_text(content)
    assert cli.main(["compare", str(tiny_run), str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
