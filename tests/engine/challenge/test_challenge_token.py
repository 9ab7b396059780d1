"""Challenge tokens: what passes, what is refused and why, and that nothing passes that was not issued and solved."""

from __future__ import annotations

import random
from itertools import count
from secrets import token_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.challenge import token as module
from gateway.engine.challenge.solver import solve
from gateway.engine.challenge.token import (
    ALPHABET,
    CLOCK_SKEW_S,
    LIFETIME_S,
    MAX_DIFFICULTY,
    MAX_WAIT_S,
    MIN_DIFFICULTY,
    PROOF_CHARACTERS,
    Challenge,
    Passed,
    Refused,
    check_proof,
    check_step,
    difficulty_of,
    is_proof,
    issue,
)
from gateway.engine.keyring import Binding, Keyring

NOW_S = 1_800_000_000.0
WAIT_S = 5
KEYRING = Keyring([b"the engine's secret"])
ANNA = Binding("shop.example", "192.0.2.0/24", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0")
OTHERS = {
    "site": ANNA._replace(site="bank.example"),
    "prefix": ANNA._replace(prefix="198.51.100.0/24"),
    "user agent": ANNA._replace(user_agent="curl/8.11.0"),
}


def challenge(*, difficulty: int = MIN_DIFFICULTY, wait_s: int = WAIT_S, now_s: float = NOW_S) -> Challenge:
    return issue(KEYRING, ANNA, difficulty=difficulty, wait_s=wait_s, now_s=now_s, entropy=token_bytes)


ISSUED = challenge()
PROOF = solve(ISSUED.token, ISSUED.difficulty)


def test_challenge_solved_passes_as_proved() -> None:
    assert check_proof(KEYRING, ANNA, PROOF, NOW_S + 2.5) == Passed(ISSUED.id, "proved", 357.5)


def test_challenge_waited_for_passes_as_waited_with_the_id_of_the_proof() -> None:
    assert check_step(KEYRING, ANNA, ISSUED.step, NOW_S + WAIT_S) == Passed(ISSUED.id, "waited", 355.0)


def test_issue_makes_words_of_known_lengths_and_the_bounds_it_was_given() -> None:
    made = issue(KEYRING, ANNA, difficulty=17, wait_s=9, now_s=NOW_S + 0.9, entropy=lambda count: b"\xff" * count)
    assert (len(made.token), len(made.step), len(PROOF)) == (44, 44, 77)
    assert made[2:] == ("_" * 12, 17, 9, NOW_S + LIFETIME_S)
    assert (made.token[0], made.step[0]) == ("p", "s")


def test_issue_without_a_wait_gives_no_step() -> None:
    assert challenge(wait_s=0).step == ""


def test_issue_gives_every_challenge_an_id_of_its_own() -> None:
    assert len({challenge().id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("difficulty", "wait_s"),
    [(0, 5), (MIN_DIFFICULTY - 1, 5), (MAX_DIFFICULTY + 1, 5), (16, -1), (16, MAX_WAIT_S + 1)],
)
def test_issue_out_of_its_bounds_raises(difficulty: int, wait_s: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        challenge(difficulty=difficulty, wait_s=wait_s)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_token_in_other_hands_is_forged(other: Binding) -> None:
    assert check_proof(KEYRING, other, PROOF, NOW_S) == Refused("forged")
    assert check_step(KEYRING, other, ISSUED.step, NOW_S + WAIT_S) == Refused("forged")


def test_token_of_a_secret_that_is_gone_is_forged_and_of_a_rotated_one_passes() -> None:
    assert check_proof(Keyring([b"new"]), ANNA, PROOF, NOW_S) == Refused("forged")
    assert check_proof(Keyring([b"new", b"the engine's secret"]), ANNA, PROOF, NOW_S).__class__ is Passed


@pytest.mark.parametrize(
    ("at_s", "refused"),
    [
        (-CLOCK_SKEW_S - 0.25, Refused("future")),
        (-CLOCK_SKEW_S, None),
        (LIFETIME_S - 0.25, None),
        (LIFETIME_S, Refused("expired")),
        (10 * LIFETIME_S, Refused("expired")),
    ],
)
def test_proof_counts_from_its_issue_to_the_end_of_its_life(at_s: float, refused: Refused | None) -> None:
    answer = check_proof(KEYRING, ANNA, PROOF, NOW_S + at_s)
    assert answer == (refused or Passed(ISSUED.id, "proved", LIFETIME_S + CLOCK_SKEW_S - at_s))


@pytest.mark.parametrize(
    ("at_s", "reason"),
    [
        (-CLOCK_SKEW_S - 1, "future"),
        (-1, "early"),
        (0, "early"),
        (WAIT_S - 0.001, "early"),
        (LIFETIME_S - 1, None),
        (LIFETIME_S, "expired"),
    ],
)
def test_step_counts_after_its_wait(at_s: float, reason: str | None) -> None:
    answer = check_step(KEYRING, ANNA, ISSUED.step, NOW_S + at_s)
    assert (answer.reason if isinstance(answer, Refused) else None) == reason


def test_id_stays_spent_until_the_slowest_clock_has_let_it_expire() -> None:
    passed = check_proof(KEYRING, ANNA, PROOF, NOW_S + 100)
    assert isinstance(passed, Passed)
    latest_s = NOW_S + 100 + passed.ttl_s - CLOCK_SKEW_S  # on a clock that is CLOCK_SKEW_S behind when the id is free
    assert check_proof(KEYRING, ANNA, PROOF, latest_s) == Refused("expired")


def test_tokens_of_the_two_kinds_do_not_stand_for_each_other() -> None:
    solution = PROOF[len(ISSUED.token) :]
    assert check_proof(KEYRING, ANNA, ISSUED.step + solution, NOW_S) == Refused("malformed")
    assert check_proof(KEYRING, ANNA, "p" + ISSUED.step[1:] + solution, NOW_S) == Refused("forged")
    assert check_step(KEYRING, ANNA, ISSUED.token, NOW_S + WAIT_S) == Refused("malformed")
    assert check_step(KEYRING, ANNA, "s" + ISSUED.token[1:], NOW_S + WAIT_S) == Refused("forged")


def test_solution_of_another_challenge_is_unsolved() -> None:
    assert check_proof(KEYRING, ANNA, challenge().token + PROOF[44:], NOW_S) == Refused("unsolved")


def test_solution_of_a_lower_difficulty_is_unsolved() -> None:
    hard = challenge(difficulty=MAX_DIFFICULTY)
    assert check_proof(KEYRING, ANNA, solve(hard.token, MIN_DIFFICULTY), NOW_S) == Refused("unsolved")


def test_token_signed_below_the_floor_is_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIN_DIFFICULTY", 0)
        easy = challenge(difficulty=0)
    assert check_proof(KEYRING, ANNA, easy.token + "." + "A" * 32, NOW_S) == Refused("forged")


def test_step_signed_without_a_wait_is_early_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = module._STEP + bytes(9) + int(NOW_S).to_bytes(5, "big") + bytes((16, 0))
    step = module._write(KEYRING, fields, ANNA.digest())
    assert check_step(KEYRING, ANNA, step, NOW_S + 100) == Refused("early")


@pytest.mark.parametrize("at", range(PROOF_CHARACTERS))
def test_proof_with_any_one_character_changed_is_refused(at: int) -> None:
    """A changed nonce may fit by chance (1 in 512 here): then it is another solution of the same challenge."""
    for replacement in [*ALPHABET, ".", "=", "", "AA", " ", "\n", "é"]:
        changed = PROOF[:at] + replacement + PROOF[at + 1 :]
        if changed != PROOF and isinstance(answer := check_proof(KEYRING, ANNA, changed, NOW_S), Passed):
            assert answer.id == ISSUED.id and at > 44 and replacement in ALPHABET


@pytest.mark.parametrize("at", range(44))
def test_step_with_any_one_character_changed_is_refused(at: int) -> None:
    for replacement in [*ALPHABET, ".", "=", "", "AA", " ", "\n", "é"]:
        changed = ISSUED.step[:at] + replacement + ISSUED.step[at + 1 :]
        assert changed == ISSUED.step or isinstance(check_step(KEYRING, ANNA, changed, NOW_S + WAIT_S), Refused)


@pytest.mark.parametrize(
    "changed",
    [
        PROOF + "\n", PROOF + "A", PROOF[:-1], " " + PROOF, PROOF + "=", PROOF.replace(".", "A"), "." + PROOF,
        PROOF.lower(), PROOF + "." + PROOF, ISSUED.token, ISSUED.token + ".", "", ".", "p" * 77, "A" * 1_000_000,
        PROOF[:45] + "\udcff" * 32, PROOF[:45] + "\u0661" * 32, PROOF[:45] + "+" * 32, "\x00" * 77,
    ],
)  # fmt: skip
def test_text_that_is_no_proof_is_malformed_and_raises_nothing(changed: str) -> None:
    answer = check_proof(KEYRING, ANNA, changed, NOW_S)
    assert answer in (Refused("malformed"), Refused("forged"))
    assert isinstance(check_step(KEYRING, ANNA, changed, NOW_S), Refused)


@given(st.text(max_size=200) | st.text(ALPHABET + ".", max_size=120))
def test_any_text_is_refused(text: str) -> None:
    assert isinstance(check_proof(KEYRING, ANNA, text, NOW_S), Refused)
    assert isinstance(check_step(KEYRING, ANNA, text, NOW_S), Refused)
    is_proof(text)


@given(st.text(ALPHABET, min_size=75, max_size=75))
def test_any_word_of_the_form_of_a_proof_is_refused(text: str) -> None:
    word = "p" + text[:43] + "." + text[43:]
    assert is_proof(word)
    assert isinstance(check_proof(KEYRING, ANNA, word, NOW_S), Refused)


@given(st.text(), st.text(), st.text())
def test_any_binding_holds_for_itself_alone(site: str, prefix: str, user_agent: str) -> None:
    binding = Binding(site, prefix, user_agent)
    made = issue(KEYRING, binding, difficulty=16, wait_s=1, now_s=NOW_S, entropy=token_bytes)
    assert isinstance(check_step(KEYRING, binding, made.step, NOW_S + 1), Passed)
    assert check_step(KEYRING, Binding(site + prefix, "", user_agent + "x"), made.step, NOW_S + 1) == Refused("forged")


def test_is_proof_tells_proofs_from_other_client_ids() -> None:
    assert is_proof(PROOF)
    others = [ISSUED.token, ISSUED.step, "", "a" * 77, "AHrlqAAAAAMA~" * 8, PROOF + "x", "s" + PROOF[1:]]
    assert [text for text in others if is_proof(text)] == []


def test_solver_finds_what_the_check_accepts_at_every_difficulty_that_a_test_can_afford() -> None:
    for difficulty in range(MIN_DIFFICULTY, 16):
        made = challenge(difficulty=difficulty)
        assert isinstance(check_proof(KEYRING, ANNA, solve(made.token, difficulty), NOW_S), Passed)


def test_solver_of_an_impossible_difficulty_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.challenge.solver.NONCE_CHARACTERS", 1)
    with pytest.raises(ValueError, match="no nonce gives 61 zero bits"):
        solve(ISSUED.token, 64)


def test_work_of_a_challenge_is_two_to_its_difficulty_and_even() -> None:
    """By the hashes that the solver needs, which its nonces tell: it tries them in order."""
    chance = random.Random(7)
    works = []
    for _ in range(100):
        made = issue(KEYRING, ANNA, difficulty=12, wait_s=0, now_s=NOW_S, entropy=chance.randbytes)
        solution = solve(made.token, 12)[45:]
        works.append(sum(_tried(solution[start : start + 4]) for start in range(0, 32, 4)))
    assert 0.85 < sum(works) / len(works) / 2**12 < 1.15  # its standard deviation is 0.035
    assert max(works) < 3 * 2**12  # a single puzzle would go over this in 1 of 20 solves


def _tried(nonce: str) -> int:
    return sum(ALPHABET.index(digit) * 64**place for digit, place in zip(reversed(nonce), count(), strict=False)) + 1


@pytest.mark.parametrize(
    ("score", "base", "difficulty"),
    [
        (0, 16, 16), (24, 16, 16), (25, 16, 17), (50, 16, 18), (75, 16, 19), (100, 16, 19), (10**9, 16, 19),
        (-50, 16, 16), (0, 0, MIN_DIFFICULTY), (100, 21, MAX_DIFFICULTY), (0, 99, MAX_DIFFICULTY),
    ],
)  # fmt: skip
def test_difficulty_follows_the_score_within_its_bounds(score: int, base: int, difficulty: int) -> None:
    assert difficulty_of(score, base) == difficulty
