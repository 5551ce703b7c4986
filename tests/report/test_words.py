"""Numbers and names as the report writes them."""

import pytest

from ganatomy.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8421, "0.842"),
        (0.99961, "1.00"),
        (9.999, "10.0"),
        (12345.0, "12,300"),
        (0.00012345, "0.000123"),
        (0.0, "0"),
        (-0.5, "−0.500"),
        (1.5e-7, "1.50 × 10⁻⁷"),
        (2.5e8, "2.50 × 10⁸"),
        (None, "–"),
    ],
)
def test_a_number_has_three_significant_digits(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("triple", "sign", "text"),
    [
        ((0.84, 0.79149, 0.884), False, "0.840 (0.791 to 0.884)"),
        ((0.0312, 0.0084, 0.0561), True, "+0.0312 (+0.0084 to +0.0561)"),
        ((-0.0004, -0.01, 0.02), True, "−0.0004 (−0.0100 to +0.0200)"),
        ((1.5e-7, 0.0, 3.0), False, "1.50 × 10⁻⁷ (0 to 3.00)"),
        ((0.84, None, None), False, "0.840"),
        ((None, None, None), False, "–"),
    ],
)
def test_an_interval_has_the_decimals_of_its_largest_number(triple, sign, text):
    assert words.interval(*triple, sign=sign).replace("\u00a0", " ") == text


def test_a_tick_keeps_all_its_digits():
    assert [words.tick(x) for x in (-1024, 1025, 0, 0.0025, 2e6)] == [
        "−1,024",
        "1,025",
        "0",
        "0.0025",
        "2 × 10⁶",
    ]


def test_a_bar_is_said_in_words():
    assert [words.bar(b) for b in (("<=", 2.0), (">=", -0.02), None)] == ["at most 2", "at least −0.02", ""]


@pytest.mark.parametrize(
    ("name", "text", "family"),
    [
        ("original_glcm_JointEntropy", "Joint entropy", "texture, co-occurrence (GLCM)"),
        ("wavelet-HL_firstorder_10Percentile", "10th percentile", "intensity, wavelet-HL"),
        ("original_glcm_MCC", "Maximal correlation coefficient", "texture, co-occurrence (GLCM)"),
        ("diameter", "diameter", ""),
    ],
)
def test_a_feature_is_named_in_words(name, text, family):
    assert words.feature(name) == (text, family)


def test_a_command_holds_every_setting_and_quotes_what_a_shell_would_split():
    text = words.command(
        ["ganatomy", "check", "RUN"],
        {"bins": 32, "deep": {"flip": True, "name": "a b", "seeds": [0, 1], "size": None}},
    )
    assert (
        " ".join(text.replace("\\\n", " ").split())
        == "ganatomy check RUN --bins=32 --flip=yes --name='a b' --seeds=0,1 --size=none"
    )
    long = words.command(["ganatomy"], {f"setting_{i}": i for i in range(30)})
    assert max(map(len, long.splitlines())) <= 90
    assert all(line.endswith("\\") for line in long.splitlines()[:-1])


def test_a_count_has_no_interval():
    assert words.interval(0.0, 0.0, 0.0) == "0" and words.interval(2.0, 2.0, 2.0) == "2.00"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("original_firstorder_Minimum", "Minimum"),
        ("original_glcm_JointEntropy", "Joint entropy (GLCM)"),
        ("wavelet-HL_firstorder_10Percentile", "10th percentile (wavelet-HL)"),
        ("log-1_ngtdm_Busyness", "Busyness (NGTDM, log-1)"),
        ("original_shape2D_Perimeter", "Perimeter (shape)"),
        ("diameter", "diameter"),
    ],
)
def test_a_feature_has_a_short_name_in_sentences(name, text):
    assert words.brief(name) == text
    assert words.readable(f"worst is {name} (D 0.31), then others") == f"worst is {text} (D 0.31), then others"


def test_shares_are_percentages():
    assert [words.percent(x) for x in (0.204, 0.0, None)] == ["20%", "0%", "–"]
    assert [words.signed_percent(x) for x in (0.204, -0.02)] == ["+20%", "−2%"]


def test_the_glossary_is_in_order():
    assert list(words.GLOSSARY) == sorted(words.GLOSSARY, key=str.lower)
