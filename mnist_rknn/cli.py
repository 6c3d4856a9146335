"""The command `mnist-rknn`: its commands.

What a command does stands in the wings, and is imported by the command that needs it: so
`--help`, `list` and `inspect` start without numpy, Paddle and the other large packages.
"""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__, study_commands
from .command import (
    PATH,
    Answer,
    Chosen,
    Headings,
    answers,
    locked,
    of_a_recipe,
    of_a_run,
    output_option,
    start,
    steps_argument,
)
from .errors import PipelineError, told_to_owners
from .files import relative, sha256
from .language import _
from .recipe import LAYOUTS

if TYPE_CHECKING:
    from .pipeline.steps import Step


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line of `mnist-rknn`, by default the process's own; returns its status."""
    return start(cli, arguments)


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
@of_a_recipe
@answers
def list_(chosen: Chosen, steps: str) -> Answer:
    """Show the steps, and which are up to date.

    STEPS is "all", a step ("02") or a range ("03-06").
    """
    from .pipeline.steps import select

    return _state(chosen, select(steps))


def _state(chosen: Chosen, wanted: "list[Step]") -> Answer:
    from .pipeline.graph import Graph

    now = Graph(chosen.recipe, chosen.folder)
    found = [(step, now.stale_reason(step)) for step in wanted]
    return Answer(
        [{"step": step.name, "title": step.title, "to_run": reason} for step, reason in found],
        "\n".join(f"{step.name:<16} {_said(reason)}" for step, reason in found),
    )


def _said(reason: str | None) -> str:
    """Whether a step is up to date, and why not."""
    return _("to run: {reason}").format(reason=reason) if reason else _("up to date")


@cli.under("The way to a model", "run")
@steps_argument
@of_a_recipe
@click.option(
    "--parameter", "values", multiple=True, metavar="NAME=VALUE", help="A notebook's own parameter."
)
@click.option("--force", is_flag=True, help="Run the steps even if they are up to date.")
@click.option("--only", is_flag=True, help="Run no other steps, even if these need them.")
@click.option("--continue", "go_on", is_flag=True, help="Keep the changes the run was made with.")
@click.option("--try", "as_try", is_flag=True, help="Leave the finished run as it is; see above.")
@click.option("--list", "mode", flag_value="list", help="Run nothing: as `mnist-rknn list`.")
@click.option("--summary", "mode", flag_value="summary", help="Run nothing: print the results.")
@answers
def run(
    chosen: Chosen,
    steps: str,
    values: tuple[str, ...],
    force: bool,
    only: bool,
    as_try: bool,
    mode: str | None,
) -> Answer:
    """Run the steps that are not up to date, and those that they need; each is a notebook.

    STEPS is "all", a step ("02" or "02_train") or a range ("03-06"). The executed notebooks, with
    all their pictures, are then in output/<recipe>/notebooks/.

    With --try the changes of --set work in a folder of their own, which starts from the finished
    run's files: only what the changes touch runs; after step 06 both results stand side by side.

    \b
    mnist-rknn run
    mnist-rknn run 02 --recipe smoke
    mnist-rknn run 03-06 --set rknn.quantized_algorithm=mmse
    mnist-rknn run --try --set rknn.quantized_algorithm=mmse
    """
    from .pipeline.steps import select

    # Nobody reads on: end at once, kernel and all, and not with an error in a notebook's middle.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    wanted = select(steps)
    if as_try:
        if values or only:
            raise click.UsageError(_("--try takes no --parameter and no --only"))
        if not chosen.made_with.overrides:
            raise PipelineError(_("--try needs a change to try: add --set KEY=VALUE"))
        if not mode:
            return _try(chosen, wanted, force)
        chosen = _tried(chosen)
    if mode == "list":
        return _state(chosen, wanted)
    from .verification import conclusion, manifest

    recipe, folder, made_with = chosen
    if mode == "summary":
        return Answer(manifest.brief(folder), manifest.summary(folder))
    from .pipeline import runner

    with locked(folder, f"run {steps}"), conclusion.of_a_failure(recipe, folder):
        ran = runner.run_steps(wanted, recipe, folder, made_with, values, force, only)
        return Answer(*conclusion.conclude(folder, ran))


