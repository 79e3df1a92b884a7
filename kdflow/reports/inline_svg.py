"""A figure as SVG within a page: in the page's own colours and letters, light or dark, and under names of its own."""

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    pass

LIGHT, DARK = "#ffffff", "#15181d"
"""The paper of pages."""
INK, PAPER = "#000000", "#ffffff"
CONTRAST = {LIGHT: 3.2, DARK: 5.0}
"""Of lines and dots against the paper; WCAG asks for 3, and translucent dots fade more on black."""
_COLOUR, _FAMILY, _DECIMALS = (
    re.compile(r"#[0-9a-f]{6}\b"),
    re.compile(r"font-family: [^;]+; ?"),
    re.compile(r"-?\d+\.\d{3,}"),
)
_XLINK = "{http://www.w3.org/1999/xlink}href"


def inlined(drawn: bytes, *, name: str, title: str) -> str:
    """Returns a figure as an element of HTML.

    Colours are custom properties with those of the figure as fallback (see `palette`); black is the colour of the
    text around it, white its paper.

    Args:
        drawn: The figure as SVG (see `kdflow.reports.drawing.svg`).
        name: Which no other figure of the page has.
        title: What a reader hears who cannot see it.
    """
    root = ElementTree.fromstring(drawn)
    used = _references(root)
    width = float(root.get("width", "0pt").removesuffix("pt")) * 4 / 3
    root[:] = [child for child in root if _tag(child) != "metadata"]
    for element in list(root.iter()):
        element.tag = _tag(element)
        if _XLINK in element.attrib:
            element.set("href", element.attrib.pop(_XLINK))
        _rename(element, used, name)
        _shorten(element)
    for defs in root.findall("defs"):
        for style in defs.findall("style"):
            defs.remove(style)
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-labelledby": f"{name}-title"}
    root.set("style", f"max-width: {width:.0f}px")
    heading = ElementTree.Element("title", {"id": f"{name}-title"})
    heading.text = title
    root.insert(0, heading)
    return ElementTree.tostring(root, encoding="unicode")


def palette(text: str, *, paper: str) -> dict[str, str]:
    """Returns each custom property for a colour that a page uses, with a colour that is seen on its paper.

    Args:
        text: Of the page.
        paper: Its colour.
    """
    found = sorted(set(re.findall(r"var\(--c([0-9a-f]{6}),", text)))
    return {f"--c{code}": seen_on(f"#{code}", paper) for code in found}


def seen_on(colour: str, paper: str) -> str:
    """Returns a colour, mixed with black or white until it is seen on a paper. What is meant to be faint stays so.

    Args:
        colour: Such as "#ddaa33".
        paper: The same.
    """
    if len({colour[1:3], colour[3:5], colour[5:7]}) == 1:  # greys: what stands back on white does so on black
        return colour if _luminance(paper) > 0.5 else _mirrored(colour)
    end = 0 if _luminance(paper) > 0.5 else 255
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    for step in range(21):
        mixed = "#" + "".join(f"{round(part + (end - part) * step / 20):02x}" for part in parts)
        if contrast(mixed, paper) >= CONTRAST[paper]:
            return mixed
    return mixed


def contrast(one: str, other: str) -> float:
    """Returns the contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _mirrored(grey: str) -> str:
    light, dark = int(grey[1:3], 16) / 255, int(DARK[1:3], 16) / 255
    part = round(255 * (1 - light * (1 - dark)))
    return f"#{part:02x}{part:02x}{part:02x}"


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _shorten(element: ElementTree.Element) -> None:
    """Takes from an element what a page has no use for, and its colours and letters from the page."""
    for key, value in element.attrib.items():
        if key in ("d", "x", "y", "transform"):
            element.set(key, " ".join(_DECIMALS.sub(_rounded, value).split()))
    if re.fullmatch(r"rotate\(-?0 .*\)", element.get("transform", "")):
        del element.attrib["transform"]
    if "style" in element.attrib:
        element.set("style", _COLOUR.sub(_property, _FAMILY.sub("", element.attrib["style"])))
    if element.tag != "text" and not (element.text or "").strip():
        element.text = None
    element.tail = None


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _property(match: re.Match[str]) -> str:
    colour = match[0]
    return {INK: "currentColor", PAPER: "var(--paper, #fff)"}.get(colour, f"var(--c{colour[1:]}, {colour})")


def _references(root: ElementTree.Element) -> set[str]:
    """The names within a figure that something in it points to."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    return {name for value in values for name in re.findall(r"^#(.+)$|url\(#([^)]+)\)", value) for name in name if name}


def _rename(element: ElementTree.Element, used: set[str], name: str) -> None:
    if "id" in element.attrib:
        own = element.attrib.pop("id")
        if own in used:
            element.set("id", f"{name}-{own}")
    for key, value in list(element.attrib.items()):
        if key == "href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
