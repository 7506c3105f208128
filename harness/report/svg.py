"""A diagram as SVG that is a part of a page: its colours, its fonts, its names for those who
cannot see it."""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

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
    return drawing_svg(canvas(panel), panel.id, panel.title, description)


def drawing_svg(
    drawing: AbstractContextManager[Canvas], name: str, title: str, description: str
) -> str:
    """Return a drawing as a part of a page, where its name occurs once."""
    file = io.StringIO()
    # A salt of its own makes the same diagram the same text, whenever it is drawn.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), drawing as figure:
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    _make_names_unique(root, name)
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _recoloured(element.attrib["style"]))
    names = {"title": title, "desc": description}
    for position, (tag, content) in enumerate(names.items()):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = content
        root.insert(position, element)
    root.set("id", name)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
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
