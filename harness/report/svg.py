"""A diagram as SVG that is a part of a page: its colours, its fonts, its names for those who
cannot see it."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from matplotlib import rc_context

from harness.report.plot import canvas
from harness.report.series import Panel
from harness.report.style import COLOURS

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

ROLES = {colour.light.lower(): f"var(--{role})" for role, colour in COLOURS.items()}
"""What matplotlib wrote, and what the page knows it by: it changes with the colour scheme."""


def panel_svg(panel: Panel, description: str) -> str:
    """Draw a diagram; text stays text, and its fonts are the page's."""
    file = io.StringIO()
    # A salt of its own makes the same diagram the same text, whenever it is drawn.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": panel.id}), canvas(panel) as figure:
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _embedded(file.getvalue(), panel, description)


def _embedded(text: str, panel: Panel, description: str) -> str:
    root = ElementTree.fromstring(text)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    _make_names_unique(root, panel.id)
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _recoloured(element.attrib["style"]))
    names = {"title": panel.title, "desc": description}
    for position, (tag, content) in enumerate(names.items()):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{panel.id}-{tag}"})
        element.text = content
        root.insert(position, element)
    root.set("id", panel.id)
    root.set("role", "img")
    root.set("aria-labelledby", f"{panel.id}-title {panel.id}-desc")
    return ElementTree.tostring(root, encoding="unicode")


def _make_names_unique(root: ElementTree.Element, prefix: str) -> None:
    """Several drawings share a page, and matplotlib names the parts of each alike."""
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, f"{prefix}-{value}")
            elif name == f"{{{XLINK}}}href":
                element.set(name, value.replace("#", f"#{prefix}-"))
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{prefix}-"))


def _recoloured(style: str) -> str:
    return re.sub(r"#[0-9a-fA-F]{6}", lambda found: ROLES.get(found[0].lower(), found[0]), style)
