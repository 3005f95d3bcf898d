"""A slider over pictures that were drawn beforehand: it needs no server, kernel or network.

Each value of the slider has its own picture and its own alternative text. The pictures travel
inside the page, so a slider works in the built book, in Jupyter and on Colab alike; without
JavaScript the first one shows. With a button that plays them it is a film, and unlike the player
of Matplotlib's animations it asks no other host for the signs on its buttons.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from narrowlib._checks import check_function, check_int, check_number, fail, shown
from narrowlib._lists import check_list
from narrowlib._runs import runs

DPI = 144  # of the files: sharp on screens of high resolution
COLOURS = 64  # of a picture's palette
PAGE = """<div class="nl-slider" id="{id}" style="text-align: center">
<label style="display: block">{label}: <output>{first}</output></label>
<input type="range" min="0" max="{last}" value="0" step="1" style="width: min(28em, 90%)"
 aria-label="{label}" aria-valuetext="{first}">
{button}{pictures}
<script>
(() => {{
  const box = document.getElementById("{id}");
  const pictures = box.querySelectorAll("img"), knob = box.querySelector("input");
  const show = () => {{
    pictures.forEach((p, k) => {{ p.style.display = k === +knob.value ? "block" : "none"; }});
    const name = pictures[+knob.value].dataset.value;
    box.querySelector("output").value = name;
    knob.setAttribute("aria-valuetext", name);
  }};
  knob.addEventListener("input", show);
  show();
{player}}})();
</script>
</div>"""
BUTTON = '<button type="button" style="display: inline-block; min-width: 5em">► play</button>\n'
PLAYER = """  const play = box.querySelector("button");
  let clock = null;
  const rest = () => {{ clearInterval(clock); clock = null; play.textContent = "► play"; }};
  play.addEventListener("click", () => {{
    if (clock !== null) return rest();
    if (+knob.value === {last}) {{ knob.value = 0; show(); }}
    play.textContent = "❚❚ pause";
    clock = setInterval(() => {{
      knob.value = +knob.value + 1;
      show();
      if (+knob.value === {last}) rest();
    }}, {interval});
  }});
  knob.addEventListener("input", rest);
"""
PICTURE = (
    '<img alt="{alt}" data-value="{value}" src="data:image/png;base64,{data}" '
    'width="{width}" style="display: {display}; margin: 0 auto; max-width: 100%">'
)


@dataclasses.dataclass(frozen=True)
class Slider:
    """Pictures and what is needed to choose among them; a notebook shows it as a slider.

    Args:
        label: what the slider changes.
        values: what stands beside the slider at each place, as text.
        pictures: the PNG file of each value.
        alts: what each picture shows, in words.
        width: of each picture on the page, in CSS pixels.
        interval: how long the button shows a picture, in milliseconds; without a button None.
    """

    label: str
    values: tuple[str, ...]
    pictures: tuple[bytes, ...] = dataclasses.field(repr=False)
    alts: tuple[str, ...] = dataclasses.field(repr=False)
    width: int
    interval: int | None = None

    def _repr_html_(self) -> str:
        rows = zip(self.values, self.pictures, self.alts, strict=True)
        pictures = [
            PICTURE.format(
                alt=escape(alt, quote=True),
                value=escape(value, quote=True),
                data=base64.b64encode(data).decode(),
                display="none" if k else "block",
                width=self.width,
            )
            for k, (value, data, alt) in enumerate(rows)
        ]
        # from the content, so that the same slider is the same text in every run
        digest = hashlib.sha256("".join([self.label, *pictures]).encode()).hexdigest()
        last, film = len(self.values) - 1, self.interval is not None
        return PAGE.format(
            id=f"slider-{digest[:12]}",
            label=escape(self.label, quote=True),
            first=escape(self.values[0], quote=True),
            last=last,
            button=BUTTON if film else "",
            pictures="\n".join(pictures),
            player=PLAYER.format(last=last, interval=self.interval) if film else "",
        )


def _small(file: io.BytesIO) -> bytes:
    """A PNG with a palette: a third of the size, and no version or date in it."""
    small = io.BytesIO()
    picture = Image.open(file).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def _pair(size: Any) -> tuple[Any, Any]:
    if not isinstance(size, tuple | list) or len(size) != 2:
        fail("size", shown(size), "Pass a width and a height in inches.")
    return size[0], size[1]


@runs("host")
def slider(
    draw: Callable[[Figure, Any], Any],
    values: Sequence[Any],
    *,
    label: str,
    alt: Callable[[Any], str],
    size: tuple[float, float] = (5.0, 3.4),
    interval: int | None = None,
) -> Slider:
    """Draw a picture for each value, to be leafed through with a slider, or played as a film.

    Args:
        draw: called with an empty Matplotlib figure and a value; it draws on the figure.
        values: what the slider runs over, at least two; `str(value)` stands beside it.
        label: what the slider changes, such as "neurons m".
        alt: for a value, what its picture shows, in words.
        size: width and height of a picture, in inches of 96 CSS pixels.
        interval: milliseconds a picture, for a button that plays them all; `None` for no button.

    Returns:
        A `Slider`; as a cell's last expression it shows itself.

    Raises:
        ValueError: if there are fewer than two values, a picture has no alternative text, or an
            argument is of another kind.

    Example:
        >>> from narrowlib import sliders
        >>> def line(figure, slope):
        ...     figure.add_subplot().plot([0, 1], [0, slope])
        >>> shown = sliders.slider(
        ...     line, (1, 2, 3), label="slope", alt=lambda slope: f"A line of slope {slope}."
        ... )
        >>> shown.values, shown.alts[2]
        (('1', '2', '3'), 'A line of slope 3.')
    """
    check_function("draw", draw, "def draw(figure, value): …")
    check_function("alt", alt, "lambda value: 'What the picture shows.'")
    values = check_list("values", values, least=2)
    width, height = (check_number("size", side, above=0, below=100) for side in _pair(size))
    alts = tuple(alt(value) for value in values)
    for name, text in (("label", label), *(("alt", text) for text in alts)):
        if not isinstance(text, str) or not text.strip():
            fail(name, shown(text), "Pass words: they are read aloud where pictures are not seen.")
    if interval is not None:
        interval = check_int("interval", interval, 1)
    pictures = []
    for value in values:
        figure = plt.figure(figsize=(width, height), dpi=DPI)
        try:
            draw(figure, value)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=DPI)
        finally:
            plt.close(figure)
        pictures.append(_small(file))
    names = tuple(map(str, values))
    return Slider(label, names, tuple(pictures), alts, round(96 * width), interval)
