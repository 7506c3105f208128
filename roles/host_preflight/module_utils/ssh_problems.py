"""What of a server's sshd stands between the lab and its guests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"

SESSIONS = 4
"""At once, over one connection: the harness samples, commands, copies; and one to spare."""


def _may_open(permitted: list[str], addresses: Iterable[str]) -> bool:
    """Whether PermitOpen lets SSH be forwarded to all guests."""
    if permitted == ["any"]:
        return True
    places = [place.rpartition(":") for place in permitted]
    to_ssh = {host for host, _, port in places if port in {"22", "*"}}
    wanted = set(addresses)
    return "*" in to_ssh or (bool(wanted) and wanted <= to_ssh)


def ssh(sshd: dict[str, str], guests: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Settings that hardened servers have; what is not known of the server is as usual."""
    # Guests are reached through dom0 (ProxyJump).
    if sshd.get("allowtcpforwarding", "yes") not in {"yes", "local"} or (
        sshd.get("disableforwarding") == "yes"
        or not _may_open(sshd.get("permitopen", "any").split(), guests)
    ):
        yield (
            "ssh-forwarding",
            "The server's sshd forwards nothing, and guests are reached through it: set "
            "AllowTcpForwarding local (and DisableForwarding no, PermitOpen any) in its "
            "sshd_config, at least for who logs in (Match User root).",
        )
    if HOST_KEY not in sshd.get("hostkey", HOST_KEY).split() or (
        "ssh-ed25519" not in sshd.get("hostkeyalgorithms", "ssh-ed25519").split(",")
    ):
        yield (
            "ssh-host-key",
            f"The server's sshd does not show the host key {HOST_KEY}, which the lab knows it by: "
            f"set HostKey {HOST_KEY} (`ssh-keygen -A` makes it), and have ssh-ed25519 among "
            "HostKeyAlgorithms.",
        )
    if "hostkey" in sshd and "sftp" not in sshd.get("subsystem", ""):
        yield (
            "ssh-sftp",
            "The server's sshd has no SFTP, by which the harness brings its programs: set "
            "Subsystem sftp internal-sftp in its sshd_config.",
        )
    if int(sshd.get("maxsessions", SESSIONS)) < SESSIONS:
        yield (
            "ssh-sessions",
            f"The server's sshd has MaxSessions {sshd['maxsessions']}, and the harness does "
            f"{SESSIONS} things at once: set MaxSessions {SESSIONS} or more (10 is usual).",
        )
