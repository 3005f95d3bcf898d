"""What a chapter asks of its reader: the counts, and the limits that rewritten parts keep."""

import pytest
import reading

REWRITTEN = ("0", "1", "2", "3")  # parts in the form of CONTRIBUTING; the others follow
CHAPTERS = {
    name: notebook
    for part in REWRITTEN
    for name, notebook in reading.chapters(part).items()
    if not reading.is_workshop(name)
}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_keeps_the_limits(name):
    notebook = CHAPTERS[name]
    assert reading.complaints(reading.count(notebook), reading.stated(notebook)) == []


def test_parts_0_to_3_are_a_book_of_thirty_thousand_words_with_a_picture_a_page():
    counts = [reading.count(notebook) for notebook in CHAPTERS.values()]
    words, figures = sum(c.words for c in counts), sum(c.figures for c in counts)
    assert len(counts) == 17 and words < 30_000 and figures >= words / 400


def markdown(*lines):
    return {"cell_type": "markdown", "source": "\n".join(lines), "metadata": {}}


def code(source, *tags, **data):
    outputs = [{"output_type": "display_data", "data": data}] if data else []
    return {"cell_type": "code", "source": source, "metadata": {"tags": tags}, "outputs": outputs}


def counted(*cells):
    return reading.count({"cells": cells})


def test_formulas_are_no_words_and_folded_boxes_are_apart():
    proof = (":::{prf:proof}", ":class: dropdown", "", "seven words of a proof stand here", ":::")
    assert counted(markdown("Two words $a b c d$", "$$e f$$")).words == 2
    folded = counted(markdown("one two", "", *proof, "", "three"))
    assert folded.words == 3 and folded.proof_words == 8  # with the words of its option
    shown = counted(markdown(":::{prf:proof}", "in view", ":::"))
    assert shown.words == 4 and shown.proof_words == 2
    hint = (":::{hint}", ":class: dropdown", "look up", ":::")
    exercise = counted(markdown("::::{exercise} Title", "Do it now.", *hint, "::::"))
    assert exercise.exercises == 1


def test_only_what_is_seen_counts_as_code():
    seen = code("a = 1\n\nb = 2")
    folded = code("assert a\nassert b", "hide-cell")
    figure = code("plot()\nshow()", "hide-input", **{"image/png": "…"})
    table = code("frame", **{"text/html": "<table></table>"})
    player = code("play()", **{"text/html": "<div><img src='data:'></div>"})
    counts = counted(seen, folded, figure, table, player)
    assert (counts.cells, counts.lines, counts.figures, counts.asserts) == (3, 4, 2, 0)
    assert counted(code("for x in xs:\n    assert x")).asserts == 1


def test_minutes_are_those_of_words_lines_and_figures():
    counts = reading.Counts(words=360, lines=30, figures=4, proof_words=90, exercises=3)
    assert counts.minutes == pytest.approx(2 + 2 + 3)
    assert counts.more == pytest.approx(2 + 18)


SENTENCE = "Reading takes about 20 minutes, and 25 more with the proofs and exercises."
FINE = reading.Counts(words=1600, cells=20, lines=180, figures=4, exercises=4)


def test_what_a_chapter_states_is_read_over_lines():
    assert reading.stated({"cells": [markdown(SENTENCE.replace("and 25", "and\n25"))]}) == (20, 25)
    assert reading.stated({"cells": [markdown("About 20 minutes.")]}) is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"words": 1601}, "1601 words, at most 1600"),
        ({"cells": 21}, "21 cells, at most 20"),
        ({"lines": 181}, "181 lines, at most 180"),
        ({"asserts": 1}, "1 asserts in view"),
        ({"figures": 3, "words": 1500}, "3 figures, fewer than one for 400 words"),
        ({"exercises": 9}, "states 24 more minutes, 54 counted"),
        ({"words": 400}, "states 24 minutes, 17 counted"),
    ],
)
def test_each_limit_is_kept(change, complaint):
    assert reading.complaints(FINE, (24, 24)) == []
    assert complaint in reading.complaints(FINE._replace(**change), (24, 24))


def test_a_chapter_states_its_minutes():
    assert reading.complaints(FINE, None) == ["no reading time stated"]


def test_workshop_pages_are_known_by_their_name():
    assert reading.is_workshop("book/1_expressivity/02w_ranks")
    assert reading.is_workshop("book/background/facts_used")
    assert not reading.is_workshop("book/1_expressivity/02_jacobian")
