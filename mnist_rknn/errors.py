"""Errors: those a user can mend, in one line, and ours, which want a traceback."""


class PipelineError(Exception):
    """Something a user can mend: one line that names the thing and the cure.

    The command prints the message and exits with status 1; notebooks show it as the last line of
    the failing cell.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))  # names of files and keys may hold anything


class Fault(Exception):
    """A mistake of this project, which no user can mend: shown with its traceback.

    Its last line asks for a report, so that it is not taken for something a user did.
    """

    def __init__(self, message: str):
        super().__init__(
            f"{message}: this is a fault of mnist-rknn, not yours; please report it, with the "
            "traceback"
        )
