"""The verdict follows from the findings by precedence, and carries what it could not exclude."""

from itertools import product

import pytest

from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, STATES, Finding
from ganatomy.core.verdict import DO_NOT_USE, NO_GAIN, UNDECIDED, USE, decide


def finding(gate, name, state, subject="", note=None):
    value = None if state == NOT_COMPUTED else 1.0
    return Finding(gate, name, subject, value=value, state=state, note=f"{name} note" if note is None else note)


def verdict(copying=PASS, gain=PASS, harm=PASS, fidelity=PASS):
    return decide(
        [
            finding("fidelity", "distance", fidelity, "malignant"),
            finding("copying", "nearest", copying, "malignant"),
            finding("utility", "gain", gain),
            finding("utility", "harm", harm),
        ]
    )


def expected(copying, gain, harm):
    """The precedence once more, as a table a person can check."""
    if FAIL in (copying, harm):
        return DO_NOT_USE
    if gain == PASS:
        return USE
    if {gain, harm} & {INCONCLUSIVE, NOT_COMPUTED}:
        return UNDECIDED
    return NO_GAIN


@pytest.mark.parametrize(("copying", "gain", "harm"), list(product(STATES, repeat=3)))
def test_every_combination(copying, gain, harm):
    found = verdict(copying, gain, harm)
    assert found.word == expected(copying, gain, harm)
    assert ("not excluded: nearest (malignant)" in found.limits) == (copying in (INCONCLUSIVE, NOT_COMPUTED))
    assert found.sentence.lower().startswith(found.word)


def test_copying_beats_a_gain_and_says_so():
    assert verdict(copying=FAIL).sentence == "Do not use: nearest note."
    assert verdict(harm=FAIL).sentence == "Do not use: harm note."


def test_privacy_forbids_like_copying():
    assert decide([finding("privacy", "p", FAIL)]).word == DO_NOT_USE


def test_a_failed_integrity_gate_is_a_limit_and_not_a_ban():
    found = verdict(fidelity=FAIL)
    assert (found.word, found.limits) == (USE, ("distance (malignant)",))
    assert verdict().limits == ()


def test_the_open_question_gives_the_reason():
    assert verdict(gain=NOT_COMPUTED).sentence == "Undecided at this size: gain note."
    assert verdict(gain=FAIL, harm=INCONCLUSIVE).sentence == "Undecided at this size: harm note."


def test_without_a_trial_or_without_a_search_for_copies_it_is_undecided():
    trial = [finding("utility", "gain", PASS), finding("utility", "harm", PASS)]
    copying = [finding("copying", "nearest", PASS)]
    for part in (trial[:1], trial[1:], []):
        assert decide(copying + part).word == UNDECIDED
    assert decide(trial).word == UNDECIDED
    assert decide([finding("utility", "gain", PASS), finding("utility", "harm", FAIL)]).word == DO_NOT_USE


def test_a_finding_without_a_note_still_gives_a_reason():
    copying = finding("copying", "nearest", PASS)
    for gain, harm in ((PASS, PASS), (FAIL, PASS), (FAIL, FAIL)):
        found = decide([copying, finding("utility", "gain", gain, note=""), finding("utility", "harm", harm, note="")])
        assert found.sentence.endswith((": gain.", ": harm."))


def test_equal_images_forbid_whatever_gate_found_them() -> None:

    copies = Finding("hygiene", "equal images, train and synthetic", "", 0.1, state=FAIL, note="4 of 40 are equal")
    assert decide([copies]).word == DO_NOT_USE
    spacing = Finding("hygiene", "spacing", "", 1.0, state=FAIL, note="another spacing")
    assert decide([spacing]).word != DO_NOT_USE


def test_what_was_only_tried_on_real_images_is_no_limit_of_the_set() -> None:

    tried = Finding("augmentation", "changed features", "smoothing", 0.5, state=FAIL, note="17 of 36")
    used = Finding("invariance", "changed features", "shift", 0.5, state=FAIL, note="17 of 36")
    assert decide([tried, used]).limits == ("changed features (shift)",)