def _tried(chosen: Chosen) -> Chosen:
    """The try of a run that `--set` names."""
    from .pipeline import runs

    folder, recipe, made_with = runs.plan_try(chosen.folder, chosen.made_with.overrides)
    return Chosen(recipe, folder, made_with)


def _try(chosen: Chosen, wanted: "list[Step]", force: bool) -> Answer:
    from .pipeline import runner
    from .verification import conclusion

    tried, ran = runner.run_try(chosen.folder, chosen.made_with.overrides, wanted, force)
    data, text = conclusion.conclude(tried, ran)
    if data["summary"]:
        text = conclusion.beside(chosen.folder, tried)
    return Answer(
        data | {"try": relative(tried)},
        _("try        {name}").format(name=relative(tried)) + f"\n{text}",
    )


@cli.under("The way to a model", "tries")
@of_a_run
@click.option("--clean", "chosen_names", multiple=True, metavar="NAME", help="Remove this try.")
@click.option("--clean-all", is_flag=True, help="Remove every try of the run.")
@answers
def tries(chosen: Chosen, chosen_names: tuple[str, ...], clean_all: bool) -> Answer:
    """Show what was tried beside a finished run, or remove it.

    \b
    mnist-rknn tries
    mnist-rknn tries --run smoke --clean-all
    """
    from .pipeline import tries as tried

    removed = tried.clean(chosen.folder, chosen_names) if chosen_names or clean_all else []
    left = tried.names(chosen.folder)
    lines = [_("removed    {name}").format(name=name) for name in removed]
    lines += [_("try        {name}").format(name=name) for name in left]
    return Answer({"tries": left, "removed": removed}, "\n".join(lines) or _("no tries"))


@cli.under("The way to a model", "clean")
@click.argument("recipe")
@answers
def clean(recipe: str) -> Answer:
    """Remove the results of RECIPE, and nothing else: not the data, not the recipe.

    \b
    mnist-rknn clean smoke
    """
    from .pipeline import cleaning

    removed = cleaning.remove(recipe)
    lines = [_("removed    {name}").format(name=folder) for folder in removed]
    lines = lines or [_("there are no results of {recipe}").format(recipe=recipe)]
    return Answer({"removed": removed}, "\n".join(lines))


@cli.under("Pictures of your own", "import")
@click.argument("path", type=PATH)
@click.option("--into", metavar="NAME", help="Name of the new recipe; without it only look.")
@click.option("--as", "kind", type=click.Choice(LAYOUTS), help="The layout, where several fit.")
@click.option("--take", metavar="NAME", help="A folder in it, an IDX set, or classes as '*/*'.")
@click.option("--split", type=click.Choice(("own", "new")), help="The set's own, or a new one.")
@click.option("--turn", type=click.Choice(("yes", "no")), help="IDX: pictures lie on their side.")
@click.option("--sheets", type=PATH, metavar="FOLDER", help="Where a picture of each class goes.")
@answers
def import_(
    path: Path,
    into: str | None,
    kind: str | None,
    take: str | None,
    split: str | None,
    turn: str | None,
    sheets: Path | None,
) -> Answer:
    """Look at a data set of your own and write a recipe for it.

    PATH is a folder or an archive. Its layout is recognised, every picture is opened, and
    everything that is wrong or left out is said. The recipe is configs/NAME.yaml. The other
    options answer what was asked.

    \b
    mnist-rknn import path/to/set
    mnist-rknn import path/to/set --into flowers
    mnist-rknn import emnist.zip --take emnist-letters --into letters
    """
    from .data import contact_sheets, importing, sources
    from .data.listing import Answers

    recipe = importing.new_recipe_file(into) if into else None
    said = Answers(kind, take, split or "own", turn == "yes" if turn else None)
    command = importing.command_of(path, into, said)
    try:
        found = importing.examine(str(path.expanduser().resolve()), said)
    except sources.Asked as question:
        said_so = question.said(lambda finding: importing.asked(finding, command))
        lines = importing.commands(question.finding, command)
        return Answer(
            {"problems": [question.finding.text], "answers": lines}, ok=False, error=said_so
        )
    data, text = importing.to_json(found, command), importing.text(found, command)
    if found.findings and not recipe:
        return Answer(data, text, ok=False, error=importing.refusal(found, command))
    where = relative(contact_sheets.write(found, sheets))
    data["sheets"] = where
    shown = _("\nsheets     {where}: a picture of each class; see that the labels are right")
    text += shown.format(where=where)
    if not recipe:
        return Answer(data, text + _("\nnext       {command} --into NAME").format(command=command))
    try:
        importing.write_recipe(found, recipe, command)
    except PipelineError as error:
        return Answer(data, text, ok=False, error=str(error))
    wrote = _(
        "\nwrote      {recipe}: look it through, every choice says why"
        "\nnext       make rknn RECIPE={name}"
    )
    text += wrote.format(recipe=relative(recipe), name=into)
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
        _("{folder}: {count} pictures of {classes} classes").format(
            folder=folder, count=each * classes, classes=classes
        ),
    )


