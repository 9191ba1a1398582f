"""A file of an export is taken for whole only when it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.formats import NAMES, Csv, JsonLines, Spreadsheet
from collector.terminal.export import End
from collector.terminal.tables import table
from storage.entries import Entry

FORMS = {"jsonl": JsonLines, "csv": Csv, "spreadsheet": Spreadsheet}
texts = st.text(st.sampled_from('a",\r\n_complete5é'), max_size=12)


def file(form, messages):
    """What the API gives for records with these messages."""
    empty = dict.fromkeys(NAMES)
    made = FORMS[form]()
    entries = [Entry(**{**empty, "id": n, "msg": msg}) for n, msg in enumerate(messages)]
    return (made.write(entries) if entries else b"") + made.end()


def taken(pieces):
    end = End()
    for piece in pieces:
        end.take(piece)
    return end


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data(), messages=st.lists(texts, max_size=4))
def test_a_whole_file_is_whole_however_it_comes(form, data, messages):
    """
    The end is found whatever the records hold, and wherever the pieces are cut.
    """
    whole = file(form, messages)
    cut = data.draw(st.integers(0, len(whole)))

    assert taken([whole[:cut], whole[cut:]]).problem(form) is None
    assert taken([bytes([byte]) for byte in whole]).problem(form) is None


@pytest.mark.parametrize("form", FORMS)
@given(messages=st.lists(texts, min_size=2, max_size=4))
def test_a_file_that_lost_its_last_records_is_not(form, messages):
    """
    A file that ends with any record but its last says that it is not complete.
    """
    whole = file(form, messages)
    second = whole.rindex(b'{"id":1,' if form == "jsonl" else b"\r\n1,,")
    cut = whole[: second + (0 if form == "jsonl" else 2)]

    assert "_complete" in taken([cut]).problem(form)


def test_json_lines_that_miss_some_in_the_middle_are_not():
    """
    Of JSON lines the number of records is compared too.
    """
    first, _, last = file("jsonl", ["a", "b", "c"]).splitlines(keepends=True)

    assert "it has 2 of 3 records" == taken([first, last]).problem("jsonl")


def test_parquet_ends_with_its_footer():
    """
    Parquet that was cut has no footer.
    """
    assert taken([b"PAR1\n\n", b"...PAR1"]).problem("parquet") is None
    assert "it has no footer" == taken([b"PAR1\n\n..."]).problem("parquet")


def test_a_table_has_its_numbers_to_the_right_and_nothing_that_steers_a_terminal():
    """
    A column of numbers is set to the right, and text cannot do anything to the terminal.
    """
    lines = [line.plain for line in table(["name", "n"], [["a\x1b[2J", "1,000"], ["bb", "-"]])]

    assert ["name          n", "a\\x1b[2J  1,000", "bb            -"] == lines
