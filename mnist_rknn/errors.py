"""The one kind of error a user is meant to read."""


class PipelineError(Exception):
    """Something a user can mend: one line that names the thing and the cure.

    The command prints the message and exits with status 1; notebooks show it as the last line of
    the failing cell.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))  # names of files and keys may hold anything
