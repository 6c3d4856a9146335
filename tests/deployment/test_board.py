"""`make board`, against a real OpenSSH server on loopback that stands for the module.

Behind it is a FAKE module: this PC's shell in an empty home, a fake SDK package
(tests/support/sdk/python),
and a file that only holds the text by which the real runtime says its version. Nothing in here
says anything about a board's answers or speed.
"""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.runs import PROJECT, TINY, last_line, run_command

from mnist_rknn import recipe_file
from mnist_rknn.conversion import inference
from mnist_rknn.deployment import board, deploy, ssh_link
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import report

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(not SSHD, reason="needs Debian's openssh-server")


def key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


class FakeModule:
    """A loopback sshd, its files, and an OpenSSH configuration that leads to it."""

    def __init__(self, folder: Path, prefix: tuple[str, ...] = ()):
        self.folder = folder
        self.home = folder / "home"
        self.tools = folder / "tools"  # first in its PATH
        self.host = f"{getpass.getuser()}@127.0.0.1"
        self.config = folder / "ssh_config"
        for made in (self.home, self.tools, folder / "lib"):
            made.mkdir()
        self.set_runtime("2.3.2")
        self.tool("dmesg", "echo 'RKNPU ff660000.npu: Initialized rknpu 0.9.2 20230825'")
        host_key, self.user_key = key(folder / "host_key"), key(folder / "user_key")
        (folder / "authorized").write_text((folder / "user_key.pub").read_text())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.tool(
            "session",
            f"export HOME={self.home} LD_LIBRARY_PATH={folder}/lib SESSION=$PPID "
            f"PATH={self.tools}:{Path(sys.executable).parent}:$PATH "
            f"PYTHONPATH={PROJECT}/tests/support/sdk/python\n"
            f'. {folder}/environment\ncd "$HOME"\nexec sh -c "$SSH_ORIGINAL_COMMAND"',
        )
        self.environment("")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {host_key}\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n"
            f"PasswordAuthentication no\nForceCommand {self.tools}/session\n"
        )
        public = (folder / "host_key.pub").read_text()
        self.know(public)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.server = subprocess.Popen(
            [*prefix, SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
            stderr=(folder / "sshd.log").open("w"),
        )
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError((folder / "sshd.log").read_text())

    def know(self, public: str, user_key: Path | None = None) -> None:
        """Write the client's configuration: the host key it expects, and its own key."""
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {public}" if public else "")
        self.config.write_text(
            f"Host *\n  Port {self.port}\n  IdentityFile {user_key or self.user_key}\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {known}\n"
            "  GlobalKnownHostsFile none\n"
        )

    def set_runtime(self, version: str) -> None:
        text = f"..librknnmrt version: {version} (test@2025-01-01T00:00:00).."
        (self.folder / "lib" / "librknnmrt.so").write_bytes(text.encode() + bytes(range(256)))

    def environment(self, lines: str) -> None:
        (self.folder / "environment").write_text(lines + "\n")

    def tool(self, name: str, script: str) -> None:
        (self.tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.tools / name).chmod(0o755)

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait()


@pytest.fixture
def module(tmp_path):
    found = FakeModule(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def run(finished) -> Path:
    deploy.build(recipe_file.load("smoke", TINY), finished)
    return finished


def measure(run: Path, module: FakeModule, said: list[str] | None = None) -> dict:
    say = [].append if said is None else said.append
    return board.measure(recipe_file.load("smoke"), run, module.host, module.config, say)


def refusal(run: Path, module: FakeModule) -> str:
    with pytest.raises(PipelineError) as error:
        measure(run, module)
    assert "\n" not in str(error.value)
    assert not (run / "board.json").exists()
    return str(error.value)


def test_bundle_is_copied_run_and_measured(run, module):
    module.environment(f"export FAKE_SDK_ONNX={run}/smoke.slim.onnx")
    result = run_command(
        "board", module.host, "--run", str(run), "--ssh-config",
        str(module.config),
    )  # fmt: skip
    assert "runtime 2.3.2, driver 0.9.2" in result.stdout, result.stderr
    found = json.loads((run / "board.json").read_text())
    # The fake SDK runs the float network: it must differ exactly where that differs from INT8.
    golden = np.load(run / "golden.npz")
    image = recipe_file.load("smoke").image
    answers = inference.run_onnx(run / "smoke.slim.onnx", golden["images"], image).argmax(axis=1)
    differ = (answers != golden["logits"].argmax(axis=1)).sum()
    assert found["golden"]["labels_differ"] == differ and found["golden"]["pictures"] == 50
    assert result.returncode == (0 if found["golden"]["match"] else 1)
    assert found["bench"]["frames_per_second"] > 0
    shown = json.loads((run / "manifest.json").read_text())["board"]
    assert {"schema": 1, **shown} == found
    page = (run / "report.html").read_text()
    assert "measured on the module" in page and "Nothing on this page was measured" not in page


def test_figures_of_another_model_are_not_shown_for_this_one(run, module):
    measure(run, module)
    assert "frames/s with finding" in report.build(recipe_file.load("smoke"), run).read_text()
    with (run / "smoke.rknn").open("ab") as file:
        file.write(b"\0")
    assert "frames/s with finding" not in report.build(recipe_file.load("smoke"), run).read_text()


def test_only_what_changed_is_copied_again(run, module):
    said: list[str] = []
    measure(run, module, said)
    place = module.home / "mnist-rknn" / "smoke"
    (place / "labels.txt").write_text("changed on the module")
    measure(run, module, said)
    copied = [line for line in said if line.startswith("copied")]
    assert "copied     1 changed files" in copied[1]
    assert (place / "labels.txt").read_bytes() == (run / "deploy" / "labels.txt").read_bytes()
    assert not list(place.rglob("*.partial"))


def test_first_contact_asks_the_user_to_compare_the_fingerprint(run, module):
    module.know("")
    assert "is not known yet" in refusal(run, module)


def test_a_changed_host_key_is_refused(run, module, tmp_path):
    module.know(key(tmp_path / "other").with_suffix(".pub").read_text())
    known = module.folder / "known_hosts"
    said = refusal(run, module)
    assert "not the one it had before" in said
    assert f"`ssh-keygen -f {known} -R '[127.0.0.1]:{module.port}'`" in said
    assert not (module.home / "mnist-rknn").exists()


def test_a_wrong_key_is_refused_without_asking_for_a_password(run, module, tmp_path):
    public = (module.folder / "host_key.pub").read_text()
    module.know(public, key(tmp_path / "stranger"))
    assert "ssh-copy-id" in refusal(run, module)


def test_a_port_and_an_alias_are_taken_as_ssh_takes_them(run, module):
    options = module.config.read_text()
    module.config.write_text(options.replace(f"  Port {module.port}\n", ""))
    measured = module.host
    module.host = f"{measured}:{module.port}"
    said: list[str] = []
    measure(run, module, said)
    alias = f"Host stick\n  HostName 127.0.0.1\n  User {getpass.getuser()}\n  Port {module.port}\n"
    module.config.write_text(alias + options)
    module.host = "stick"
    measure(run, module, said)
    assert "copied     0 changed files" in said[-1]


def test_a_module_without_sha256sum_hashes_with_its_python(run, module):
    module.tool("sha256sum", "echo 'sha256sum: not found' >&2; exit 127")
    said: list[str] = []
    measure(run, module, said)
    measure(run, module, said)
    assert "copied     0 changed files" in said[-1]
    module.tool("cat", "/bin/cat | tr a b")
    (run / "deploy" / "labels.txt").write_text("banana")
    (run / "board.json").unlink()
    assert "labels.txt did not arrive whole" in refusal(run, module)


def test_a_home_that_is_read_only_names_the_command(run, module):
    module.tool("mkdir", 'echo "mkdir: can\'t create directory: Read-only file system" >&2; exit 1')
    said = refusal(run, module)
    assert "is mounted read-only: run `ssh -F " in said and "mount -o remount,rw /" in said


# What OpenSSH's client says, and the command that helps.
SAID = {
    "no matching host key type found. Their offer: ssh-rsa": (
        "offers only ssh-rsa as host key type", "HostKeyAlgorithms +ssh-rsa"
    ),
    "no matching key exchange method found. Their offer: diffie-hellman-group14-sha1": (
        "offers only diffie-hellman-group14-sha1", "KexAlgorithms +diffie-hellman-group14-sha1"
    ),
    "send_pubkey_test: no mutual signature algorithm": ("RSA keys in", "+ssh-rsa"),
    "Permissions 0644 for '/k' are too open.": ("/k may be read", "chmod 600 /k"),
    "Received disconnect: Too many authentication failures": ("too many", "IdentitiesOnly yes"),
    "kex_exchange_identification: Connection closed by remote host": ("port 2222", "check HOST"),
    "root@m: Permission denied (publickey).": ("refused the key", "`ssh-copy-id -F "),
}  # fmt: skip


@pytest.mark.parametrize("words", SAID)
def test_refusal_of_ssh_names_the_command_that_helps(tmp_path, words):
    config = tmp_path / "config"
    config.write_text("Host stick\n  HostName 10.1.1.144\n  Port 2222\n")
    said = ssh_link.Link("stick", config).failure(f"Warning: x\n{words}\nlast line")
    for expected in SAID[words]:
        assert expected in said
    assert "cable" not in said and "\n" not in said


def test_a_module_that_is_not_there(run, module):
    module.stop()
    assert "cannot be reached" in refusal(run, module)
    result = run_command("board", "-oProxyCommand=x", "--run", str(run))
    assert result.returncode == 2  # no option of ours
    result = run_command("board", "a b", "--run", str(run))
    assert result.returncode == 1 and "is no address" in last_line(result)


def test_a_link_cut_in_the_middle_of_a_file_leaves_the_old_one(run, module):
    measure(run, module)
    (run / "board.json").unlink()
    place = module.home / "mnist-rknn" / "smoke"
    old = (place / "smoke.rknn").read_bytes()
    changed = run / "deploy" / "smoke.rknn"
    changed.write_bytes(changed.read_bytes() + b"x")
    module.tool("cat", 'head -c 20000; kill -9 "$SESSION"; sleep 5')
    assert "was cut" in refusal(run, module)
    (module.tools / "cat").unlink()
    assert (place / "smoke.rknn").read_bytes() == old
    measure(run, module)
    assert (place / "smoke.rknn").read_bytes() == changed.read_bytes()


def test_a_file_that_arrives_otherwise_is_refused(run, module):
    module.tool("cat", "/bin/cat | tr a b")
    assert "did not arrive whole (its bytes differ)" in refusal(run, module)
    assert not list((module.home / "mnist-rknn").rglob("smoke.rknn*"))


def test_a_full_disk_is_named(run, tmp_path):
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to mount")
    mount = f'mount -t tmpfs -o size=150k tmpfs {tmp_path}/home; exec "$@"'
    module = FakeModule(tmp_path, ("unshare", "-m", "sh", "-c", mount, "sh"))
    try:
        assert "disk is full while writing" in refusal(run, module)
    finally:
        module.stop()


def test_an_older_runtime_is_refused_before_anything_is_copied(run, module):
    module.set_runtime("1.6.0")
    assert "runtime is 1.6.0, older than" in refusal(run, module)
    assert not (module.home / "mnist-rknn").exists()


def test_another_runtime_and_an_old_driver_are_remarked_on(run, module):
    module.set_runtime("2.5.0")
    module.tool("dmesg", "echo 'RKNPU ff660000.npu: Initialized rknpu 0.8.8 20230428'")
    said: list[str] = []
    measure(run, module, said)
    assert "runtime is 2.5.0" in said[0] and "driver is 0.8.8" in said[1]


def test_a_model_that_the_module_refuses(run, module):
    (run / "deploy" / "smoke.rknn").write_bytes(b"not a model")
    assert "on the module: the module refused smoke.rknn" in refusal(run, module)
