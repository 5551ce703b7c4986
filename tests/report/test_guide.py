"""What each gate's answers mean: every gate and state has words, and the special case is the one that is told."""

import pytest

from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding
from ganatomy.report import words
from ganatomy.report.guide import DESCRIBED, GUIDES, UNANSWERED, cases


def find(gate: str, name: str, state: str, bar: tuple[str, float] | None = ("<=", 1.0)) -> Finding:
    return Finding(gate, name, value=None if state == NOT_COMPUTED else 0.5, bar=bar, state=state, note="why")


def test_every_question_has_a_guide():
    assert set(GUIDES) == set(words.QUESTIONS) - {"utility"} | {"paired"}


@pytest.mark.parametrize("gate", sorted(set(GUIDES) - {"scope"}))
@pytest.mark.parametrize("state", [FAIL, INCONCLUSIVE, PASS])
def test_every_state_of_every_gate_has_words_whatever_the_finding_is_called(gate, state):
    (case,) = cases(gate, [find(gate, "a name that nobody knows", state)])
    assert case.state == state and case.means.endswith(".") and case.do.endswith(".")
    assert GUIDES[gate].asked and GUIDES[gate].chance


def test_no_word_stands_twice_where_the_states_differ():
    every = [case for guide in GUIDES.values() for case in guide.cases]
    assert len({case.means for case in every}) == len(every)


@pytest.mark.parametrize(
    ("gate", "name", "state", "told"),
    [
        ("fidelity", "told apart by a classifier, radiomics", FAIL, "can tell the synthetic images from real ones"),
        ("fidelity", "Fréchet distance, radiomics", FAIL, "lie farther from new patients"),
        ("fidelity", "images with undefined features", FAIL, "cannot be measured"),
        ("coverage", "missing group, radiomics", FAIL, "are missing, or far too rare"),
        ("coverage", "Vendi score, radiomics", FAIL, "too closely together"),
        ("coverage", "precision, radiomics", FAIL, "where no real ones do"),
        ("labels", "wrong labels, radiomics", FAIL, "label of another class"),
        ("labels", "caricature of the classes, radiomics", FAIL, "textbook"),
        ("labels", "associations with the class, radiomics", FAIL, "was lost"),
        ("labels", "accuracy lost", FAIL, "takes for harmless"),
        ("labels", "changed features", INCONCLUSIVE, "a change that training makes"),
        ("hygiene", "spacing", FAIL, "stored in another way"),
        ("hygiene", "patients in several sets", FAIL, "must be kept apart"),
        ("hygiene", "constant images", FAIL, "repeated, empty or damaged"),
    ],
)
def test_what_is_told_fits_the_finding(gate, name, state, told):
    (case,) = cases(gate, [find(gate, name, state)])
    assert told in case.means


def test_fails_come_first_then_what_is_open_and_a_pass_only_alone():
    some = [find("copying", "a", PASS), find("copying", "b", INCONCLUSIVE), find("copying", "c", FAIL)]
    assert [case.state for case in cases("copying", some)] == [FAIL, INCONCLUSIVE]
    assert [case.state for case in cases("copying", [*some[:1], find("copying", "d", NOT_COMPUTED)])] == [PASS]
    assert [case.state for case in cases("copying", [some[2], find("copying", "d", FAIL)])] == [FAIL]


def test_what_has_no_answer_is_unknown_and_what_has_no_bar_was_not_judged():
    assert cases("coverage", [find("coverage", "a", NOT_COMPUTED)]) == [UNANSWERED]
    assert cases("coverage", [find("coverage", "a", PASS, None)]) == [DESCRIBED]
    assert cases("scope", [find("scope", "synthetic images", NOT_COMPUTED)])[0].state == NOT_COMPUTED
