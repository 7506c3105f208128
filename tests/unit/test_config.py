"""Options: command line, environment and file name the same things, and nonsense is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from gpusplit import Config, ConfigError
from gpusplit.cli import _HELP


def test_environment_names_are_the_options_names() -> None:
    config = Config.from_environment(
        {
            "GPUSPLIT_POLICY": "fixed",
            "GPUSPLIT_GROUPS": "7",
            "GPUSPLIT_ALPHA": "2.5",
            "GPUSPLIT_WAIT": "driver",
            "GPUSPLIT_VMS": "static:3",
            "GPUSPLIT_GROUP_MS": "4",
            "GPUSPLIT_SUMMARY": "1",
            "HOME": "/",
        }
    )
    assert config == Config(
        policy="fixed", groups=7, alpha=2.5, wait="driver", vms="static:3", group_ms=4, summary=True
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gpusplit.toml"
    file.write_text('policy = "time"\ngroup_ms = 3\ngroups = 4\nsummary = true\n')
    config = Config.from_environment({"GPUSPLIT_CONFIG": str(file), "GPUSPLIT_GROUPS": "9"})
    assert (config.policy, config.group_ms, config.groups) == ("time", 3.0, 9)
    assert config.summary


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLICY", "sometimes"),
        ("GROUPS", "0"),
        ("GROUPS", "many"),
        ("GROUPS", "1.5"),
        ("ALPHA", "0"),
        ("ALPHA", "nan"),
        ("ALPHA", "inf"),
        ("GROUP_MS", "-1"),
        ("WAIT", "spin"),
        ("VMS", "static:0"),
        ("VMS", "kvm!"),
        ("QUEUES", "5"),
        ("IN_FLIGHT", "-1"),
        ("CORES", "-1"),
        ("SUMMARY", "perhaps"),
        ("COLOUR", "red"),
        ("CONFIG", "/nowhere/at/all.toml"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=r"(?i)" + (name if name != "CONFIG" else "nowhere")):
        Config.from_environment({f"GPUSPLIT_{name}": value})


@pytest.mark.parametrize("text", ["policy = 3", "groups = 1.5", "groups = true", "[x]\ny = 1", "="])
def test_a_file_that_makes_no_sense_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        Config.from_environment({"GPUSPLIT_CONFIG": str(file)})


def test_what_is_told_to_the_library_is_what_the_environment_would_say() -> None:
    config = Config(policy="time", group_ms=0.5, queues=3, vms="static:2", summary=True)
    assert Config.from_environment(config.environment()) == config
    assert set(config.environment()) == {f"GPUSPLIT_{f.name.upper()}" for f in fields(Config)}


def test_every_option_is_documented_for_the_command_line() -> None:
    assert set(_HELP) == {field.name for field in fields(Config)}
