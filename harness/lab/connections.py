"""Hosts over SSH, by fabric: one connection kept open per host.

Nothing here trusts a host it does not know: keys come from the lab's own known_hosts
file, and a host with another key, or with none on file, is refused. SSH's own failures
(`HostUnreachable`) are told apart from a command's (`CommandFailed`).
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import fabric
import invoke
import paramiko  # type: ignore[import-untyped]

from harness.errors import (
    CommandFailed,
    CommandTimedOut,
    HostKeyRefused,
    HostUnreachable,
    JobFailed,
)
from harness.lab.hosts import COMMAND_TIMEOUT

CONNECT_TIMEOUT = 60
"""Seconds to reach a host and log in; an emulated one takes 3 s when idle, more when busy."""

STOP_TIMEOUT = 10.0
"""Seconds that a process gets to end by itself after its standard input was closed."""

SSH_FAILURES = (paramiko.SSHException, EOFError, OSError)

# paramiko logs what it also raises; without a handler Python prints it amid our output.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def as_root(user: str, command: str) -> str:
    """The shell command by which whoever has logged in runs another as root."""
    return command if user == "root" else f"sudo -n -- sh -c {shlex.quote(command)}"


class SshProcess:
    """A program on a host, with a channel of its own."""

    def __init__(self, host: str, connection: Any, command: str) -> None:
        self._host = host
        self._connection = connection
        self._received = b""
        self._pid: int | None = None
        with ssh_failures_as_ours(host):
            self._channel = connection.create_session()
            # The shell tells its process id and becomes the command, so that the id is the
            # command's: what will not end by itself is ended by this id, never by name.
            self._channel.exec_command(as_root(connection.user, f"echo $$; exec {command}"))
        try:
            self._pid = int(self.read_line(COMMAND_TIMEOUT))
        except BaseException:
            # Nobody will stop it later; with its input closed it ends.
            self._close()
            raise

    def send(self, line: str) -> None:
        with ssh_failures_as_ours(self._host):
            self._channel.sendall(line.encode() + b"\n")

    def read_line(self, timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._received:
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                received = self._channel.recv(65536)
            except TimeoutError:
                raise CommandTimedOut(
                    f"{self._host}: a job said nothing for {timeout:.0f} s.",
                    "see the guest's console in the run's logs; is the machine overloaded?",
                ) from None
            if not received:
                raise self._ended()
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace")

    def stop(self) -> None:
        try:
            self._channel.shutdown_write()
            if not self._ends_within(STOP_TIMEOUT) and self._pid is not None:
                # TERM only: the jobs do not catch it.
                kill = as_root(self._connection.user, f"kill {self._pid}")
                self._connection.run(kill, hide=True, warn=True, in_stream=False, timeout=30)
        except (*SSH_FAILURES, invoke.exceptions.CommandTimedOut):
            pass  # With the connection gone, sshd closes the job's input, and the job ends.
        finally:
            self._close()

    def _close(self) -> None:
        # A channel whose connection is gone cannot say goodbye, and need not.
        with suppress(*SSH_FAILURES):
            self._channel.close()

    def _ends_within(self, seconds: float) -> bool:
        return bool(self._channel.status_event.wait(seconds))

    def _ended(self) -> Exception:
        """Say why there is no more output: the program ended, or the connection did."""
        status = self._channel.recv_exit_status() if self._ends_within(STOP_TIMEOUT) else -1
        if status == -1:
            return lost(self._host)
        said = b""
        while chunk := self._channel.recv_stderr(65536):
            said += chunk
        last_words = _tail(said.decode(errors="replace"))
        return JobFailed(
            f"{self._host}: a job ended with status {status}: {last_words}",
            "this is the job's own error; the text above is its last output",
        )


class SshHost:
    """One machine of the lab, reached over SSH."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self.connection = connection

    def run(self, command: str, timeout: float = COMMAND_TIMEOUT) -> str:
        timed_out = CommandTimedOut(
            f"{self.name}: no end of `{command}` within {timeout:.0f} s.",
            "see the machine's console in the run's logs; is it overloaded or hung?",
        )
        try:
            with ssh_failures_as_ours(self.name):
                self._reopen_if_lost()
                began = time.monotonic()
                words = as_root(self.connection.user, command)
                result = self.connection.run(
                    words, hide=True, warn=True, in_stream=False, timeout=timeout
                )
        except invoke.exceptions.CommandTimedOut:
            raise timed_out from None
        except invoke.exceptions.ThreadException as error:
            # A reading thread died: it is the connection that did.
            raise lost(self.name) from error
        if result.exited == -1:
            # Invoke's timer closes the channel, and until its thread has ended invoke takes that
            # for the command's end.
            raise timed_out if time.monotonic() - began >= timeout else lost(self.name)
        if result.exited != 0:
            raise CommandFailed(
                f"{self.name}: `{command}` ended with status {result.exited}: "
                f"{_tail(result.stderr or result.stdout)}",
                "this is the command's own error, not SSH's",
            )
        return str(result.stdout)

    def start(self, command: str) -> SshProcess:
        with ssh_failures_as_ours(self.name):
            self._reopen_if_lost()
        return SshProcess(self.name, self.connection, command)

    def put(self, local: Path, remote: str) -> None:
        # Written beside and renamed: a copy that broke off is never taken for the file.
        partial = f"{remote}.partial"
        root = self.connection.user == "root"
        # Who is not root writes into his home, and hands the file over.
        sent = partial if root else Path(partial).name
        with ssh_failures_as_ours(self.name):
            self._reopen_if_lost()
            self.connection.put(str(local), sent)  # keeps the mode
        if not root:
            own = "install -o root -g root -m " + f"{local.stat().st_mode & 0o777:o}"
            self.run(f"{own} {shlex.quote(sent)} {shlex.quote(partial)}; rm {shlex.quote(sent)}")
        self.run(f"mv {shlex.quote(partial)} {shlex.quote(remote)}")

    def _reopen_if_lost(self) -> None:
        """See that the connection works, for a guest may have been paused for long."""
        if self.connection.is_connected:
            try:
                self.connection.create_session().close()
                return
            except SSH_FAILURES:
                self.connection.close()
        self.connection.open()


