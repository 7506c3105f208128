"""Hosts over SSH, against real SSH servers in this process: a gateway and a guest behind it."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import invoke
import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.errors import (
    CommandFailed,
    CommandTimedOut,
    HostKeyRefused,
    HostUnreachable,
    JobFailed,
)
from harness.lab import connections
from harness.lab.connections import Connections, SshProcess
from harness.lab.hosts import Job


@dataclass
class SshServer:
    """A small SSH server: runs commands in a shell, serves files, forwards to other ports."""

    client_key: paramiko.PKey
    host_key: paramiko.PKey = field(default_factory=lambda: paramiko.ECDSAKey.generate(bits=256))
    logins: int = 0

    def __post_init__(self) -> None:
        self.transports: list[paramiko.Transport] = []
        self.shells: list[subprocess.Popen[bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.host_key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, LocalFiles)
            self.transports.append(transport)
            try:
                transport.start_server(server=_Session(self))
            except (paramiko.SSHException, EOFError, OSError):
                transport.close()

    def drop(self) -> None:
        """Cut all connections, as when a machine dies."""
        for transport in self.transports:
            transport.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # close alone leaves accept() waiting
        self.listener.close()
        self.drop()
        for shell in self.shells:
            shell.kill()
            shell.wait()


class _Session(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self.server = server
        self.targets: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if key != self.server.client_key:
            return paramiko.AUTH_FAILED
        self.server.logins += 1
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        threading.Thread(target=self._forward, args=(chanid, destination), daemon=True).start()
        return paramiko.OPEN_SUCCEEDED

    def _forward(self, chanid: int, destination: tuple[str, int]) -> None:
        transport = self.server.transports[-1]
        while (channel := transport._channels.get(chanid)) is None:
            time.sleep(0.01)
        target = socket.create_connection(destination)
        pairs = ((channel, target), (target, channel))
        for source, sink in pairs:
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.server.shells.append(shell)
        threading.Thread(target=_serve, args=(channel, shell), daemon=True).start()
        return True


def _copy(source: Any, sink: Any) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except (OSError, EOFError, paramiko.SSHException):
        pass
    finally:
        # A channel whose connection is gone cannot say goodbye.
        with suppress(OSError, EOFError):
            sink.shutdown(socket.SHUT_RDWR)  # close alone leaves the other way's recv() waiting
        with suppress(OSError, EOFError):
            sink.close()


def _serve(channel: paramiko.Channel, shell: subprocess.Popen[bytes]) -> None:
    assert shell.stdin
    assert shell.stdout
    assert shell.stderr
    # paramiko grants the request after this thread has started; nothing may be sent before.
    time.sleep(0.05)
    readers = [
        threading.Thread(target=_pump, args=(stream.read, send), daemon=True)
        for stream, send in (
            (shell.stdout, channel.sendall),
            (shell.stderr, channel.sendall_stderr),
        )
    ]
    for reader in readers:
        reader.start()

    def feed() -> None:
        assert shell.stdin
        try:
            while data := channel.recv(65536):
                shell.stdin.write(data)
        except (OSError, EOFError, paramiko.SSHException):
            pass
        finally:
            shell.stdin.close()

    threading.Thread(target=feed, daemon=True).start()
    for reader in readers:
        reader.join()
    shell.stdout.close()
    shell.stderr.close()
    try:
        channel.send_exit_status(shell.wait() % 256)
        channel.close()
    except (OSError, EOFError, paramiko.SSHException):
        pass  # the other side closed first


def _pump(read: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
    try:
        while data := read(65536):
            send(data)
    except (OSError, ValueError, EOFError, paramiko.SSHException):
        pass


class LocalFiles(paramiko.SFTPServerInterface):
    """Serves this machine's files for writing; the home is where the tests are."""

    def canonicalize(self, path: str) -> str:
        return os.path.abspath(path)

    def open(self, path: str, flags: int, attr: Any) -> Any:
        handle = paramiko.SFTPHandle(flags)
        handle.writefile = os.fdopen(os.open(path, flags, 0o600), "wb")  # type: ignore[attr-defined]
        return handle

    def chattr(self, path: str, attr: Any) -> int:
        os.chmod(path, attr.st_mode & 0o777)
        return int(paramiko.SFTP_OK)

    def stat(self, path: str) -> Any:
        try:
            return paramiko.SFTPAttributes.from_stat(os.stat(path))
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)


