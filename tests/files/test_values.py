"""JSON in files: what a float or 64 bits can hold, and nothing else."""

import math

import pytest

from pellucid.files.values import parsed


def test_values_are_those_of_the_text():
    text = '{"a": [1, -2.5, 1e3, true, null, "x"], "b": 18446744073709551615, "c": -0}'
    assert parsed(text) == {"a": [1, -2.5, 1000.0, True, None, "x"], "b": 2**64 - 1, "c": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("18446744073709551616", "18446744073709551616 is no number that can be used"),
        ("-" + "9" * 5000, r"-9{36}\.\.\. is no number that can be used"),
        ("[1e999]", "1e999 is no number"),
        ("NaN", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[" * 100_000, "nested too deeply"),
        ("{", "property name"),
    ],
)
def test_what_is_none_is_one_sentence(text, message):
    with pytest.raises(ValueError, match=message) as found:
        parsed(text)
    assert len(str(found.value)) < 100


def test_where_they_may_be_constants_are_numbers():
    assert math.isnan(parsed("NaN", constants=True))
    assert parsed("[Infinity, -Infinity]", constants=True) == [math.inf, -math.inf]