class Connections:
    """The lab's hosts over SSH; connections are opened when first used, closed together."""

    def __init__(self, ssh_config: Path, known_hosts: Path) -> None:
        self._config = fabric.Config(runtime_ssh_path=str(ssh_config))
        self._known_hosts = known_hosts
        self._hosts: dict[str, SshHost] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Guests before the gateway that their connections run through.
        for host in reversed(self._hosts.values()):
            host.connection.close()

    def host(self, name: str) -> SshHost:
        """Return a host by its name in ssh_config; nothing is connected yet."""
        if name not in self._hosts:
            # The gateway enters first, so that it is closed last.
            gateway = self._gateway(name)
            self._hosts[name] = SshHost(name, self._connection(name, gateway))
        return self._hosts[name]

    def _gateway(self, name: str) -> SshHost | None:
        jump = self._config.base_ssh_config.lookup(name).get("proxyjump", "none")
        return None if jump == "none" else self.host(jump)

    def _connection(self, name: str, gateway: SshHost | None) -> Any:
        connection = fabric.Connection(
            name,
            config=self._config,
            # One shared connection to the gateway; fabric would open one for each guest.
            gateway=gateway.connection if gateway else False,
            connect_timeout=CONNECT_TIMEOUT,
            connect_kwargs={
                # The lab's own key and nothing else: no agent, no keys of the user's.
                "allow_agent": False,
                "look_for_keys": False,
                "banner_timeout": CONNECT_TIMEOUT,
                "auth_timeout": CONNECT_TIMEOUT,
                "channel_timeout": CONNECT_TIMEOUT,
            },
        )
        self._trust_only_known_keys(connection)
        return connection

    def _trust_only_known_keys(self, connection: Any) -> None:
        client = connection.client
        # fabric's default accepts any key of a host that it has not met.
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.load_system_host_keys(str(self._known_hosts))
        # OpenSSH looks a key up by HostKeyAlias where there is one; paramiko does not know it.
        alias = connection.ssh_config.get("hostkeyalias")
        known = paramiko.HostKeys(str(self._known_hosts)).lookup(alias) if alias else None
        for key_type, key in (known or {}).items():
            address = connection.host
            if connection.port != paramiko.config.SSH_PORT:
                address = f"[{connection.host}]:{connection.port}"
            client.get_host_keys().add(address, key_type, key)


@contextmanager
def ssh_failures_as_ours(host: str) -> Iterator[None]:
    """Turn what SSH raises into the harness's own errors."""
    try:
        yield
    except paramiko.BadHostKeyException as error:
        raise HostKeyRefused(
            f"{host} shows a host key that is not on file.", _KEY_REMEDY
        ) from error
    except paramiko.AuthenticationException as error:
        raise HostUnreachable(
            f"{host} refuses the lab's SSH key: {error}.", _REBUILD_REMEDY
        ) from error
    except SSH_FAILURES as error:
        if "not found in known_hosts" in str(error):
            raise HostKeyRefused(f"{host} has no host key on file.", _KEY_REMEDY) from error
        raise HostUnreachable(
            f"{host} cannot be reached over SSH: {str(error).rstrip('.') or type(error).__name__}.",
            _REBUILD_REMEDY,
        ) from error


_REBUILD_REMEDY = "see `make status` and the logs; `make lab` brings a lab up again"
_KEY_REMEDY = (
    "another machine may be answering in its place; if you rebuilt it by hand, run `make lab`, "
    "which writes the keys down again"
)


def lost(host: str) -> HostUnreachable:
    """Return the error for a connection that broke while it was in use."""
    return HostUnreachable(f"The SSH connection to {host} was lost.", _REBUILD_REMEDY)


def _tail(text: str, characters: int = 800) -> str:
    text = text.strip()
    return text if len(text) <= characters else f"...{text[-characters:]}"
