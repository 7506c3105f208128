"""Stand-ins for what the count of running VMs comes through: xenstored, behind Linux' device."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading

HEADER = struct.Struct("=IIII")
READ, WATCH, EVENT, ERROR = 2, 4, 15, 16
DEVICE = "/test/xenbus"


class Xenstored:
    """Answers as the xenbus device of a Linux guest does: relative names, one watch per folder."""

    def __init__(self, **nodes: str) -> None:
        self.nodes = {f"gpusplit/{name}": text for name, text in nodes.items()}
        self.asked: list[str] = []
        self._connections: list[socket.socket] = []
        self._watching: list[socket.socket] = []
        self._lock = threading.Lock()

    def open(self) -> int:
        """A new connection, as a descriptor."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._connections.append(ours)
        threading.Thread(target=self._serve, args=(ours,), daemon=True).start()
        return theirs.detach()

    def write(self, name: str, text: str | None) -> None:
        """Write a node, or remove it; whoever watches is told."""
        with self._lock:
            if text is None:
                self.nodes.pop(f"gpusplit/{name}", None)
            else:
                self.nodes[f"gpusplit/{name}"] = text
            for connection in self._watching:
                self._fire(connection, f"gpusplit/{name}")

    def close(self) -> None:
        """Drop every connection; a new one may be opened afterwards."""
        while self._connections:
            connection = self._connections.pop()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._watching.clear()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while head := connection.recv(HEADER.size, socket.MSG_WAITALL):
                kind, request, transaction, length = HEADER.unpack(head)
                payload = connection.recv(length, socket.MSG_WAITALL).split(b"\0")
                assert transaction == 0
                with self._lock:
                    self.answer(connection, kind, request, payload[0].decode())
        except OSError:
            return

    def answer(self, connection: socket.socket, kind: int, request: int, name: str) -> None:
        if kind == WATCH:
            # The kernel's own answer, which has no request number; a new watch fires once.
            self._fire(connection, name)
            connection.sendall(HEADER.pack(WATCH, 0, 0, 3) + b"OK\0")
            self._watching.append(connection)
            return
        assert kind == READ
        self.asked.append(name)
        if name in self.nodes:
            value = self.nodes[name].encode()
            connection.sendall(HEADER.pack(READ, request, 0, len(value)) + value)
        else:
            connection.sendall(HEADER.pack(ERROR, request, 0, 7) + b"ENOENT\0")

    @staticmethod
    def _fire(connection: socket.socket, name: str) -> None:
        body = f"{name}\0gpusplit\0".encode()
        connection.sendall(HEADER.pack(EVENT, 0, 0, len(body)) + body)


def opening(store: Xenstored):  # type: ignore[no-untyped-def]
    """os.open, but for the device, which leads to *store*."""
    real = os.open

    def fake(path: str, flags: int, mode: int = 0o777) -> int:
        return store.open() if path == DEVICE else real(path, flags, mode)

    return fake
