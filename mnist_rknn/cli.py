"""The command `mnist-rknn`: its commands, their options, and the exit statuses.

What a command does stands in the wings, and is imported by the command that needs it: so
`--help`, `list` and `inspect` start without numpy, Paddle and the other large packages.
"""

import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import click
from click.shell_completion import CompletionItem

from . import __version__
from .capture import output_to_stderr
from .errors import PipelineError
from .files import PROJECT, relative, sha256

if TYPE_CHECKING:
    from .pipeline.steps import Step
    from .recipe import Recipe

NAME = "mnist-rknn"
LAYOUT: Any = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}
PATH = click.Path(path_type=Path)
OK, NO, WRONG, INTERRUPTED = 0, 1, 2, 130
EXIT_STATUS = {
    OK: "all is well",
    NO: "it failed, or the answer is no: the last line says why",
    WRONG: "the command line is wrong",
    INTERRUPTED: "interrupted with Ctrl-C: run it again to go on",
}
COMPLETION = f'eval "$(_{NAME.replace("-", "_").upper()}_COMPLETE=bash_source {NAME})"'


class Answer(NamedTuple):
    """What a command found."""

    data: Any  # for programs, as JSON
    text: str = ""  # for people; "" if it was printed on the way
    ok: bool = True
    error: str = ""  # why it is not


