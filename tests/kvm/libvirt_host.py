"""A KVM host to the publisher: libvirt's own test driver, commanded by standard input.

It is a program for Debian's Python, which alone sees Debian's libvirt bindings.  The publisher is
run as it is, by its main(), with a listening socket handed over as systemd does it.  The test
driver's domains live in this process.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any, TextIO

import libvirt

DOMAIN = (
    "<domain type='test'><name>{}</name><memory>8192</memory><os><type>hvm</type></os></domain>"
)


def obey(publisher: Any, host: Any, command: str, *words: str) -> None:
    if command == "create":
        host.createXML(DOMAIN.format(words[0]))
    elif command == "storm":
        for number in range(int(words[0])):
            domain = host.createXML(DOMAIN.format(f"storm{number}"))
            if number % 3 == 0:
                domain.suspend()
            domain.destroy()
    elif command == "heartbeat":
        publisher.HEARTBEAT_SECONDS = float(words[0])
    elif command == "lose":
        fail(libvirt.virConnect, "listAllDomains", float(words[0]))
    else:
        getattr(host.lookupByName(words[0]), command)()


def fail(owner: Any, name: str, seconds: float) -> None:
    """libvirt answers nothing but errors for so long."""
    work = getattr(owner, name)

    def refuse(*_: Any) -> None:
        raise libvirt.libvirtError("lost on the way")

    setattr(owner, name, refuse)
    threading.Timer(seconds, setattr, (owner, name, work)).start()


def commands(publisher: Any, answers: TextIO) -> None:
    host = libvirt.open("test:///default")
    for line in sys.stdin:
        obey(publisher, host, *line.split())
        print("done", file=answers, flush=True)


def load(path: str) -> Any:
    loader = SourceFileLoader("publisher", path)
    spec = spec_from_loader("publisher", loader)
    assert spec is not None
    sys.modules["publisher"] = publisher = module_from_spec(spec)
    sys.dont_write_bytecode = True
    loader.exec_module(publisher)
    return publisher


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("listener", type=int)
    parser.add_argument("--heartbeat", type=float, help="seconds")
    parser.add_argument("--deaf", action="store_true", help="libvirt tells no events")
    parser.add_argument("--uri", default="test:///default")
    options = parser.parse_args()
    publisher = load(options.program)
    publisher.HEARTBEAT_SECONDS = options.heartbeat or publisher.HEARTBEAT_SECONDS
    if options.deaf:
        libvirt.virConnect.domainEventRegisterAny = lambda *_: 1
    os.dup2(options.listener, publisher.FIRST_SOCKET, inheritable=False)
    os.environ["LISTEN_PID"] = str(os.getpid())
    threading.Thread(target=commands, args=(publisher, sys.stdout), daemon=True).start()
    sys.stdout = sys.stderr  # for the log, which nobody reads while there is nothing wrong
    sys.argv = [options.program, "--uri", options.uri]
    publisher.main()


main()
