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


def test_features_and_target(reading):
    table = reading(FLOWERS, "species")
    assert table.features == ("length", "width")
    assert table.target == ["setosa", "versicolor"]
    np.testing.assert_array_equal(table.X, [[5.1, 3.5], [7.0, 3.2]])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + FLOWERS,
        FLOWERS.replace(",", ";"),
        FLOWERS.replace(",", "\t"),
        FLOWERS.replace("\n", "\r\n"),
        FLOWERS.replace("\n", "\n\n"),
        FLOWERS.replace("length", '"length"'),
        FLOWERS.replace(",", " ,").replace("species", " species "),
        FLOWERS.rstrip("\n"),
    ],
)
def test_the_usual_ways_to_write_it(reading, text):
    table = reading(text, "species")
    assert table.features == ("length", "width")
    assert table.target == ["setosa", "versicolor"]


def test_columns_are_found_by_name(reading):
    table = reading(FLOWERS, features=("width",))
    assert table.target is None
    np.testing.assert_array_equal(table.X, [[3.5], [3.2]])
    assert reading(FLOWERS, "species", drop=("length",)).features == ("width",)


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("", None, "is empty"),
        ("\n", None, "is empty"),
        ("a,b\n", "b", "no rows"),
        ("1,2\n3,4\n", "b", "must name the columns"),
        ("a,a\n3,4\n", None, "several columns of the name 'a'"),
        (FLOWERS, "color", "no target column 'color'; its columns are length, width, species"),
        ("b\n1\n", "b", "no feature column"),
        (FLOWERS, None, "column 'species', line 2 .* received 'setosa'"),
        ("a,b\n1,2\n?,3\n", "b", "column 'a', line 3 .* received '\\?'"),
        ("a,b\n1,2\n ,3\n", "b", "column 'a', line 3 .* received nothing"),
        ("a,b\n1,2\n1,\n", "b", "line 3 .* nothing in its target"),
        ("a,b\n1,2\n1\n", "b", "line 3 .* has 1 values, expected 2"),
        ("a,b\n1,2\n1,2,3\n", "b", "line 3 .* has 3 values, expected 2"),
        ("a,b\nnan,2\n", "b", "column 'a', data row 1 .* received nan"),
        ("a,b\n1,2\n-inf,2\n", "b", "column 'a', data row 2 .* received -inf"),
        ('a,b\n"1,2\n', "b", "not a CSV file"),
        (b"a,b\n\xff\xfe,2\n", "b", "UTF-8"),
    ],
)
def test_what_cannot_be_learned_from_is_named(reading, text, target, message):
    with pytest.raises(DataError, match=message):
        reading(text, target)


def test_a_line_number_counts_lines_within_quotes(reading):
    with pytest.raises(DataError, match="column 'a', line 4 "):
        reading('a,b\n1,"two\nlines"\nx,3\n', "b")


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
        table = read_csv(path, "c")
    except DataError:
        return
    assert np.isfinite(table.X).all()
    assert len(table.X) == len(table.target)


@given(st.lists(st.tuples(st.floats(width=64, allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_are_read_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("exact") / "data.csv"
    path.write_text("a\n" + "".join(f"{value!r}\n" for (value,) in rows))
    np.testing.assert_array_equal(read_csv(path).X, rows)


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
    np.testing.assert_array_equal(numbers_of(["1.5", "2"], "y", "file"), [1.5, 2])
    with pytest.raises(DataError, match="data row 2 of file has class 'c'; the model knows a, b"):
        indices_of(["b", "c"], ("a", "b"), "file")
    with pytest.raises(DataError, match="target column 'y', data row 1"):
        numbers_of(["high"], "y", "file")


def test_scaling_gives_mean_0_and_deviation_1():
    X = np.random.default_rng(0).normal(50, 7, (200, 3))
    X[:, 2] = 4.0
    scaled = Scaling.of(X).apply(X)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 0], atol=1e-6)
