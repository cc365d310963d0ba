"""Text is measured in the font it is drawn with, and never leaves its width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from journeyflow.report.canvas import (
    ELLIPSIS,
    MAX_LENGTH,
    REGULAR,
    STRONG,
    font_files,
    has_glyphs,
    text_width,
    truncate,
    wrap,
)

WIDTHS = st.floats(40, 400)
TEXTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=60)
SIZES = st.sampled_from([12.0, 13.5, 28.0])


@pytest.mark.parametrize("weight", [REGULAR, STRONG])
@pytest.mark.parametrize("text", ["Consideration", "WWWiii 1,234", "[45.4 % to 49.4 %]", "Łódź Пример", "AVATAR To"])
def test_the_width_is_that_of_the_drawn_letters(text, weight):
    font = ImageFont.truetype(font_files()[[REGULAR, STRONG].index(weight)], 100)
    canvas = ImageDraw.Draw(Image.new("L", (10, 10)))
    drawn = canvas.textlength(text, font=font)
    assert drawn <= text_width(text, 100, weight) + 2
    assert drawn >= text_width(text, 100, weight) * 0.93


@given(TEXTS, WIDTHS, SIZES)
def test_what_is_cut_fits_and_is_a_beginning(text, width, size):
    shown = truncate(text, width, size)
    assert text_width(shown, size) <= width
    assert shown == text or (shown.endswith(ELLIPSIS) and text.startswith(shown[:-1]))


@given(TEXTS, WIDTHS, SIZES, st.integers(1, 4))
def test_wrapped_lines_fit_and_keep_the_words_in_order(text, width, size, line_count):
    lines = wrap(text, width, size, line_count=line_count)
    assert len(lines) <= line_count
    assert all(text_width(line, size) <= width or len(line) == 1 for line in lines)
    letters = "".join(lines).replace(" ", "").removesuffix(ELLIPSIS)
    assert text.replace(" ", "").startswith(letters)
    assert "".join(lines).endswith(ELLIPSIS) or letters == text.replace(" ", "").removesuffix(ELLIPSIS)


def test_what_is_wrapped_shows_its_control_characters():
    assert wrap("a\nb \u202ec \uffff", 200, 10) == ["a\\nb \\u202ec \\uffff"]


def test_a_very_long_text_is_cut_wherever_it_would_fit():
    assert len(truncate("i" * 10_000, 1e9, 10)) <= MAX_LENGTH + 1
    assert truncate("i" * 10_000, 1e9, 10).endswith(ELLIPSIS)


@pytest.mark.parametrize(("text", "known"), [("Łódź ≈ [1 to 2] “”…", True), ("日本", False), ("عربي", False)])
def test_letters_that_the_font_lacks_are_known(text, known):
    assert has_glyphs(text) is known
    assert text_width("日本", 10) == pytest.approx(20)
