"""How a command of `mnist-rknn` is declared: what it answers, its options, the exit statuses."""

import contextlib
import functools
import inspect
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import click
from click.shell_completion import CompletionItem

from . import language
from .capture import output_to_stderr
from .errors import PipelineError
from .files import PROJECT
from .language import _

if TYPE_CHECKING:
    from .pipeline.cells import Pool
    from .pipeline.runs import MadeWith
    from .recipe import Recipe

NAME = "mnist-rknn"
LAYOUT: Any = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}


class _UserPath(click.Path):
    """A path in which `~` is the home, also where no shell has said so, as in --output=~/run."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        return Path(os.fsdecode(super().convert(value, parameter, context))).expanduser()


PATH = _UserPath()
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


def start(command: click.Command, arguments: Sequence[str] | None = None, name: str = NAME) -> int:
    """Run a command line, by default the process's own, and return its status of `EXIT_STATUS`.

    Args:
        name: that the help shows.
    """
    status = OK
    _print_any_letter()
    language.speak_everywhere()
    _translate(command)
    try:
        _require_own_folder()
        status = command.main(arguments, name, standalone_mode=False, **LAYOUT) or OK
        sys.stdout.flush()
    except PipelineError as error:
        return _failed(str(error), NO)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else name
        message = _of_usage(error).rstrip(".。")
        return _failed(
            _("{message} (see `{path} --help`)").format(message=message, path=path), WRONG
        )
    except click.Abort as abort:  # click's answer to KeyboardInterrupt
        remark = str(abort.__cause__ or "") or _("run again to go on")
        return _failed(_("interrupted; {remark}").format(remark=remark), INTERRUPTED)
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if not error.filename:  # not about a file, so perhaps a fault of ours
            raise
        said = _("{file}: {error}: name another folder or file")
        return _failed(said.format(file=error.filename, error=error.strerror), NO)
    return status


def words(command: click.Command) -> Iterator[str]:
    """What a command says of itself in its help: its own words, and those of what belongs to it."""
    yield from (inspect.cleandoc(part.help) for part in _parts(command) if part.help)
    for other in command.commands.values() if isinstance(command, click.Group) else ():
        yield from words(other)


def _parts(command: click.Command) -> "list[click.Command | click.Option]":
    """A command and its options, which all have a help."""
    return [command, *(option for option in command.params if isinstance(option, click.Option))]


def _translate(command: click.Command) -> None:
    """Let a command's help be in the language that is spoken."""
    for part in _parts(command):
        part.help = part.help and _(inspect.cleandoc(part.help))
    for other in command.commands.values() if isinstance(command, click.Group) else ():
        _translate(other)