@dataclass
class Net:
    """A gateway, a guest behind it, and the files that tell of them."""

    folder: Path
    gateway: SshServer
    guest: SshServer

    def known(self, *servers: SshServer) -> None:
        lines = [
            f"[127.0.0.1]:{server.port} {server.host_key.get_name()} "
            f"{server.host_key.get_base64()}\n"
            for server in servers
        ]
        (self.folder / "known_hosts").write_text("".join(lines))

    def connections(self) -> Connections:
        return Connections(self.folder / "ssh_config", self.folder / "known_hosts")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    (tmp_path / "id").write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        )
    )
    key = paramiko.Ed25519Key.from_private_key_file(str(tmp_path / "id"))
    gateway, guest = SshServer(key), SshServer(key)
    config = [
        f"Host {name}\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n"
        f"  IdentityFile {tmp_path / 'id'}\n{extra}"
        for name, server, extra in (
            ("xen1", gateway, ""),
            ("cpu1", guest, "  ProxyJump xen1\n"),
        )
    ]
    (tmp_path / "ssh_config").write_text("".join(config))
    net = Net(tmp_path, gateway, guest)
    net.known(gateway, guest)
    yield net
    for server in (gateway, guest):
        if server.listener.fileno() >= 0:
            server.close()


class TestCommands:
    def test_run_through_the_gateway(self, net: Net) -> None:
        with net.connections() as lab:
            assert lab.host("cpu1").run("echo hello; echo aside >&2") == "hello\n"

    def test_one_connection_per_host_is_kept_open(self, net: Net) -> None:
        with net.connections() as lab:
            for _ in range(3):
                lab.host("cpu1").run("true")
                lab.host("xen1").run("true")
        assert (net.gateway.logins, net.guest.logins) == (1, 1)

    def test_an_error_is_the_commands_own(self, net: Net) -> None:
        with (
            net.connections() as lab,
            pytest.raises(CommandFailed, match="status 3: it broke") as caught,
        ):
            lab.host("cpu1").run("echo it broke >&2; exit 3")
        assert not isinstance(caught.value, HostUnreachable)

    def test_a_command_that_hangs_times_out(self, net: Net) -> None:
        with net.connections() as lab, pytest.raises(CommandTimedOut, match="`sleep 60`"):
            lab.host("cpu1").run("sleep 60", timeout=0.3)

    def test_a_time_out_that_invoke_sees_late_is_one(
        self, net: Net, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # So it is while the thread that closed the channel has not ended.
        monkeypatch.setattr(invoke.runners.Runner, "timed_out", False)
        with net.connections() as lab, pytest.raises(CommandTimedOut, match="`sleep 60`"):
            lab.host("cpu1").run("sleep 60", timeout=0.3)

    def test_a_file_arrives_whole_and_executable(self, net: Net) -> None:
        local = net.folder / "program"
        local.write_text("#!/bin/sh\necho it runs\n")
        local.chmod(0o755)
        with net.connections() as lab:
            lab.host("cpu1").put(local, str(net.folder / "copy"))
            assert lab.host("cpu1").run(str(net.folder / "copy")) == "it runs\n"
        assert not list(net.folder.glob("*.partial"))


# Runs the command as who we are, and writes down that it was asked.
SUDO = """#!/bin/sh
echo "$*" >>{folder}/asked
shift 2
exec "$@"
"""


class TestAnotherUserThanRoot:
    """Whoever logs in at the host, what is done there is done by root."""

    @pytest.fixture
    def admin(self, net: Net, monkeypatch: pytest.MonkeyPatch) -> Net:
        config = net.folder / "ssh_config"
        config.write_text(config.read_text().replace("User root", "User admin", 1))
        (net.folder / "sudo").write_text(SUDO.format(folder=net.folder))
        # Nothing is handed to root by who is not root.
        (net.folder / "install").write_text('#!/bin/sh\nshift 4\nexec /usr/bin/install "$@"\n')
        for name in ("sudo", "install"):
            (net.folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{net.folder}:{os.environ['PATH']}")
        return net

    def test_commands_are_roots(self, admin: Net) -> None:
        with admin.connections() as lab:
            assert lab.host("xen1").run("echo 'it is'; echo whole") == "it is\nwhole\n"
            lab.host("cpu1").run("true")
        asked = (admin.folder / "asked").read_text().splitlines()
        assert asked[0].startswith("-n -- sh -c echo 'it is'; echo whole")
        assert "true" not in asked, "in guests root logs in"

    def test_programs_are_roots(self, admin: Net) -> None:
        with admin.connections() as lab:
            process = lab.host("xen1").start("cat")
            process.send("hello")
            assert process.read_line(20) == "hello"
            process.stop()
        assert "exec cat" in (admin.folder / "asked").read_text()

    def test_files_are_roots(self, admin: Net, monkeypatch: pytest.MonkeyPatch) -> None:
        home = admin.folder / "home"
        home.mkdir()
        monkeypatch.chdir(home)
        local = admin.folder / "program"
        local.write_text("#!/bin/sh\necho it runs\n")
        local.chmod(0o755)
        with admin.connections() as lab:
            lab.host("xen1").put(local, str(admin.folder / "copy"))
            assert lab.host("xen1").run(str(admin.folder / "copy")) == "it runs\n"
        assert not list(home.iterdir())
        assert "install -o root -g root -m 755" in (admin.folder / "asked").read_text()


class TestTrust:
    def test_an_unknown_host_is_refused(self, net: Net) -> None:
        net.known(net.gateway)
        with net.connections() as lab, pytest.raises(HostKeyRefused, match="cpu1"):
            lab.host("cpu1").run("true")
        assert net.guest.logins == 0

    def test_another_key_is_refused(self, net: Net) -> None:
        net.guest.host_key = paramiko.ECDSAKey.generate(bits=256)
        with net.connections() as lab, pytest.raises(HostKeyRefused, match="not on file"):
            lab.host("cpu1").run("true")
        assert net.guest.logins == 0

    def test_keys_may_be_on_file_under_an_alias(self, net: Net) -> None:
        with (net.folder / "ssh_config").open("a") as config:
            config.write("Host cpu1\n  HostKeyAlias the-guest\n")
        listed = net.folder / "known_hosts"
        listed.write_text(listed.read_text().replace(f"[127.0.0.1]:{net.guest.port}", "the-guest"))
        with net.connections() as lab:
            assert lab.host("cpu1").run("echo hello") == "hello\n"


class TestFailuresOfSsh:
    def test_nobody_there(self, net: Net) -> None:
        net.gateway.close()
        with net.connections() as lab, pytest.raises(HostUnreachable, match="cannot be reached"):
            lab.host("cpu1").run("true")

    def test_a_key_that_is_not_accepted(self, net: Net) -> None:
        net.guest.client_key = paramiko.ECDSAKey.generate(bits=256)
        with net.connections() as lab, pytest.raises(HostUnreachable, match="refuses"):
            lab.host("cpu1").run("true")

    def test_a_connection_lost_while_a_command_runs(self, net: Net) -> None:
        with net.connections() as lab:
            lab.host("cpu1").run("true")
            threading.Timer(0.3, net.guest.drop).start()
            with pytest.raises(HostUnreachable):
                lab.host("cpu1").run("sleep 60", timeout=30)

    def test_a_connection_lost_between_commands_is_opened_again(self, net: Net) -> None:
        with net.connections() as lab:
            lab.host("cpu1").run("true")
            net.guest.drop()
            assert lab.host("cpu1").run("echo hello") == "hello\n"
        assert net.guest.logins == 2


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class TestProcesses:
    """Jobs: lines in, lines out, and never left running."""

    @pytest.fixture
    def quick_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For what never listens; a busy machine may let the others take long."""
        monkeypatch.setattr(connections, "STOP_TIMEOUT", 0.5)

    @pytest.fixture
    def start(self, net: Net) -> Iterator[Callable[[str], SshProcess]]:
        with net.connections() as lab:
            yield lab.host("cpu1").start

    def test_talks(self, start: Callable[[str], SshProcess]) -> None:
        process = start("cat")
        process.send("one")
        process.send("two")
        assert [process.read_line(5), process.read_line(5)] == ["one", "two"]
        process.stop()

    def test_silence_times_out(self, start: Callable[[str], SshProcess]) -> None:
        process = start("cat")
        with pytest.raises(CommandTimedOut, match="said nothing"):
            process.read_line(0.2)
        process.stop()

    def test_an_early_end_is_reported_with_its_last_words(
        self, start: Callable[[str], SshProcess]
    ) -> None:
        process = start("sh -c 'echo out of memory >&2; exit 9'")
        with pytest.raises(JobFailed, match="status 9: out of memory"):
            process.read_line(5)

    def test_a_lost_connection_is_not_the_jobs_failure(
        self, start: Callable[[str], SshProcess], net: Net
    ) -> None:
        process = start("cat")
        net.guest.drop()
        with pytest.raises(HostUnreachable):
            process.read_line(5)

    def test_stop_ends_what_listens_by_closing_its_input(
        self, start: Callable[[str], SshProcess], tmp_path: Path
    ) -> None:
        said = tmp_path / "said"
        process = start(f"sh -c 'cat; echo ended by itself >{said}'")
        process.stop()
        assert eventually(said.exists)

    @pytest.mark.usefixtures("quick_stop")
    def test_stop_ends_what_does_not_listen_by_its_pid(
        self, start: Callable[[str], SshProcess]
    ) -> None:
        process = start("sleep 600")
        assert process._pid is not None
        assert alive(process._pid)
        process.stop()
        process.stop()
        assert eventually(lambda: process._pid is not None and not alive(process._pid))

    @pytest.mark.usefixtures("quick_stop")
    def test_a_job_ends_with_its_context_even_in_an_error(
        self, start: Callable[[str], SshProcess]
    ) -> None:
        process = start("sleep 600")
        with pytest.raises(KeyboardInterrupt), Job("a job", process):
            raise KeyboardInterrupt
        assert eventually(lambda: process._pid is not None and not alive(process._pid))

    @pytest.mark.parametrize("said", ["not json", '{"event": "other"}', "[]"])
    def test_a_job_that_says_something_else_failed(
        self, start: Callable[[str], SshProcess], said: str
    ) -> None:
        with Job("a job", start("cat")) as job:
            job.send(said)
            with pytest.raises(JobFailed, match="expected the event 'ready'"):
                job.expect("ready", 5)