@cli.under("Pictures of your own", "evaluate")
@click.argument("images", type=PATH, required=False)
@click.option("--frames", type=PATH, metavar="FOLDER", help="Whole camera frames instead.")
@click.option("--pen", type=PATH, metavar="FILE", help="Pen trajectories instead.")
@of_a_run
@answers
def evaluate(chosen: Chosen, images: Path | None, frames: Path | None, pen: Path | None) -> Answer:
    """Measure a finished model on real pictures.

    IMAGES is a folder with an index.csv, whose columns are file,label and, if wanted, group. Whole
    pictures are squeezed to the input's size, nothing is cropped. Details go to
    output/<recipe>/evaluate/.

    With --frames the pictures are frames of several digits, which are found and read as the
    module's program does it. The columns of index.csv are file,digits and, if wanted, group; lines
    of a frame are separated by /. A boxes.csv with file,digit,x,y,width,height says where they are.

    With --pen the digits are a pen's path: a .jsonl or .jsonl.gz file, or the folder it lies in.
    Each line holds label, donor (the site), writer and strokes (lists of [x, y], y down). They are
    drawn clean, as MNIST is, and by the simulated camera.

    \b
    mnist-rknn evaluate path/to/folder --run mnist
    mnist-rknn evaluate --frames path/to/folder
    mnist-rknn evaluate --pen path/to/digits.jsonl.gz
    """
    if sum(given is not None for given in (images, frames, pen)) != 1:
        raise click.UsageError(_("say which pictures: IMAGES, --frames FOLDER or --pen FILE"))
    details = relative(chosen.folder / "evaluate")
    if frames is not None:
        from .verification import frame_evaluation

        read = frame_evaluation.evaluate(chosen.recipe, chosen.folder, frames)
        return Answer({"frames": read, "details": details}, frame_evaluation.text(read, details))
    if pen is not None:
        from .verification import pen as pens

        result = pens.evaluate(chosen.recipe, chosen.folder, pen)
        return Answer({"pen": result.model_dump(), "details": details}, pens.text(result, details))
    if images is not None:
        from .verification import evaluation

        found = evaluation.evaluate(chosen.recipe, chosen.folder, images)
        return Answer({"accuracy": found, "details": details}, evaluation.text(found, details))
    raise click.UsageError(_("say which pictures: IMAGES, --frames FOLDER or --pen FILE"))


@cli.under("What was measured", "report")
@of_a_run
@answers
def report(chosen: Chosen) -> Answer:
    """Put all that was measured about a run on one page, report.html."""
    from .verification import report as reports

    path = relative(reports.build(chosen.recipe, chosen.folder))
    return Answer({"report": path}, _("report     {path}").format(path=path))


