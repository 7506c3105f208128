"""The lab: its state on disk, Xen's output, the sampler, deployment, logs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import FakeHost, World

from harness.errors import LabNotUp, LabUnsuitable
from harness.lab.deploy import deploy
from harness.lab.inventory import measuring_alone, read_inventory
from harness.lab.logs import collect_logs
from harness.lab.opening import lab_folder_of
from harness.lab.xen import SAMPLER, Domain, Xen, parse_xl_info, parse_xl_list

FACTS: dict[str, Any] = {
    "lab": "dryrun",
    "clock": "deterministic",
    "cpu_vms": 2,
    "gpu_vm": "gpu1",
    "host": "xen1",
    "emulator_pid": os.getpid(),
}


def test_two_measurements_do_not_run_in_one_lab(tmp_path: Path) -> None:
    with (
        measuring_alone(tmp_path),
        pytest.raises(LabUnsuitable, match="Another measurement runs"),
        measuring_alone(tmp_path),
    ):
        pass
    with measuring_alone(tmp_path):
        pass  # the first one has ended


class TestLabFolder:
    def test_is_the_inventorys_lab_dir(self) -> None:
        root = Path(__file__).parents[2]
        assert lab_folder_of(root / "inventory" / "dryrun") == root / ".lab"

    def test_of_no_inventory(self, tmp_path: Path) -> None:
        with pytest.raises(LabNotUp, match="no inventory"):
            lab_folder_of(tmp_path / "nowhere")

    def test_of_an_inventory_that_says_none(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: }}\n")
        with pytest.raises(LabNotUp, match="could not tell the lab_dir"):
            lab_folder_of(tmp_path)


class TestInventory:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "lab.json").write_text(json.dumps(FACTS))
        (tmp_path / "ssh_config").touch()
        (tmp_path / "known_hosts").touch()
        return tmp_path

    def change(self, folder: Path, **facts: Any) -> None:
        (folder / "lab.json").write_text(json.dumps(FACTS | facts))

    def test_is_read(self, folder: Path) -> None:
        inventory = read_inventory(folder)
        assert inventory.vms == ("gpu1", "cpu1", "cpu2")
        assert (inventory.lab, inventory.clock) == ("dryrun", "deterministic")

    def test_no_lab(self, tmp_path: Path) -> None:
        with pytest.raises(LabNotUp, match="make lab"):
            read_inventory(tmp_path)

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"lab": "dryrun"}', "3"])
    def test_half_a_lab(self, folder: Path, text: str) -> None:
        (folder / "lab.json").write_text(text)
        with pytest.raises(LabNotUp, match="make lab-down"):
            read_inventory(folder)

    @pytest.mark.parametrize("name", ["ssh_config", "known_hosts"])
    def test_a_missing_file(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        with pytest.raises(LabNotUp, match=name):
            read_inventory(folder)

    def test_a_dead_emulator(self, folder: Path) -> None:
        with subprocess.Popen(["true"]) as emulator:
            # Not waited for yet: it may be a zombie, which is as dead.
            time.sleep(0.2)
            self.change(folder, emulator_pid=emulator.pid)
            with pytest.raises(LabNotUp, match="dead"):
                read_inventory(folder)
        with pytest.raises(LabNotUp, match="dead"):
            read_inventory(folder)

    def test_a_real_host_has_no_emulator(self, folder: Path) -> None:
        self.change(folder, emulator_pid=None, lab="bench")
        assert read_inventory(folder).emulator_pid is None


XL_LIST = """\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  2048     1     r-----      33.5
gpu1                                         1  1024     1     -b----       9.3
cpu1                                         2   384     1     --p---       7.9
cpu1 old                                     5   384     1     ---s--       0.0
(null)                                       4     0     1     --p--d     102.4
"""


class TestXen:
    def test_xl_list(self) -> None:
        assert parse_xl_list(XL_LIST) == [
            Domain("Domain-0", 0, paused=False),
            Domain("gpu1", 1, paused=False),
            Domain("cpu1", 2, paused=True),
            Domain("cpu1 old", 5, paused=False),
            Domain("(null)", 4, paused=True),
        ]

    def test_xl_info(self) -> None:
        info = parse_xl_info("release                : 6.1.0\nxen_caps : a:b c\n\nnonsense\n")
        assert info == {"release": "6.1.0", "xen_caps": "a:b c"}

    def test_only_what_must_change_is_changed(self) -> None:
        world = World(cpu_vms=2)
        xen = Xen(FakeHost("xen1", world))
        for wanted in ({"gpu1", "cpu1"}, {"gpu1", "cpu1"}, {"cpu1", "cpu2"}):
            xen.run_only(wanted, among=world.vms)
            assert {name for name, vm in world.vms.items() if not vm.paused} == wanted
        changes = [command for _, command in world.commands if command != "xl list"]
        assert changes == ["xl pause cpu2", "xl pause gpu1 && xl unpause cpu2"]

    def test_a_vm_that_is_not_there(self) -> None:
        xen = Xen(FakeHost("xen1", World(cpu_vms=2)))
        with pytest.raises(LabUnsuitable, match="cpu3"):
            xen.run_only({"cpu3"}, among={"cpu3"})
        # It does not run, as is wanted.
        assert xen.run_only({"cpu1"}, among={"cpu1", "cpu3"}) == {"cpu1": 2}

    def test_a_vm_comes_and_goes(self) -> None:
        world = World(cpu_vms=2)
        xen = Xen(FakeHost("xen1", world))
        xen.destroy("cpu2")
        assert "cpu2" not in xen.domains()
        xen.create("cpu2")
        xen.create("cpu2")  # it is there: nothing to do
        assert xen.domains()["cpu2"].domid == 4


Talk = subprocess.Popen[str]


class TestSampler:
    """The program that runs in dom0, with a stand-in for Xen's module."""

    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Iterator[Talk]:
        package = tmp_path / "xen" / "lowlevel"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").touch()
        (package / "__init__.py").touch()
        (package / "xc.py").write_text(
            "import time\n"
            "class xc:\n"
            "    def domain_getinfo(self):\n"
            "        return [{'domid': 3, 'cpu_time': time.monotonic_ns(), 'paused': 0}]\n"
        )
        # Alone in a folder, as in dom0: Python looks for modules beside the program.
        program = shutil.copy(SAMPLER, tmp_path / "xen" / "xen_sampler.py")
        with subprocess.Popen(
            [sys.executable, program, "--period", "0.02"],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as talk:
            assert self.hear(talk) == {"event": "ready"}
            yield talk
            talk.kill()

    def hear(self, talk: Talk) -> dict[str, Any]:
        assert talk.stdout
        event: dict[str, Any] = json.loads(talk.stdout.readline())
        return event

    def ask(self, talk: Talk, command: str) -> dict[str, Any]:
        assert talk.stdin
        talk.stdin.write(f"{command}\n")
        return self.hear(talk)

    def test_tells_the_time(self, sampler: Talk) -> None:
        assert self.ask(sampler, "time")["time"] == pytest.approx(time.time(), abs=1.0)

    def test_waits_for_a_moment(self, sampler: Talk) -> None:
        self.ask(sampler, "begin")
        moment = time.time() + 0.2
        assert self.ask(sampler, f"until {moment!r}")["time"] >= moment
        assert time.time() >= moment

    def test_reports_samples_in_order_each_time(self, sampler: Talk) -> None:
        for _ in range(2):
            began = time.time()
            assert self.ask(sampler, "begin") == {"event": "begun"}
            self.ask(sampler, f"until {time.time() + 0.2!r}")
            samples = self.ask(sampler, "end")["samples"]
            assert len(samples) > 2
            assert samples == sorted(samples)
            first, last = samples[0], samples[-1]
            assert began <= first[0]
            # The stand-in's domain uses a whole CPU.
            used = (last[1]["3"] - first[1]["3"]) / 1e9
            assert used == pytest.approx(last[0] - first[0], rel=0.5)

    def test_a_lost_connection_ends_it(self, sampler: Talk) -> None:
        assert sampler.stdin
        sampler.stdin.close()
        assert sampler.wait(5) == 0


class TestDeploy:
    def test_once_per_content(self, tmp_path: Path) -> None:
        world = World()
        host = FakeHost("cpu1", world)
        program = tmp_path / "program"
        program.write_text("one")
        first = deploy(host, program)
        world.files.clear()
        world.files.add(("cpu1", first))
        assert deploy(host, program) == first
        program.write_text("two")
        assert deploy(host, program) != first
        assert len(world.files) == 2


class TestLogs:
    @pytest.fixture
    def lab_folder(self, tmp_path: Path) -> Path:
        (tmp_path / "lab" / "run").mkdir(parents=True)
        (tmp_path / "lab" / "run" / "host-console.log").write_text("Xen boots")
        return tmp_path / "lab"

    def test_of_a_lab_that_answers(self, lab_folder: Path, tmp_path: Path) -> None:
        into = tmp_path / "logs"
        assert collect_logs(lab_folder, FakeHost("xen1", World()), into) == []
        assert (into / "host-console.log").read_text() == "Xen boots"
        assert (into / "xl-dmesg.txt").read_text() == "output of xl dmesg\n"
        assert "guest-cpu1.log" in (into / "console-guest-cpu1.log").read_text()

    def test_of_a_dead_lab_are_what_is_at_hand(self, lab_folder: Path, tmp_path: Path) -> None:
        into = tmp_path / "logs"
        missing = collect_logs(lab_folder, FakeHost("xen1", World(unreachable={"xen1"})), into)
        assert missing == ["dom0: xen1 cannot be reached over SSH."]
        assert [path.name for path in into.iterdir()] == ["host-console.log"]

    def test_that_have_no_place_hide_no_other_error(self, lab_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (missing,) = collect_logs(lab_folder, None, tmp_path / "file" / "logs")
        assert "Not a directory" in missing
