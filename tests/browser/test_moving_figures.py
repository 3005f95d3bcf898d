"""Sliders and films as a reader turns them: one picture at a time, by mouse or by keyboard."""

import pytest
from book_build import ROOT, sources

pytestmark = pytest.mark.slow


def shows(sign):
    """The chapters whose stored outputs hold a slider, or a film."""
    return [
        name
        for name, notebook in sources.notebooks(ROOT).items()
        if any(sign in str(cell["outputs"]) for cell in sources.code_cells(notebook))
    ]


SLIDERS, FILMS = shows("nl-slider"), shows("► play")


def test_the_book_has_both():
    assert SLIDERS and FILMS


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


@pytest.mark.parametrize("opened", FILMS, indirect=True)
def test_a_film_plays_to_its_end_and_again_and_rests_where_it_is_told(opened):
    for film in opened.locator(".nl-slider:has(button)").all():
        knob, button = film.locator("input"), film.locator("button")
        last = film.locator("img").count() - 1
        knob.fill(str(last - 1))
        button.click()
        assert "pause" in button.text_content()
        opened.wait_for_function(f"knob => +knob.value === {last}", arg=knob.element_handle())
        assert visible(film) == [last] and "play" in button.text_content()
        button.click()  # at its end it begins again
        opened.wait_for_function("knob => +knob.value === 1", arg=knob.element_handle())
        knob.fill("0")  # a hand on the knob stops it
        assert visible(film) == [0] and "play" in button.text_content()


@pytest.mark.parametrize("opened", SLIDERS, indirect=True)
def test_moving_figures_have_captions(opened):
    for moving in opened.locator(".nl-slider").all():
        assert moving.evaluate("e => !!e.closest('figure')?.querySelector('figcaption')")
