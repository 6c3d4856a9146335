"""What PaddleX starts instead of a PaddleClas checkout.

PaddleX trains by running `tools/train.py`, `tools/eval.py` and `tools/export_model.py` of
a PaddleClas checkout in a child process. This folder holds those three files. Each calls
`run`, which adds to PaddleClas what this project's recipes need (`additions`) and then

* hands over to the checkout's own tool, where there is a checkout, or
* runs the engine of the registry wheel `paddleclas` 2.4.2, which ships the engine but no
  `tools/`, after bringing it up to what PaddleX 3.7 and Paddle 3.3 expect (`wheel_engine`).

The parent (`training.engine`) says which engine to use in `ENGINE_VARIABLE`, and in
`PROCESSES_VARIABLE` how many processes share a training on a processor.
"""

import ctypes
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

ENGINE_VARIABLE = "MNIST_RKNN_PADDLECLAS"  # folder that holds `ppcls/`
PROCESSES_VARIABLE = "MNIST_RKNN_PROCESSES"
RANK_VARIABLE = "PADDLE_TRAINER_ID"  # Paddle's: number of this process among those that train
TOOLS = {"train": "train.py", "eval": "eval.py", "export": "export_model.py"}
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def run(mode: str) -> None:
    """Train, evaluate or export with PaddleClas, as its own tool of that name would.

    Args:
        mode: a key of `TOOLS`.
    """
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)  # the processes that read pictures
    if mode in ("train", "eval"):
        os.environ.setdefault("FLAGS_use_onednn", "1")  # for `onednn.CompiledConvolution`
    if mode == "train" and RANK_VARIABLE not in os.environ:
        share_between_processes(int(os.environ.get(PROCESSES_VARIABLE, "1")))
    root = Path(os.environ[ENGINE_VARIABLE])
    sys.path.insert(0, str(root))
    from . import additions, wheel_engine  # they load Paddle, which reads the variables above

    additions.add(mode)
    tool = root / "tools" / TOOLS[mode]
    if tool.is_file():
        runpy.run_path(str(tool), run_name="__main__")
    else:
        wheel_engine.run(mode)


def die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it is killed.

    Without it a `kill -9` of the notebook would leave a training behind that goes on
    writing into the folder of the next run.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def share_between_processes(count: int) -> None:
    """Train in `count` processes, of which this one is the first.

    Paddle's convolutions keep one processor core busy, not two. As with several GPUs, each
    process takes its share of every batch, and Paddle averages the gradients; on a processor
    it does so with gloo. The others are started here, by the variables that
    `paddle.distributed.launch` would set. That tool wants an address of the machine on a
    network; this needs nothing but the loopback interface.
    """
    if count < 2:
        return
    endpoints = [f"127.0.0.1:{port}" for port in free_ports(count)]
    shared = {
        "PADDLE_DISTRI_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": "lo",
        "PADDLE_TRAINERS_NUM": str(count),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
    }
    for rank in range(1, count):
        own = {RANK_VARIABLE: str(rank), "PADDLE_CURRENT_ENDPOINT": endpoints[rank]}
        # Standard output is the first one's: its log speaks for all.
        process = subprocess.Popen(
            [sys.executable, *sys.argv],
            env={**os.environ, **shared, **own},
            stdout=subprocess.DEVNULL,
        )
        threading.Thread(target=end_with, args=(process,), daemon=True).start()
    own = {RANK_VARIABLE: "0", "PADDLE_CURRENT_ENDPOINT": endpoints[0]}
    os.environ.update({**shared, **own})


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def end_with(process: subprocess.Popen) -> None:
    """Wait for another process of the training; if it failed, end this one, which waits for it."""
    if process.wait() != 0:
        message = f"RuntimeError: another process of the training ended with {process.returncode}"
        print(message, file=sys.stderr, flush=True)
        os._exit(1)
