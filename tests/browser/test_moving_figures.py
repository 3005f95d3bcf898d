"""Sliders and animations as a reader turns them: one picture at a time, by mouse or by keyboard."""

import pytest
from book_build import ROOT, sources

pytestmark = pytest.mark.slow


def shows(sign):
    """The chapters whose stored outputs hold a slider or an animation."""
    return [
        name
        for name, notebook in sources.notebooks(ROOT).items()
        if any(sign in str(cell["outputs"]) for cell in sources.code_cells(notebook))
    ]


SLIDERS, ANIMATIONS = shows("nl-slider"), shows("_anim_img")


def test_the_book_has_both():
    assert SLIDERS and ANIMATIONS


@pytest.fixture
def opened(visit_file, request):
    """A page from a file; its sliders go back to their first pictures."""
    page = visit_file(request.param).page
    yield page
    for knob in page.locator(".nl-slider input").all():
        knob.fill("0")


def visible(slider):
    return slider.locator("img").evaluate_all(
        "all => all.flatMap((e, k) => e.offsetWidth > 0 ? [k] : [])"
    )


@pytest.mark.parametrize("opened", SLIDERS, indirect=True)
def test_a_slider_shows_the_picture_of_its_place(opened):
    for slider in opened.locator(".nl-slider").all():
        knob, last = slider.locator("input"), slider.locator("img").count() - 1
        assert last >= 1 and visible(slider) == [0]
        knob.focus()
        opened.keyboard.press("ArrowRight")
        assert visible(slider) == [1]
        knob.fill(str(last))
        assert visible(slider) == [last]
        name = slider.locator("img").nth(last).get_attribute("data-value")
        assert slider.locator("output").text_content() == name
        assert knob.get_attribute("aria-valuetext") == name


@pytest.mark.parametrize("opened", SLIDERS, indirect=True)
def test_two_sliders_of_a_page_do_not_move_each_other(opened):
    sliders = opened.locator(".nl-slider").all()
    sliders[0].locator("input").fill("1")
    assert [visible(other) for other in sliders[1:]] == [[0]] * (len(sliders) - 1)
    ids = [slider.get_attribute("id") for slider in sliders]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("opened", ANIMATIONS, indirect=True)
def test_an_animation_moves_with_its_slider(opened):
    for player in opened.locator(".animation").all():
        picture, knob = player.locator("img"), player.locator("input[type=range]")
        first = picture.get_attribute("src")
        knob.evaluate("e => { e.value = e.max; e.dispatchEvent(new Event('input')); }")
        assert picture.get_attribute("src") != first


@pytest.mark.parametrize("opened", [*SLIDERS, *ANIMATIONS], indirect=True)
def test_moving_figures_have_captions(opened):
    for moving in opened.locator(".nl-slider, .animation").all():
        assert moving.evaluate("e => !!e.closest('figure')?.querySelector('figcaption')")
