"""The OpenSSH way to the module: where it leads, and what the client's refusals mean."""

import getpass
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from ..errors import PipelineError

_HOST = re.compile(
    r"(ssh://)?((?P<user>[\w.-]+)@)?"
    r"(\[(?P<six>[\w:.%]+)\]|(?P<name>[\w.%-]+|[\w:%.]+:[\w:%.]*:[\w%.]*))"
    r"(:(?P<port>\d+))?/?"
)
USER = "root"  # of the module's image


class Link:
    """Where a host that somebody named leads, by OpenSSH's own configuration.

    Args:
        named: address, name or alias, with user and port or not.
        config: an OpenSSH configuration file instead of the user's own.

    Attributes:
        host: what ssh is to be given: user@name, or the alias if the configuration has its user.
        command: ssh with the options that lead there.

    Raises:
        PipelineError: no address, no ssh, or a configuration that ssh does not take.
    """

    def __init__(self, named: str, config: Path | None = None):
        match = _HOST.fullmatch(named)
        if not match or named.startswith("-"):
            raise PipelineError(f"HOST={named!r} is no address: write it as HOST=10.1.1.144")
        self._config, self._named_port = config, match["port"]
        name, user = match["six"] or match["name"], match["user"]
        self.command = ["ssh", *(["-F", str(config)] if config else [])]
        if match["port"]:
            self.command += ["-p", match["port"]]
        self.host = f"{user}@{name}" if user else name
        found = self._resolved()
        # Somebody who is in no configuration: ssh would take the name of this PC's user.
        if not user and found.get("user", getpass.getuser()) == getpass.getuser():
            self.host = f"{USER}@{name}"
        self._address = found.get("hostkeyalias", "none")
        if self._address == "none":
            self._address = found.get("hostname", name)
        self._port = found.get("port", "22")

    def _resolved(self) -> dict[str, str]:
        """What `ssh -G` makes of the name: address, port, user."""
        command = [*self.command, "-G", "--", self.host]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise PipelineError("ssh is not installed: install openssh-client") from None
        if result.returncode:
            raise PipelineError(self.failure(result.stderr))
        pairs = (line.partition(" ") for line in result.stdout.splitlines())
        return {key: value for key, _, value in reversed(list(pairs))}

    @property
    def shown(self) -> str:
        """The command that a user types to get there."""
        return " ".join(map(shlex.quote, [*self.command, self.host]))

    def failure(self, said: str) -> str:
        """What a refusal of ssh means, and the command that helps.

        Args:
            said: what it printed.
        """
        for pattern, explain in _FAILURES:
            match = re.search(pattern, said)
            if match:
                return explain(self, match)
        last = said.strip().splitlines()[-1:] or ["connection lost"]
        return f"the link to {self.host} was cut ({last[0].strip()}): check the cable and run again"

    def changed_key(self, match: re.Match[str]) -> str:
        """The module has another host key than before."""
        address = self._address if self._port == "22" else f"[{self._address}]:{self._port}"
        file = match["file"] or ""
        is_usual = not file or Path(file) == Path("~/.ssh/known_hosts").expanduser()
        where = "" if is_usual else f" -f {shlex.quote(file)}"
        quoted = f"'{address}'" if address.startswith("[") else address
        return (
            f"the host key of {self.host} is not the one it had before: if the module was flashed "
            f"anew, run `ssh-keygen{where} -R {quoted}`, otherwise something else answers there"
        )

    def unknown_key(self, _: re.Match[str]) -> str:
        """It has never been met."""
        return (
            f"{self.host} is not known yet: run `{self.shown}` once, compare the fingerprint it "
            "shows and answer yes"
        )

    def wrong_key(self, _: re.Match[str]) -> str:
        """It does not know the user."""
        options = " ".join(map(shlex.quote, self.command[1:]))
        return f"{self.host} refused the key: run `ssh-copy-id {options} {self.host}` once".replace(
            "  ", " "
        )

    def no_algorithm(self, match: re.Match[str]) -> str:
        """Its server is older than what this client still allows."""
        option = {
            "host key type": "HostKeyAlgorithms",
            "key exchange method": "KexAlgorithms",
            "cipher": "Ciphers",
            "MAC": "MACs",
        }[match["what"]]
        lines = [f"{option} +{match['offer']}"]
        if match["offer"].startswith("ssh-") and option == "HostKeyAlgorithms":
            lines.append(f"PubkeyAcceptedAlgorithms +{match['offer']}")
        return self._with_lines(
            f"{self.host} offers only {match['offer']} as {match['what']}", lines
        )

    def no_signature(self, _: re.Match[str]) -> str:
        """Its server takes an RSA key in the old way only."""
        return self._with_lines(
            f"{self.host} takes RSA keys in an old form only", ["PubkeyAcceptedAlgorithms +ssh-rsa"]
        )

    def _with_lines(self, cause: str, lines: list[str]) -> str:
        file = str(self._config) if self._config else "~/.ssh/config"
        name = self.host.rpartition("@")[2]
        text = "\\n".join([f"Host {name}", *(f"  {line}" for line in lines)])
        return (
            f"{cause}, which this PC's ssh no longer takes by itself: run "
            f"`printf '{text}\\n' >> {file}`, then this again"
        )

    def no_file(self, _: re.Match[str]) -> str:
        """The configuration that was named is not there."""
        return f"the OpenSSH configuration {self._config} does not exist"

    def permissions(self, match: re.Match[str]) -> str:
        """A file of the user's that others may read or write."""
        return f"{match['file']} may be read or written by others: run `chmod 600 {match['file']}`"

    def bad_option(self, match: re.Match[str]) -> str:
        """A line of the configuration."""
        return f"the OpenSSH configuration has a line that ssh does not take: {match['line']}"

    def too_many_keys(self, _: re.Match[str]) -> str:
        """The agent offers more keys than the server looks at."""
        return self._with_lines(
            f"{self.host} was offered too many keys", ["IdentitiesOnly yes"]
        ).replace(", which this PC's ssh no longer takes by itself", "")

    def no_server(self, match: re.Match[str]) -> str:
        """Something answers, and is no SSH server."""
        return (
            f"what answers at {self._address} on port {self._port} ends the connection at once "
            f"({match[0]}): check HOST and its port, or restart the module"
        )

    def unreachable(self, match: re.Match[str]) -> str:
        """Nothing answers."""
        port = f" on port {self._port}" if self._port != "22" or self._named_port else ""
        return (
            f"{self.host} cannot be reached{port} ({match[0]}): plug the module in, wait until it "
            "has started, and check HOST"
        )


_FAILURES: tuple[tuple[str, Callable[[Link, re.Match[str]], str]], ...] = (
    (
        r"IDENTIFICATION HAS CHANGED(?s:.*?Offending \S+ key in (?P<file>.+?):\d+)?",
        Link.changed_key,
    ),
    (
        r"no matching (?P<what>host key type|key exchange method|cipher|MAC) found\. "
        r"Their offer: (?P<offer>\S+)",
        Link.no_algorithm,
    ),
    (r"no mutual signature", Link.no_signature),
    (r"host key is known|Host key verification failed", Link.unknown_key),
    (r"Permissions \d+ for '(?P<file>.+)' are too open", Link.permissions),
    (r"Bad owner or permissions on (?P<file>\S+)", Link.permissions),
    (r"(?P<line>.*Bad configuration option: .*|.*line \d+: .*)", Link.bad_option),
    (r"Too many authentication failures", Link.too_many_keys),
    (r"Permission denied", Link.wrong_key),
    (r"Can't open user config file", Link.no_file),
    (r"kex_exchange_identification|banner exchange", Link.no_server),
    (
        r"timed out|refused|No route|unreachable|resolve hostname",
        Link.unreachable,
    ),
)
