"""What all figures share: size, palette, safe text, and the way to PNG bytes.

matplotlib is imported inside functions (it costs two seconds) and only its object-oriented API is used: pyplot keeps
global state that threads would share.
"""

import base64
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

DPI = 110
WIDTH_PIXELS = 900
LARGE_PNG_BYTES = 100_000

INK, MUTED, GRID, PAPER = "#1f2933", "#667280", "#e3e7ec", "#ffffff"
# Okabe and Ito's palette: told apart by people with any color vision.
BLUE, VERMILION, ORANGE, GRAY, LIGHT_GRAY = "#0072b2", "#d55e00", "#e69f00", "#8a94a0", "#cbd2d9"

TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 9.5, 8.5, 7.5


def new_figure(*, height_pixels: int, width_pixels: int = WIDTH_PIXELS) -> Any:
    """Return an empty figure of that size whose layout makes room for its labels."""
    from matplotlib.figure import Figure

    size = (width_pixels / DPI, height_pixels / DPI)
    return Figure(figsize=size, dpi=DPI, facecolor=PAPER, layout="constrained")


def as_png(figure: Any) -> bytes:
    """Draw the figure; a large one gets a small palette, which makes it a third of the size.

    Metadata go into Dagster's event log, so a picture should stay under about 150 kB.
    """
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    if drawn.tell() <= LARGE_PNG_BYTES:
        return drawn.getvalue()
    small = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def as_markdown_image(png: bytes, alt: str) -> str:
    r"""Return a Markdown image with the picture inside it, the only kind of image that Dagster's metadata shows.

    Args:
        png: The picture.
        alt: What it shows, for people who do not see it.

    Example:
        >>> as_markdown_image(b"PNG", "drift [week 7]")
        '![drift \\[week 7\\]](data:image/png;base64,UE5H)'
    """
    escaped = re.sub(r"([\\\[\]`<>*_])", r"\\\1", " ".join(alt.split()))
    return f"![{escaped}](data:image/png;base64,{base64.b64encode(png).decode()})"


def nothing_to_show(message: str) -> bytes:
    """Return a low picture that says why there is no plot."""
    figure = new_figure(height_pixels=120)
    figure.text(0.5, 0.5, legible(message, 100), ha="center", va="center", color=MUTED, fontsize=LABEL_SIZE)
    return as_png(figure)


def dress(axes: Any, *, title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Give axes the common look: title at the left, no box, a faint grid along one axis."""
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK)
    axes.set_xlabel(x, fontsize=LABEL_SIZE, color=MUTED)
    axes.set_ylabel(y, fontsize=LABEL_SIZE, color=MUTED)
    axes.tick_params(labelsize=SMALL_SIZE, colors=MUTED, labelcolor=INK, length=0)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GRID)
    if grid:
        axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)


def legend(axes: Any, **options: Any) -> None:
    """Add a frameless legend above the plot, at the right."""
    placed = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 6, "borderaxespad": 0.2} | options
    axes.legend(frameon=False, fontsize=SMALL_SIZE, labelcolor=INK, handlelength=1.6, columnspacing=1.4, **placed)


def legible(text: object, length: int = 28) -> str:
    """Make any text safe to draw: one line, short, no formulas, a box for what the font lacks."""
    known = _characters_of_the_font()
    line = "".join(char if ord(char) in known else "\u25a1" for char in " ".join(str(text).split()))
    if len(line) > length:
        line = line[: length - 1].rstrip() + "…"
    return line.replace("$", r"\$")


@cache
def _characters_of_the_font() -> frozenset[int]:
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Return the values with NaN for what is missing or not finite."""
    array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    array[~np.isfinite(array)] = np.nan
    return array


def moments(values: Sequence[datetime | str]) -> list[datetime]:
    """Return times in UTC; texts are ISO 8601, and times without a zone are taken as UTC."""
    parsed = [datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
    return [value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC) for value in parsed]


def date_axis(axes: Any) -> None:
    """Label the horizontal axis with as few dates as fit."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=10, tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, offset_formats=["", *["%Y"] * 5]))
    axes.xaxis.get_offset_text().set(fontsize=SMALL_SIZE, color=MUTED)


def percent_axis(axis: Any, *, n_ticks: int) -> None:
    """Label shares, 0 to 1, in percent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
    axis.set_major_locator(MaxNLocator(n_ticks, min_n_ticks=2))