@cli.under("What was measured", "inspect")
@click.argument("file", type=PATH)
@answers
def inspect(file: Path) -> Answer:
    """Show what a .rknn file is, and what is wrong with it.

    The exit status is 1 for a file that the RV1106 would refuse.

    \b
    mnist-rknn inspect output/mnist/mnist.rknn
    """
    from .conversion import rknn_file, rknn_text

    with told_to_owners():
        found = rknn_file.read(file)
    problems = [problem.for_owner() for problem in rknn_file.problems(found)]
    remarks = rknn_file.remarks(found)
    shown = rknn_text.text(found, problems, remarks, relative(file))
    return Answer(rknn_text.to_json(found, problems, remarks), shown, ok=not problems)


@cli.under("What was measured", "unpack")
@click.argument("file", type=PATH)
@click.option("--into", type=PATH, required=True, metavar="FILE", help="The ONNX file to write.")
@answers
def unpack(file: Path, into: Path) -> Answer:
    """Write the ONNX model that a packed file of notebook 12 holds.

    \b
    mnist-rknn unpack output/mnist/small_files/network.packed --into network.onnx
    """
    from .compression import onnx_weights, packed_file

    onnx_weights.write_whole(packed_file.read(file), into)
    return Answer(
        {"onnx": relative(into), "sha256": sha256(into)},
        _("wrote      {path}").format(path=relative(into)),
    )


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


study_commands.add_to(cli)


@cli.under("Onto the module", "deploy")
@of_a_run
@click.option("--codegen", is_flag=True, help="Add Rockchip's own C++ demo.")
@answers
def deploy(chosen: Chosen, codegen: bool) -> Answer:
    """Pack what goes onto the module: deploy/ and deploy.zip in the run's folder."""
    from .deployment import deploy as bundles

    with locked(chosen.folder, "deploy"):
        path = bundles.build(chosen.recipe, chosen.folder, codegen)
    bundle, size = relative(chosen.folder / "deploy"), path.stat().st_size
    return Answer(
        {"bundle": bundle, **_written(path)},
        _("bundle     {bundle}/\nzip        {zip}, {size:,.0f} KB").format(
            bundle=bundle, zip=relative(path), size=size / 1024
        ),
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
    mnist-rknn board 10.1.1.144 --run mnist
    """
    from .deployment import board as boards
    from .verification import report as reports

    recipe, folder = chosen.recipe, chosen.folder
    with locked(folder, "board", _("nothing half-written is left, run again")):
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
@click.option("--verbose", metavar="LEVEL", help="The maker's; a failure keeps the whole log here.")
@click.option("--to-rgb", is_flag=True, help="Take the module's picture where the graph does not.")
@click.option(
    "--pad-to", type=click.IntRange(1), metavar="PIXELS", help="A larger picture; see above."
)
@answers
def export(model_save_path: Path, verbose: str | None, **others: Any) -> Answer:
    """Convert ONNX to .rknn with the maker's recipe files and options.

    As the maker's utils/export.py, with the checks of notebook 05, and for graphs of any exporter.

    The module gives pictures of three channels. With --to-rgb a graph for gray pictures, for a row
    of pixels, or with its channels last takes these too. With --pad-to 32 the picture is 32x32, of
    which the graph reads the middle. Both keep its answers, and that is measured on your pictures.

    \b
    mnist-rknn export --config_path LZ-MobileNetV3.yaml --model_load_path model.onnx \\
        --model_save_path model.rknn
    mnist-rknn export --config_path gray.yaml --model_load_path mnist-12.onnx \\
        --model_save_path mnist-12.rknn --to-rgb --pad-to 32
    """
    from .conversion import maker, rknn_file, rknn_text

    made = maker.export(model_save_path=model_save_path, **others)
    file = rknn_file.read(model_save_path)
    estimate = {key: getattr(made, key) for key in ("cycles", "weights_kb", "internal_kb")}
    checked = rknn_text.to_json(file, [], rknn_file.remarks(file))
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
