"""CSV files: what is read, and what is refused with column and line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.train.tables import (
    DataError,
    Scaling,
    classes_of,
    indices_of,
    numbers_of,
    read_csv,
)

FLOWERS = "length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n"


@pytest.fixture
def reading(tmp_path):
    def read(text, *args, **kwargs):
        path = tmp_path / "data.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_csv(path, *args, **kwargs)

    return read


COLUMNS = {
    "length": ["5.1", "7.0"],
    "width": ["3.5", "3.2"],
    "species": ["setosa", "versicolor"],
}


@pytest.mark.parametrize(
    "text",
    [
        FLOWERS,
        "\ufeff" + FLOWERS,
        FLOWERS.replace(",", ";"),
        FLOWERS.replace(",", "\t"),
        FLOWERS.replace("\n", "\r\n"),
        FLOWERS.replace("\n", "\n\n"),
        FLOWERS.replace("length", '"length"'),
        FLOWERS.replace("5.1", '"5.1"'),
        FLOWERS.replace(",", ", "),
        FLOWERS.replace(",", ', "').replace("3.5", '3.5"').replace("3.2", '3.2"')
        .replace("width", 'width"').replace("species", 'species"')
        .replace("setosa", 'setosa"').replace("versicolor", 'versicolor"'),
        FLOWERS.replace(",", " ,").replace("species", " species "),
        FLOWERS.rstrip("\n"),
    ],
)  # fmt: skip
def test_the_usual_ways_to_write_it(reading, text):
    assert reading(text).columns == COLUMNS


def test_a_file_that_does_not_name_its_columns(reading):
    rows = FLOWERS.partition("\n")[2]
    assert reading(rows, names=tuple(COLUMNS)).columns == COLUMNS
    assert reading(rows, usual=tuple(COLUMNS)).columns == COLUMNS
    assert reading(FLOWERS, usual=tuple(COLUMNS)).columns == COLUMNS
    turned = reading("species,width,length\nsetosa,3.5,5.1\n", usual=tuple(COLUMNS))
    assert turned.columns == {name: texts[:1] for name, texts in COLUMNS.items()}
    assert reading("a,b\n1,2\n", usual=tuple(COLUMNS)).columns == {"a": ["1"], "b": ["2"]}
    with pytest.raises(DataError, match="line 1 .* has 3 values, expected 2 as in --columns"):
        reading(rows, names=("a", "b"))


def test_some_rows_know_where_they_stand(reading):
    table = reading('a,b\n1,"two\nlines"\nx,3\n\n5,6\n')
    assert len(table) == 3
    some = table.take(np.array([2, 1]))
    assert some.columns == {"a": ["5", "x"], "b": ["6", "3"]}
    assert some.place(0).startswith("line 6 of ")
    assert some.take(np.array([1])).place(0).startswith("line 4 of ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("a,b\n", "no rows"),
        ("1,2\n3,4\n", "must name the columns, .* name the 2 columns with --columns"),
        ("a,a\n3,4\n", "several columns of the name 'a'"),
        ("a,b\n1,2\n1\n", "line 3 .* has 1 values, expected 2"),
        ("a,b\n1,2\n1,2,3\n", "line 3 .* has 3 values, expected 2"),
        ('a,b\n"1,2\n', "not a CSV file"),
        (b"a,b\n\xff\xfe,2\n", "UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(reading, text, message):
    with pytest.raises(DataError, match=message):
        reading(text)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_csv(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="cannot read"):
        read_csv(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_table_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "data.csv"
    path.write_bytes(b"a,b,c\n" + content)
    try:
        table = read_csv(path)
    except DataError:
        return
    assert list(table.columns) == ["a", "b", "c"]
    assert {len(texts) for texts in table.columns.values()} == {len(table)}
    assert table.place(len(table) - 1).startswith("line ")


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["1", "x"], ("1", "x")),
        (["1.0", "2.0"], None),
        (["1", "2.5"], None),
    ],
)
def test_words_and_whole_numbers_are_classes(texts, classes):
    assert classes_of(texts) == classes


def test_targets_become_numbers():
    np.testing.assert_array_equal(indices_of(["b", "a"], ("a", "b"), "file"), [1, 0])
    np.testing.assert_array_equal(indices_of(["b.", "a"], ("a", "b"), "file"), [1, 0])
    np.testing.assert_array_equal(indices_of(["b.", "b"], ("b", "b."), "file"), [1, 0])
    np.testing.assert_array_equal(numbers_of(["1.5", "2"], "y", "file"), [1.5, 2])
    with pytest.raises(DataError, match="data row 2 of file has class 'c'; the model knows a, b"):
        indices_of(["b", "c"], ("a", "b"), "file")
    with pytest.raises(DataError, match="target column 'y', data row 1"):
        numbers_of(["high"], "y", "file")
    with pytest.raises(DataError, match="row 2 of file: expected a number of at most 3.4e.38, rec"):
        numbers_of(["1", "-1e308"], "y", "file")


def test_scaling_gives_mean_0_and_deviation_1():
    X = np.random.default_rng(0).normal(50, 7, (200, 3))
    X[:, 2] = 4.0
    scaled = Scaling.of(X).apply(X)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 0], atol=1e-6)


@pytest.mark.timeout(20)
def test_a_header_of_very_many_equal_names_is_refused_at_once(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(["a", "b"] * 100_000) + "\n")
    with pytest.raises(DataError, match="several columns of the name 'a'"):
        read_csv(path)
