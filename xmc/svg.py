"""A drawing as SVG: boxes, words, lines; numbers are rounded, so equal drawings are equal text."""

from __future__ import annotations

from html import escape
from pathlib import Path

from .errors import printable

INK, GREY, PALE, PAPER = "#22272b", "#8a949b", "#eceff1", "#ffffff"
BLUE, RED, YELLOW, GREEN = "#1f6f8b", "#c8553d", "#ffe9ad", "#4d7d4c"
FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
NOT_XML = str.maketrans("\ufffe\uffff", "\ufffd\ufffd")
MONO = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Drawing:
    """What is drawn later lies above; y grows downwards.

    paper: the colour below all; none where the drawing stands in a page that has its own.
    title: what it shows, for those who hear it.
    """

    def __init__(self, width: int, height: int, paper: str = PAPER, title: str = ""):
        self.width, self.height = width, height
        self.parts: list[str] = []
        if title:
            self._add("title", _escaped(title))
        if paper != "none":
            self.box(0, 0, width, height, fill=paper, stroke="none")

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = PAPER,
        stroke: str = GREY,
        radius: float = 0,
    ) -> None:
        """A rectangle whose upper left corner is (x, y)."""
        self._add("rect", x=x, y=y, width=width, height=height, rx=radius, fill=fill, stroke=stroke)

    def line(
        self, *points: tuple[float, float], stroke: str = GREY, width: float = 1, dashes: str = ""
    ) -> None:
        """A line through the points."""
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        look = {"stroke": stroke, "stroke_width": width, "stroke_dasharray": dashes}
        self._add("polyline", **{"points": path, "fill": "none", **look})

    def arrow(self, *points: tuple[float, float], stroke: str = GREY) -> None:
        """A line with a head at its last point, which it reaches along an axis."""
        self.line(*points, stroke=stroke)
        (a, b), (x, y) = points[-2:]
        dx, dy = (x > a) - (x < a), (y > b) - (y < b)
        sides = ((x - 6 * dx - 3.5 * dy, y - 6 * dy - 3.5 * dx), (x, y))
        other = (x - 6 * dx + 3.5 * dy, y - 6 * dy + 3.5 * dx)
        path = " ".join(f"{_number(u)},{_number(v)}" for u, v in (*sides, other))
        self._add("polygon", points=path, fill=stroke)

    def dot(self, x: float, y: float, radius: float, fill: str = INK) -> None:
        self._add("circle", cx=x, cy=y, r=radius, fill=fill)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 12,
        fill: str = INK,
        anchor: str = "start",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """A line of words; (x, y) is where its baseline starts, or its middle or its end."""
        look = {"font_size": size, "fill": fill, "text_anchor": anchor if anchor != "start" else ""}
        look |= {"font_weight": "bold" if bold else "", "font_family": MONO if mono else ""}
        self._add("text", _escaped(words), **{"x": x, "y": y, **look})

    def save(self, path: Path) -> None:
        path.write_text(str(self), encoding="utf-8")

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="{FONT}">'
        )
        return "\n".join([head, *self.parts, "</svg>", ""])

    def _add(self, tag: str, content: str = "", /, **attributes: object) -> None:
        """An element; attributes that are empty or 0 where 0 means nothing are left out."""
        given = {name: value for name, value in attributes.items() if value not in ("", None)}
        if given.get("rx") == 0:
            del given["rx"]
        words = (f'{name.replace("_", "-")}="{_number(value)}"' for name, value in given.items())
        end = f">{content}</{tag}>" if content else "/>"
        self.parts.append(f"<{tag} {' '.join(words)}{end}")


def _escaped(words: str) -> str:
    """The words as XML holds them, and without what would turn the direction of others."""
    return escape(printable(words).translate(NOT_XML), quote=False)


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