def _print_any_letter() -> None:
    """Escape what the terminal's encoding lacks: a name must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_usage(error: click.UsageError) -> str:
    """What click says of a wrong command line; its hint has a plural, which our catalogue lacks."""
    meant: list[str] = sorted(getattr(error, "possibilities", None) or [])
    if not meant:
        return error.format_message()
    if len(meant) == 1:
        said = _("{message} Did you mean {names}?")
    else:
        said = _("{message} (Did you mean one of: {names}?)")
    return said.format(message=error.message, names=", ".join(map(repr, meant)))


def _failed(message: str, status: int) -> int:
    print(_("error: {message}").format(message=message), file=sys.stderr)
    return status


def _require_own_folder() -> None:
    """Refuse to work in another copy of the project than the one the command was started in."""
    script = Path(sys.argv[0])
    environment = script.resolve().parent
    if script.name == NAME and environment != Path(sys.executable).parent:
        raise PipelineError(
            _(
                "this command was set up in {project} and its folder copied or moved since: "
                "run `make setup` in {folder}"
            ).format(project=PROJECT, folder=environment.parents[1])
        )


@contextlib.contextmanager
def locked(folder: Path, what: str, if_interrupted: str = "") -> Iterator[None]:
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

    recipe: "Recipe"
    folder: Path
    made_with: "MadeWith"


def _recipe_names(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    from . import recipe_file

    found = [CompletionItem(name) for name in recipe_file.names() if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


def _runs(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    from .pipeline import runs

    found = [CompletionItem(name) for name in runs.names() if name.startswith(begun)]
    return found or [CompletionItem(begun, type="dir")]


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


def of_a_recipe(command: Callable) -> Callable:
    """Give a command `--recipe`, `--output` and `--set`, as one argument of type `Chosen`."""

    @recipe_option
    @output_option("Folder of the run.", "output/<recipe>")
    @click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE",
        help="Change a key of the recipe, such as train.epochs=2. Give it as often as you like.",
    )  # fmt: skip
    @click.option("--changes", default="", hidden=True, help="Several in one text, for make.")
    @functools.wraps(command)
    def with_recipe(
        recipe: str, output: Path | None, overrides: tuple, changes: str, **rest: Any
    ) -> Any:
        from . import recipe_file
        from .pipeline import cleaning, runs

        if recipe.endswith((".yaml", ".yml")):  # a run keeps it, and may be read from elsewhere
            recipe = str(recipe_file.find(recipe).resolve())
        changed = [*recipe_file.split(changes), *overrides]
        if rest.pop("go_on", False):
            own = runs.own_overrides(recipe, runs.run_folder(recipe_file.load(recipe), output))
            changed = [*own, *changed]
        # A try changes the recipe that its run holds, not the one that is in configs/ by now.
        loaded = recipe_file.load(recipe, () if rest.get("as_try") else changed)
        folder = runs.run_folder(loaded, output)
        cleaning.require_results_folder(folder)
        return command(Chosen(loaded, folder, runs.MadeWith(recipe, changed)), **rest)

    return with_recipe


def of_a_run(command: Callable) -> Callable:
    """Give a command `--run`, as one argument of type `Chosen`: the folder holds its recipe."""

    @click.option(
        "--run", "run", default="mnist", metavar="RUN", shell_complete=_runs,
        help="Folder of a run, or a recipe's name for its last run.  [default: mnist]",
    )  # fmt: skip
    @functools.wraps(command)
    def with_run(run: str, **rest: Any) -> Any:
        from .pipeline import runs

        folder = runs.find_run(run)
        made_with = runs.made_with(folder) or runs.MadeWith(run, [])
        return command(Chosen(runs.read_recipe(folder), folder, made_with), **rest)

    return with_run


def answers(command: Callable[..., Answer]) -> Callable[..., int]:
    """Print the `Answer` of a command, for people or with `--json` for programs."""

    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, for programs.")
    @functools.wraps(command)
    def printed(*chosen: Any, as_json: bool, **rest: Any) -> int:
        with output_to_stderr() if as_json else contextlib.nullcontext():
            answer = command(*chosen, **rest)
        if as_json:
            plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
            print(json.dumps(answer.data, indent=2, ensure_ascii=plain, default=_plain))
        elif answer.text:
            print(answer.text)
        if answer.error:
            print(_("error: {message}").format(message=answer.error), file=sys.stderr)
        return OK if answer.ok else NO

    return printed


def _plain(record: Any) -> Any:
    """A record as JSON can say it."""
    return record.model_dump(mode="json", by_alias=True)


def numbers_option(name: str, text: str) -> Callable:
    """An option that takes whole numbers, as `--sizes 20,100 --sizes 200`."""

    def read(_context: Any, _parameter: Any, given: tuple[str, ...]) -> list[int]:
        try:
            return [int(number) for part in given for number in part.split(",")]
        except ValueError:
            raise click.BadParameter(_("write whole numbers, such as 20,100")) from None

    return click.option(name, callback=read, multiple=True, metavar="N,N,...", help=text)


class PoolOptions(NamedTuple):
    """Where the cells of a study are computed."""

    workers: int | None
    scheduler: str | None
    twice: int

    def pool(self, packages: tuple[str, ...]) -> "Pool":
        """What was asked for.

        Args:
            packages: those that the study's results depend on.

        Raises:
            PipelineError: it is not to be had.
        """
        from .pipeline import cells, cluster

        if not self.scheduler:
            return cells.Processes(self.workers)
        if self.workers:
            raise click.UsageError(_("--scheduler has workers of its own: leave --workers out"))
        return cluster.Cluster(self.scheduler, packages)


def pool_options(command: Callable) -> Callable:
    """`--workers`, `--scheduler` and `--twice`, as one argument of type `PoolOptions`."""

    @click.option("--workers", type=int, help="Processes.  [default: one a core]")
    @click.option("--scheduler", metavar="URL", help="Of Dask, instead: tcp://HOST:8786.")
    @click.option(
        "--twice",
        type=click.IntRange(0),
        default=0,
        metavar="N",
        help="Compute N finished cells again, and compare.",
    )
    @functools.wraps(command)
    def with_pool(
        *chosen: Chosen, workers: int | None, scheduler: str | None, twice: int, **rest: Any
    ) -> Any:
        return command(*chosen, pool=PoolOptions(workers, scheduler, twice), **rest)

    return with_pool


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
            with formatter.section(_(heading)):
                rows = [(name, self.commands[name].get_short_help_str(100)) for name in names]
                formatter.write_dl(rows)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what stands below the commands into the help."""
        with formatter.section(_("Exit status")):
            formatter.write_dl(
                [(str(status), _(meaning)) for status, meaning in EXIT_STATUS.items()]
            )
        with formatter.section(
            _("Shell completion, for bash (zsh and fish: put their name there)")
        ):
            formatter.write_text(COMPLETION)
