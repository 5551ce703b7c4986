"""Errors: exit codes, and the hint for a misspelt word."""

from ganatomy.core.errors import GateError, InputError, RunError, TrainingError, nearest


def test_errors_carry_the_exit_codes_that_the_command_line_promises():
    assert [kind("").exit_code for kind in (InputError, RunError, GateError, TrainingError)] == [2, 2, 3, 1]


def test_the_nearest_word_is_offered_or_all_of_them():
    assert nearest("malignat", ["benign", "malignant"]) == "did you mean 'malignant'?"
    assert nearest("x", iter(["benign", "malignant"])) == "known are: benign, malignant"
    assert nearest("size", ["slices", "folds"]) == "known are: slices, folds", "somewhat alike is not near"
