"""Write docs/roles/ROLE.md for every role, from its meta/argument_specs.yml and its defaults.

Run by `make docs`. A test checks that what lies there is current.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTICE = "<!-- Written by `make docs` from the role's own files; change those. -->"


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def code(value: Any) -> str:
    """A value as it would stand in YAML, on one line of a table."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        text = " ".join(value.split())
        return f"`{text}`".replace("|", "\\|") if len(text) <= 80 else "computed from the inventory"
    if isinstance(value, list) and len(str(value)) > 80:
        return "see [defaults](../../roles/{role}/defaults/main.yml)"
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    return f"`{text.removesuffix('...').strip()}`"


def row(name: str, option: dict[str, Any], defaults: dict[str, Any], role: str) -> str:
    """One line of the table of options."""
    kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
    if option.get("required"):
        default = "required"
    elif name in defaults:
        default = code(defaults[name]).replace("{role}", role)
    else:
        default = code(option.get("default"))
    choices = ", ".join(f"`{choice}`" for choice in option.get("choices", []))
    text = option["description"] + (f" One of {choices}." if choices else "")
    return f"| `{name}` | {kind} | {default} | {text} |"


def page(role: Path) -> str:
    """The page of one role."""
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    defaults = load(role / "defaults/main.yml")
    lines = [NOTICE, "", f"# {role.name}", ""]
    for entry, spec in specs.items():
        use = f"`tasks_from: {entry}`: " if entry != "main" else ""
        lines += [f"## {entry}", "", f"{use}{spec['short_description']}.", ""]
        for paragraph in spec.get("description", []):
            lines += [paragraph, ""]
        if not spec["options"]:
            continue
        lines += ["| variable | type | default | |", "|---|---|---|---|"]
        for name, option in spec["options"].items():
            lines.append(row(name, option, defaults, role.name))
            for part, inner in option.get("options", {}).items():
                lines.append(row(f"{name}[].{part}", inner, {}, role.name))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    roles = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    lines = [NOTICE, "", "# The roles", "", "| role | |", "|---|---|"]
    for role in roles:
        specs = load(role / "meta/argument_specs.yml")["argument_specs"]
        entry = specs.get("main") or next(iter(specs.values()))
        lines.append(f"| [{role.name}]({role.name}.md) | {entry['short_description']} |")
    written = {f"{role.name}.md": page(role) for role in roles}
    return {"README.md": "\n".join(lines) + "\n", **written}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs/roles")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for stale in set(folder.glob("*.md")) - {folder / name for name in wanted}:
        stale.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
