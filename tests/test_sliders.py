"""A slider's page: one picture a value, the first one shown, every text where it belongs."""

import base64
import io
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from narrowlib import sliders


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


def bars(figure, height):
    figure.add_axes((0, 0, 1, 1)).imshow(np.full((2, 2), height), vmin=0, vmax=3, cmap="gray")


def make(values=(0, 1, 3), label='a "knob" & <more>'):
    return sliders.slider(bars, values, label=label, alt=lambda v: f'level "{v}" <of 3>')


def test_each_value_has_its_own_picture_and_text():
    images = Tags(make()._repr_html_()).named("img")
    assert [image["alt"] for image in images] == [f'level "{v}" <of 3>' for v in (0, 1, 3)]
    assert [image["data-value"] for image in images] == ["0", "1", "3"]
    assert ["block" in image["style"] for image in images] == [True, False, False]
    levels = []
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        levels.append(int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]))
    assert levels == pytest.approx([0, 85, 255], abs=2)


def test_the_knob_has_a_place_for_each_value_and_a_label():
    page = Tags(make()._repr_html_())
    (knob,) = page.named("input")
    assert (knob["min"], knob["max"], knob["value"]) == ("0", "2", "0")
    assert knob["aria-label"] == 'a "knob" & <more>'
    assert knob["aria-valuetext"] == "0"


def test_ids_differ_between_sliders_and_not_between_runs():
    ids = [re.search(r'id="(slider-\w+)"', s._repr_html_())[1] for s in (make(), make())]
    assert ids[0] == ids[1]
    assert re.search(r'id="(slider-\w+)"', make((1, 2))._repr_html_())[1] != ids[0]
    assert make()._repr_html_() == make()._repr_html_()


def test_what_it_prints_is_short():
    assert len(repr(make())) < 200


def test_a_film_is_a_slider_with_a_button():
    plan = {"draw": bars, "values": (0, 1, 3), "label": "x", "alt": str}
    still, film = sliders.slider(**plan), sliders.slider(**plan, interval=150)
    assert "<button" not in still._repr_html_() and "setInterval" not in still._repr_html_()
    page = film._repr_html_()
    assert Tags(page).named("button") == [
        {"type": "button", "style": "display: inline-block; min-width: 5em"}
    ]
    assert re.search(r"}, 150\);", page) and page.count("+knob.value === 2") == 2
    assert still.pictures == film.pictures


def test_nothing_is_asked_of_another_host():
    assert "http" not in make()._repr_html_()


def test_no_figure_stays_open_even_after_an_error():
    before = plt.get_fignums()
    make()
    with pytest.raises(ZeroDivisionError):
        sliders.slider(lambda figure, v: 1 / v, (1, 0), label="x", alt=str)
    assert plt.get_fignums() == before


def test_one_value_is_no_slider():
    with pytest.raises(ValueError, match=r"values: got 1 of them\. Pass at least two"):
        make((1,))


@pytest.mark.parametrize(
    "changed, says",
    [
        ({"draw": 3}, "draw: got 3. Pass a function"),
        ({"alt": "words"}, "alt: got 'words'. Pass a function"),
        ({"alt": lambda v: None}, "alt: got None. Pass words"),
        ({"alt": lambda v: " "}, "alt: got ' '. Pass words"),
        ({"label": 3}, "label: got 3. Pass words"),
        ({"values": 3}, "values: got 3. Pass a list"),
        ({"values": "ab"}, "values: got 'ab'. Pass a list"),
        ({"values": iter([])}, "values: got nothing. Pass at least two"),
        ({"size": 4}, "size: got 4. Pass a width and a height"),
        ({"size": (4, 0)}, "size: got 0. Pass a finite number above 0"),
        ({"size": (4, "3")}, "size: got '3'"),
        ({"interval": 0}, "interval: got 0"),
        ({"interval": "fast"}, "interval: got 'fast'"),
    ],
)
def test_what_is_no_slider(changed, says):
    plan = {"draw": bars, "values": (0, 1), "label": "x", "alt": str}
    with pytest.raises(ValueError, match=says):
        sliders.slider(**(plan | changed))
