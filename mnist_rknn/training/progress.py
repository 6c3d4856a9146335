"""`progress.jsonl`: what a training has reached, an event a line.

The launcher appends to it in the process of PaddleClas; the progress bar and the learning curves
read it. A kill may cut its last line, and a resumed training goes on behind it: a line that is no
event is passed over, and an epoch that is trained again replaces what it left before.

* `start`: the training begins or is resumed; `resumed`, `epochs`, and `time`, seconds since 1970.
* `iteration`: every `print_batch_step` batches; `epoch`, `iteration`, `of`, and the figures.
* `epoch`: its batches are done; `epoch`, and the figures.
* `validation`: after each epoch; `epoch`, and the figures.

The figures: `loss` and `top1` (0 to 1; null where it is not measured), means over the epoch so
far, `lr`, the learning rate, and `seconds` since the start. Validation has no `lr`.
"""

import json
import time
from pathlib import Path
from typing import Any

FILE = "progress.jsonl"  # in the training's folder

Event = dict[str, Any]


class Writer:
    """Appends the events of one training, or of its resumption.

    Args:
        folder: of the training; it exists.
        epochs: of the whole training.
        resumed: whether it goes on from a checkpoint.
    """

    def __init__(self, folder: Path, epochs: int, resumed: bool):
        self.path = folder / FILE
        self._started = time.monotonic()
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
            self._append("\n")  # a kill has cut the last line
        self._write("start", resumed=resumed, epochs=epochs, time=time.time())

    def write(self, event: str, epoch: int, **fields: Any) -> None:
        """Append an event of an epoch, counted from 1."""
        seconds = round(time.monotonic() - self._started, 2)
        self._write(event, epoch=epoch, **fields, seconds=seconds)

    def _write(self, event: str, **fields: Any) -> None:
        self._append(json.dumps({"event": event, **fields}) + "\n")

    def _append(self, text: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)


def read(folder: Path) -> list[Event]:
    """Events of a training, each epoch as it was trained last; none if there is no file."""
    found: list[Event] = []
    for run in _runs(folder):
        first = next((event["epoch"] for event in run[1:]), None)
        if first is not None:  # what was trained before a kill, and again
            found = [event for event in found if event.get("epoch", 0) < first]
        found += run
    return found


def read_last(folder: Path, since: float) -> list[Event]:
    """Events since the last start, if that was after `since`, in seconds since 1970."""
    runs = _runs(folder)
    return runs[-1] if runs and runs[-1][0]["time"] >= since else []


def epoch_lines(events: list[Event]) -> list[str]:
    """A line for each epoch that was validated, for people.

    Args:
        events: of one start, as `read_last` returns them.
    """
    trained = {event["epoch"]: event for event in events if event["event"] == "epoch"}
    lines = []
    for event in events:
        if event["event"] != "validation":
            continue
        before = trained.get(event["epoch"], {})
        top1 = before.get("top1")
        training = "" if top1 is None else f"training {before['loss']:.4f} and {100 * top1:.2f} %, "
        lines.append(
            f"epoch {event['epoch']}/{events[0]['epochs']}, loss and right answers: {training}"
            f"validation {event['loss']:.4f} and {100 * event['top1']:.2f} %"
        )
    return lines


def _runs(folder: Path) -> list[list[Event]]:
    """The events from each start to the next."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    runs: list[list[Event]] = []
    for event in filter(None, map(_parse, text.splitlines())):
        if event["event"] == "start":
            runs.append([event])
        elif runs:
            runs[-1].append(event)
    return runs


def _parse(line: str) -> Event | None:
    """The event of a line; None for one that a kill has cut."""
    try:
        event = json.loads(line)
        event["time" if event["event"] == "start" else "epoch"]
    except (ValueError, KeyError, TypeError):
        return None
    return event
