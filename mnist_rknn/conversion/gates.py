"""The gates behind the converter, in their order: the layer table, then the file itself.

"Export OK" proves little. Notebook 05 and the maker's export command call rknn-toolkit2
themselves and pass through here; `preflight` stands before the toolkit.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..files import replacing
from ..records import Compilation
from . import rknn_file, rknn_toolkit


@contextlib.contextmanager
def exporting(
    path: Path,
    compilation: Compilation,
    input_shape: list[int],
    mean: list[float],
    std: list[float],
    custom_string: str | None = None,
) -> Iterator[Path]:
    """Let a built model become a file, if the board will take it.

    The block exports to the path that is yielded. The file gets its name when a reader of our own
    has looked into it; until then the old one, if there is one, stays as it was.

    Args:
        path: for the `.rknn` file.
        compilation: what the compiler printed about the build.
        input_shape, mean, std, custom_string: as in `rknn_file.require_deployable`.

    Raises:
        PipelineError: a layer or the file is one that the board would refuse or misread.
    """
    rknn_toolkit.require_runnable(compilation)
    with replacing(path) as temporary:
        yield temporary
        file = rknn_file.read(temporary)
        rknn_file.require_deployable(file, input_shape, mean, std, custom_string)
