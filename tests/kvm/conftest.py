"""The guest of test_real_guest.py boots while the other tests of this folder run."""

from __future__ import annotations

from collections.abc import Iterator

import kvm_host
import pytest
import tiny_guest
from kvm_host import Host
from tiny_guest import Booting, TinyGuest


@pytest.fixture(scope="session", autouse=True)
def booting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Booting | None]:
    wanted = any("guest" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if not wanted or kvm_host.missing() or tiny_guest.missing():
        yield None
        return
    folder = tmp_path_factory.mktemp("guest")
    host = Host(folder)
    guest = TinyGuest(tiny_guest.build(folder), host.path, folder / "console.log")
    host.starts_publisher()
    both = Booting(host, guest)
    yield both
    both.end()
