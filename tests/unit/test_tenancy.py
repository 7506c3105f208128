"""The source of the VM count: named by an option, or found."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from gpusplit import tenancy, virtio, xenstore
from gpusplit.config import Config


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let only these devices exist."""

    def only(*paths: str) -> None:
        devices = (*xenstore.DEVICES, virtio.PORT)
        real = os.path.exists
        monkeypatch.setattr(
            os.path, "exists", lambda path: path in paths if path in devices else real(path)
        )

    return only


@pytest.mark.parametrize("option", ["", "static", "static:", "static:0", "static:x", "kvm9"])
def test_an_option_that_names_no_source_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="vms"):
        tenancy.from_option(option)


def test_a_static_number_is_the_count() -> None:
    assert tenancy.from_option("static:3").vm_count() == 3


def test_on_xen_the_store_is_found(present: Callable[..., None]) -> None:
    present("/dev/xen/xenbus")
    assert "xenstore" in tenancy.from_option("auto").describe()
    present("/proc/xen/xenbus")
    assert "xenstore" in tenancy.from_option("auto").describe()


def test_on_kvm_the_port_is_found(present: Callable[..., None]) -> None:
    present(virtio.PORT)
    assert "virtio-serial" in tenancy.from_option("auto").describe()


def test_where_nothing_is_found_the_count_is_unknown_without_a_warning(
    present: Callable[..., None],
) -> None:
    present()
    source = tenancy.from_option("auto")
    assert source.vm_count() is None
    assert "none found" in source.describe()


def test_a_process_has_one_subscription_of_a_kind() -> None:
    """A virtio-serial port can be opened once; several askers must share it."""
    assert tenancy.from_option("kvm") is tenancy.from_option("kvm")
    assert tenancy.from_option("xenstore") is not tenancy.from_option("kvm")


def test_naming_a_source_opens_nothing() -> None:
    before = threading.active_count()
    Config(vms="xenstore")
    Config(vms="kvm")
    assert threading.active_count() == before