def main(
    arguments: Sequence[str] | None = None, command: click.Command | None = None, name: str = NAME
) -> int:
    """Run a command line, by default the process's own, and return its status of `EXIT_STATUS`.

    A script that is a command by itself gives it, and the name that its help shows.
    """
    status = OK
    try:
        _require_own_folder()
        status = (command or cli).main(arguments, name, standalone_mode=False, **LAYOUT) or OK
        sys.stdout.flush()
    except PipelineError as error:
        return _failed(str(error), NO)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else name
        message = error.format_message().rstrip(".")
        return _failed(f"{message} (see `{path} --help`)", WRONG)
    except click.Abort as abort:  # click's answer to KeyboardInterrupt
        remark = str(abort.__cause__ or "") or "run again to go on"
        return _failed(f"interrupted; {remark}", INTERRUPTED)
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _failed(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


def _require_own_folder() -> None:
    """Refuse to work in another copy of the project than the one the command was started in."""
    script = Path(sys.argv[0])
    environment = script.resolve().parent
    if script.name == NAME and environment != Path(sys.executable).parent:
        raise PipelineError(
            f"this command was set up in {PROJECT} and its folder copied or moved since: "
            f"run `make setup` in {environment.parents[1]}"
        )


@contextlib.contextmanager
def _locked(folder: Path, what: str, if_interrupted: str = "") -> Iterator[None]:
    """Lock a run's folder, and say what Ctrl-C leaves there."""
    from .pipeline import runner

    try:
        with runner.lock(folder, f"{NAME} {what}"):
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(if_interrupted) from None


# --- options that several commands have -----------------------------------------------


class Chosen(NamedTuple):
    """The run that a command is about."""

    name: str  # of the recipe, or path of its file
    overrides: list[str]
    output: Path | None  # as it was given
    recipe: "Recipe"
    folder: Path


def _recipe_names(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    from . import recipe as recipes

    found = [CompletionItem(name) for name in recipes.names() if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


def _step_names(_context: Any, _parameter: Any, begun: str) -> list[str]:
    from .pipeline import steps

    return [name for name in ("all", *(s.name for s in steps.STEPS)) if name.startswith(begun)]


steps_argument = click.argument("steps", default="all", shell_complete=_step_names)
recipe_option = click.option(
    "--recipe", default="mnist", metavar="NAME", shell_complete=_recipe_names,
    help="A recipe of configs/, or the path of a YAML file.  [default: mnist]",
)  # fmt: skip


def output_option(text: str, default: str, metavar: str = "FOLDER") -> Callable:
    """`--output`, whose default is seen from the project's folder."""
    text = f"{text}  [default: {default}]"
    return click.option("--output", type=PATH, metavar=metavar, help=text)


def of_a_run(command: Callable) -> Callable:
    """Give a command `--recipe`, `--output` and `--set`, as one argument of type `Chosen`."""

    @recipe_option
    @output_option("Folder of the results.", "output/<recipe>")
    @click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE",
        help="Change a key of the recipe, such as train.epochs=2. Give it as often as you like.",
    )  # fmt: skip
    @click.option("--changes", default="", hidden=True, help="Several in one text, for make.")
    @functools.wraps(command)
    def with_run(recipe: str, output: Path | None, overrides: tuple, changes: str, **rest: Any):
        from . import recipe as recipes
        from .pipeline import steps

        changed = [*recipes.split(changes), *overrides]
        loaded = recipes.load(recipe, changed)
        folder = steps.run_folder(loaded, output)
        return command(Chosen(recipe, changed, output, loaded, folder), **rest)

    return with_run


def answers(command: Callable[..., Answer]) -> Callable[..., int]:
    """Print the `Answer` of a command, for people or with `--json` for programs."""

    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, for programs.")
    @functools.wraps(command)
    def printed(*chosen: Any, as_json: bool, **rest: Any) -> int:
        with output_to_stderr() if as_json else contextlib.nullcontext():
            answer = command(*chosen, **rest)
        if as_json:
            print(json.dumps(answer.data, indent=2, ensure_ascii=False))
        elif answer.text:
            print(answer.text)
        if answer.error:
            print(f"error: {answer.error}", file=sys.stderr)
        return OK if answer.ok else NO

    return printed


def numbers_option(name: str, text: str) -> Callable:
    """An option that takes whole numbers, as `--sizes 20,100 --sizes 200`."""

    def read(_context: Any, _parameter: Any, given: tuple[str, ...]) -> list[int]:
        try:
            return [int(number) for part in given for number in part.split(",")]
        except ValueError:
            raise click.BadParameter("write whole numbers, such as 20,100") from None

    return click.option(name, callback=read, multiple=True, metavar="N,N,...", help=text)


# --- the commands ---------------------------------------------------------------------


class Headings(click.Group):
    """Commands in the order they are declared in, under headings."""

    headings: ClassVar[dict[str, list[str]]] = {}

    def under(self, heading: str, name: str) -> Callable[[Callable], click.Command]:
        """Declare a command."""
        self.headings.setdefault(heading, []).append(name)
        return self.command(name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help."""
        for heading, names in self.headings.items():
            with formatter.section(heading):
                rows = [(name, self.commands[name].get_short_help_str(100)) for name in names]
                formatter.write_dl(rows)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what stands below the commands into the help."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), meaning) for status, meaning in EXIT_STATUS.items()])
        with formatter.section("Shell completion, for bash (zsh and fish: put their name there)"):
            formatter.write_text(COMPLETION)


@click.group(cls=Headings, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """From a handwritten digit to an INT8 model for the Lockzhiner Vision Module.

    Every command has a --help of its own, with examples.
    """
    if not context.invoked_subcommand:
        print(context.get_help())


@cli.under("The way to a model", "check")
@answers
def check() -> Answer:
    """Check this machine, the packages and the tools, with a cure for what fails."""
    from .pipeline import environment

    checks = environment.run_checks()
    ready = environment.is_ready(checks)
    return Answer({"ready": ready, "checks": [c._asdict() for c in checks]}, ok=ready)


@cli.under("The way to a model", "list")
@steps_argument
@of_a_run
@answers
def list_(chosen: Chosen, steps: str) -> Answer:
    """Show the steps, and which are up to date.

    STEPS is "all", a step ("02") or a range ("03-06").
    """
    from .pipeline.steps import select

    return _state(chosen, select(steps))


def _state(chosen: Chosen, wanted: "list[Step]") -> Answer:
    from .pipeline.steps import stale_reason

    found = [(step, stale_reason(step, chosen.recipe, chosen.folder)) for step in wanted]
    return Answer(
        [{"step": step.name, "title": step.title, "to_run": reason} for step, reason in found],
        "\n".join(f"{s.name:<16} {f'to run: {r}' if r else 'up to date'}" for s, r in found),
    )


@cli.under("The way to a model", "run")
@steps_argument
@of_a_run
@click.option(
    "--parameter", "values", multiple=True, metavar="NAME=VALUE", help="A notebook's own parameter."
)
@click.option("--force", is_flag=True, help="Run steps that are up to date too.")
@click.option("--list", "mode", flag_value="list", help="Run nothing: as `mnist-rknn list`.")
@click.option("--summary", "mode", flag_value="summary", help="Run nothing: print the results.")
@click.option("--refresh", "mode", flag_value="refresh", hidden=True, help="For make.")
@answers
def run(
    chosen: Chosen, steps: str, values: tuple[str, ...], force: bool, mode: str | None
) -> Answer:
    """Run the steps that are not up to date; each is a notebook.

    STEPS is "all", a step ("02" or "02_train") or a range ("03-06"). The executed notebooks, with
    all their pictures, are then in output/<recipe>/notebooks/.

    \b
    mnist-rknn run
    mnist-rknn run 02 --recipe smoke
    mnist-rknn run 03-06 --set rknn.quantized_algorithm=mmse
    """
    from .pipeline.steps import refresh, select

    # Nobody reads on: end at once, kernel and all, and not with an error in a notebook's middle.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    wanted, folder = select(steps), chosen.folder
    if mode == "list":
        return _state(chosen, wanted)
    if mode == "refresh":
        for step in wanted:
            refresh(step, chosen.recipe, folder)
        return Answer(None)
    from .verification import manifest

    if mode == "summary":
        return Answer(manifest.brief(folder), manifest.summary(folder))
    from .pipeline import runner
    from .verification import report as reports

    given = runner.parameters(chosen.name, chosen.overrides, chosen.output, values)
    with _locked(folder, f"run {steps}"), reports.of_a_failure(chosen.recipe, folder):
        ran = runner.run_steps(wanted, chosen.recipe, folder, given, force)
    measured = manifest.brief(folder) if "06_verify" in ran else None
    return Answer({"ran": ran, "summary": measured})


@cli.under("Pictures of your own", "import")
@click.argument("path", type=PATH)
@click.option("--into", required=True, metavar="NAME", help="Name of the new recipe.")
@answers
def import_(path: Path, into: str) -> Answer:
    """Look at a data set of your own and write a recipe for it.

    PATH is a folder or a zip. Its layout is recognised, every picture is opened, and everything
    that is wrong is said. The recipe is configs/NAME.yaml.

    \b
    mnist-rknn import path/to/set --into flowers
    """
    from .data import importing

    recipe = importing.new_recipe_file(into)
    found = importing.examine(str(path.expanduser().resolve()))
    data, text = importing.to_json(found), importing.text(found)
    try:
        importing.write_recipe(found, recipe)
    except PipelineError as error:
        return Answer(data, text, ok=False, error=str(error))
    text += f"\nwrote      {relative(recipe)}: look it through, every choice says why"
    text += f"\nnext       make rknn RECIPE={into}"
    return Answer(data | {"recipe": relative(recipe)}, text)


@cli.under("Pictures of your own", "practice-set")
@click.option("--into", type=PATH, required=True, metavar="FOLDER", help="The folder to write.")
@click.option("--each", default=40, show_default=True, help="Pictures of each class.")
@click.option("--chinese", is_flag=True, help="Chinese names of classes and files.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same pictures.")
@answers
def practice_set(into: Path, each: int, chinese: bool, seed: int) -> Answer:
    """Draw a small Labelme set of shapes, to practise `import` with.

    \b
    mnist-rknn practice-set --into data/shapes
    mnist-rknn import data/shapes --into shapes
    """
    from .data import shapes

    shapes.render(into, each, chinese, seed)
    classes, folder = len(shapes.NAMES), relative(into)
    return Answer(
        {"folder": folder, "classes": classes, "pictures": each * classes},
        f"{folder}: {each * classes} pictures of {classes} classes",
    )


@cli.under("Pictures of your own", "evaluate")
@click.argument("images", type=PATH)
@of_a_run
@answers
def evaluate(chosen: Chosen, images: Path) -> Answer:
    """Measure a finished model on real pictures.

    IMAGES is a folder with an index.csv, whose columns are file,label and, if wanted, group. Whole
    pictures are squeezed to the input's size, nothing is cropped. Details go to
    output/<recipe>/evaluate/.

    \b
    mnist-rknn evaluate path/to/folder --recipe mnist
    """
    from .verification import evaluation

    found = evaluation.evaluate(chosen.recipe, chosen.folder, images)
    details = relative(chosen.folder / "evaluate")
    return Answer({"accuracy": found, "details": details}, evaluation.text(found, details))


@cli.under("What was measured", "report")
@of_a_run
@answers
def report(chosen: Chosen) -> Answer:
    """Put all that was measured about a run on one page, report.html."""
    from .verification import report as reports

    path = relative(reports.build(chosen.recipe, chosen.folder))
    return Answer({"report": path}, f"report     {path}")


@cli.under("What was measured", "inspect")
@click.argument("file", type=PATH)
@answers
def inspect(file: Path) -> Answer:
    """Show what a .rknn file is, and what is wrong with it.

    The exit status is 1 for a file that the RV1106 would refuse.

    \b
    mnist-rknn inspect output/mnist/mnist.rknn
    """
    from .conversion import rknn_file

    found = rknn_file.read(file)
    problems = rknn_file.problems(found)
    data = rknn_file.to_json(found, problems)
    return Answer(data, rknn_file.text(found, problems, relative(file)), ok=not problems)


@cli.under("What was measured", "compare")
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@answers
def compare(first: Path, second: Path) -> Answer:
    """Show what changed between two finished runs.

    FIRST and SECOND are folders of runs, or their manifest.json.

    \b
    mnist-rknn compare output/mnist output/smoke
    """
    from .verification import comparison

    found = comparison.compare(first, second)
    return Answer(found, comparison.text(found, relative(first), relative(second)))


@cli.under("What was measured", "quantstudy")
@of_a_run
@numbers_option("--sizes", "Numbers of calibration pictures.  [default: from 1 to 500]")
@numbers_option("--seeds", "Seeds for choosing these.  [default: three of them]")
@click.option("--pictures", type=int, help="Validation pictures to score each build on.")
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
@click.option("--write", is_flag=True, help="Write the winner into the recipe.")
@answers
def quantstudy(
    chosen: Chosen,
    sizes: list[int],
    seeds: list[int],
    pictures: int | None,
    workers: int | None,
    write: bool,
) -> Answer:
    """Study the quantization: algorithm, method, calibration pictures; 129 builds.

    Builds are scored on validation pictures in the RKNN simulator. Finished ones are kept in
    output/<recipe>/quantstudy/, so a repeat costs nothing.

    \b
    mnist-rknn quantstudy --recipe mnist
    mnist-rknn quantstudy --sizes 20,100 --seeds 1,2
    """
    from .verification import quantstudy as study

    recipe, folder = chosen.recipe, chosen.folder
    cells = study.grid(sizes or study.SIZES, seeds or study.SEEDS)
    with _locked(folder, "quantstudy", "finished cells are kept, run again to go on"):
        rows = study.run(recipe, folder, cells, pictures or study.PICTURES, workers)
        found = study.conclude(recipe, folder, rows)
    text, written = study.text(found), None
    if write:
        written = relative(study.write_winner(chosen.name, found["winner"]))
        text += f"\nwritten  {written}"
    return Answer(found | {"written": written}, text)


@cli.under("What was measured", "costs")
@click.option("--pictures", default=3000, show_default=True, help="Training pictures of each.")
@output_option("Folder of the results.", "output/costs")
@answers
def costs(pictures: int, output: Path | None) -> Answer:
    """Show what other networks would cost on this NPU, and how well they read.

    Every network goes through steps 01 to 06 in a folder of its own; what is up to date is not run
    again. Cycles and memory are the compiler's estimates and do not depend on the training. `make
    report` then shows them.

    \b
    mnist-rknn costs
    mnist-rknn costs --pictures 60      their cost only, some minutes each
    """
    from .verification import costs as networks

    return Answer(networks.study(pictures, output))


@cli.under("Onto the module", "deploy")
@of_a_run
@click.option("--codegen", is_flag=True, help="Add Rockchip's own C++ demo.")
@answers
def deploy(chosen: Chosen, codegen: bool) -> Answer:
    """Pack what goes onto the module: deploy/ and deploy.zip in the run's folder."""
    from .deployment import deploy as bundles

    with _locked(chosen.folder, "deploy"):
        path = bundles.build(chosen.recipe, chosen.folder, codegen)
    bundle, size = relative(chosen.folder / "deploy"), path.stat().st_size
    return Answer(
        {"bundle": bundle, **_written(path)},
        f"bundle     {bundle}/\nzip        {relative(path)}, {size / 1024:,.0f} KB",
    )


def _written(path: Path) -> dict[str, Any]:
    """A zip file, for programs."""
    return {"zip": relative(path), "bytes": path.stat().st_size, "sha256": sha256(path)}


@cli.under("Onto the module", "board")
@click.argument("host")
@of_a_run
@click.option("--ssh-config", type=PATH, metavar="FILE", help="Instead of ~/.ssh/config.")
@answers
def board(chosen: Chosen, host: str, ssh_config: Path | None) -> Answer:
    """Copy the bundle to the module, run it there and fetch the figures.

    HOST is its address, or user@address. Keys, agent and known hosts are OpenSSH's own; no
    password is asked for or taken. The exit status is 1 if the module answers otherwise than the
    simulator.

    \b
    mnist-rknn board 10.1.1.144 --recipe mnist
    """
    from .deployment import board as boards
    from .verification import report as reports

    recipe, folder = chosen.recipe, chosen.folder
    with _locked(folder, "board", "nothing half-written is left, run again"):
        content = boards.measure(recipe, folder, host, ssh_config)
        reports.build(recipe, folder)
    return Answer(content, boards.text(content, folder), ok=content["golden"]["match"])


@cli.under("Onto the module", "golden")
@click.argument("pack", type=PATH)
@click.argument("log", type=PATH)
@click.option("--runtime", metavar="VERSION", help="Of the module's librknnmrt, such as 2.3.2.")
@answers
def golden(pack: Path, log: Path, runtime: str | None) -> Answer:
    """Compare what a board answered with the simulator's answers.

    PACK is the folder golden/ of the bundle, LOG what the program on the module wrote. The exit
    status is 1 if they differ; the likely mistake is named.

    \b
    mnist-rknn golden output/mnist/deploy/golden golden.log
    """
    from .verification import golden as packs

    found = packs.compare(packs.read_pack(pack), packs.read_log(log), runtime)
    return Answer(found, packs.text(found), ok=found["match"])


@cli.under("Onto the module", "export")
@click.option("--config_path", type=PATH, required=True, help="The recipe file, LZ-*.yaml.")
@click.option("--model_load_path", type=PATH, required=True, help="The ONNX file.")
@click.option("--model_save_path", type=PATH, required=True, help="The .rknn file to write.")
@click.option("--target_platform", default="RV1106", help="RV1106, and no other.")
@answers
def export(model_save_path: Path, **others: Any) -> Answer:
    """Convert ONNX to .rknn with the maker's recipe files and options.

    As the maker's utils/export.py, with the checks of notebook 05.

    \b
    mnist-rknn export --config_path LZ-MobileNetV3.yaml --model_load_path model.onnx \\
        --model_save_path model.rknn
    """
    from .conversion import maker, rknn_file

    made = maker.export(model_save_path=model_save_path, **others)
    file = rknn_file.read(model_save_path)
    estimate = {key: getattr(made, key) for key in ("cycles", "weights_kb", "internal_kb")}
    checked = rknn_file.to_json(file, rknn_file.problems(file))
    return Answer({"rknn": relative(model_save_path), "estimate": estimate, **checked})


@cli.under("Elsewhere", "aistudio")
@output_option("The zip file.", "output/aistudio.zip", "FILE")
@answers
def aistudio(output: Path | None) -> Answer:
    """Pack the project for Baidu AI Studio, with one notebook for "Run All"."""
    from .pipeline import aistudio_bundle

    found = _written(aistudio_bundle.build(output))
    text = f"{found['zip']}  {found['bytes'] / 1024:,.1f} KB  sha256 {found['sha256']}"
    return Answer(found, text)
