"""Catching what C++ code and child processes print past Python."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def output_to(log: Path, keep_python: bool = False) -> Iterator[TextIO]:
    """Send everything that is printed in the block to the file `log`, and yield that file.

    File descriptors 1 and 2 are redirected as well as Python's streams, so this holds for
    libraries in C++ and for child processes too.

    Args:
        keep_python: let what Python itself prints through to where it went before.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(log.open("w", encoding="utf-8", errors="replace", buffering=1))
        streams: list[TextIO] = []
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(file.fileno(), descriptor)
            if not keep_python:
                stream = file
            elif stream in (sys.__stdout__, sys.__stderr__):
                stream = stack.enter_context(open(saved, "w", closefd=False, buffering=1))
            streams.append(stream)
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            yield file


@contextlib.contextmanager
def output_to_stderr() -> Iterator[None]:
    """Send what is printed in the block to stderr, as `output_to` does to a file."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@contextlib.contextmanager
def log_handlers_to(file: TextIO) -> Iterator[None]:
    """Redirect log handlers, which keep the stream that was there when they were made."""
    before = {handler: handler.setStream(file) for handler in _stream_handlers()}
    try:
        yield
    finally:
        for handler in _stream_handlers():
            # Those made in the block go where other messages go; the file is about to close.
            stream = before.get(handler) or sys.__stderr__
            if handler.stream is file and stream is not None:
                handler.setStream(stream)


def _stream_handlers() -> set[logging.StreamHandler]:
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    return {
        handler
        for logger in [logging.root, *loggers]
        for handler in logger.handlers
        if type(handler) is logging.StreamHandler
    }
