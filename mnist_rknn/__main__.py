"""Commands beside the pipeline.

Import a data set, inspect a `.rknn` file, compare runs, compare a board with the simulator, export
as the maker does.
"""

import argparse
import json
import sys
from pathlib import Path

from .conversion import rknn_file
from .errors import PipelineError
from .files import relative
from .verification import comparison


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 if all is well; 1 if `inspect` found a model the module would refuse,
        if `golden` found other answers, or the input cannot be read; 2 for a wrong command line.
    """
    parser = argparse.ArgumentParser(prog="python -m mnist_rknn", description=__doc__)
    commands = parser.add_subparsers(required=True)
    inspect = commands.add_parser("inspect", help="what a .rknn file is, and what is wrong with it")
    inspect.add_argument("file", type=Path, help="a .rknn file")
    inspect.add_argument("--json", action="store_true", help="for programs")
    inspect.set_defaults(run=_inspect)
    compare = commands.add_parser("compare", help="what changed between two finished runs")
    compare.add_argument("first", type=Path, help="folder of a run, or its manifest.json")
    compare.add_argument("second", type=Path, help="the other")
    compare.add_argument("--json", action="store_true", help="for programs")
    compare.set_defaults(run=_compare)
    export = commands.add_parser(
        "export", help="ONNX to .rknn with the maker's recipe files and flags"
    )
    export.add_argument("--config_path", type=Path, required=True, help="LZ-*.yaml")
    export.add_argument("--model_load_path", type=Path, required=True, help="an ONNX file")
    export.add_argument("--model_save_path", type=Path, required=True, help="the .rknn file")
    export.add_argument("--target_platform", default="RV1106")
    export.set_defaults(run=_export)
    golden = commands.add_parser(
        "golden", help="compare what a board answered with the simulator's answers"
    )
    golden.add_argument("pack", type=Path, help="folder golden/ of the bundle")
    golden.add_argument("log", type=Path, help="what the program on the module wrote")
    golden.add_argument("--runtime", help="version of the module's librknnmrt, such as 2.3.2")
    golden.add_argument("--json", action="store_true", help="for programs")
    golden.set_defaults(run=_golden)
    import_ = commands.add_parser(
        "import", help="look at a data set of your own and write a recipe for it"
    )
    import_.add_argument("path", type=Path, help="folder or zip")
    import_.add_argument("--into", required=True, metavar="NAME", help="name of the recipe")
    import_.set_defaults(run=_import)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _inspect(arguments: argparse.Namespace) -> int:
    file = rknn_file.read(arguments.file)
    problems = rknn_file.problems(file)
    found = rknn_file.to_json(file, problems)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 1 if problems else 0
    runs = "what the RV1106 runs" if file.mini else "which the RV1106 cannot load"
    print(f"file      {relative(arguments.file)}, {file.size / 1024:,.1f} KB")
    print(f"chip      {', '.join(file.target_platforms)}")
    print(f"kind      {found['kind']} model, {runs}")
    print(f"toolkit   {file.toolkit}")
    for role, tensor in (("input", file.input), ("output", file.output)):
        print(f"{role:<9} {tensor.name}: {tensor.dtype} {tensor.shape}")
        if tensor.scale is not None:
            print(f"          value = (q - ({tensor.zero_point})) * {tensor.scale:.6g}")
        if tensor.mean is not None:
            print(f"          the NPU computes (pixel - {tensor.mean}) / {tensor.std}")
    print(f"custom    {file.custom_string or 'none'}")
    for problem in problems:
        print(f"problem   {problem}")
    if not problems:
        print("verdict   nothing wrong with it that a file can show; board: not measured")
    return 1 if problems else 0


def _compare(arguments: argparse.Namespace) -> int:
    found = comparison.compare(arguments.first, arguments.second)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(comparison.text(found, relative(arguments.first), relative(arguments.second)))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from .conversion import maker  # loads the converter's libraries, which the others do not need

    maker.export(
        arguments.config_path,
        arguments.model_load_path,
        arguments.model_save_path,
        arguments.target_platform,
    )
    return 0


def _golden(arguments: argparse.Namespace) -> int:
    from .verification import golden  # loads numpy, which `inspect` does not need

    pack, log = golden.read_pack(arguments.pack), golden.read_log(arguments.log)
    found = golden.compare(pack, log, arguments.runtime)
    print(json.dumps(found, indent=2) if arguments.json else golden.text(found))
    return 0 if found["match"] else 1


def _import(arguments: argparse.Namespace) -> int:
    from .data import importing  # loads what reads pictures

    recipe = importing.new_recipe_file(arguments.into)
    found = importing.examine(str(arguments.path.expanduser().resolve()))
    print(importing.text(found))
    importing.write_recipe(found, recipe)
    print(f"wrote      {relative(recipe)}: look it through, every choice says why")
    print(f"next       make rknn RECIPE={arguments.into}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
