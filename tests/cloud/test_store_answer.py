import pytest

from edge.cloud.archive import Advice, StoreOutcome
from edge.cloud.store_answer import advice_for, results_of, shortened
from edge.dicom.instance import InstanceRef

ONE, TWO, THREE = (InstanceRef("1.2", "1.2.3", f"1.2.3.{number}") for number in (1, 2, 3))


def item(ref, **more):
    return {"00081155": {"vr": "UI", "Value": [ref.sop_uid]}} | {
        tag.removeprefix("x"): {"vr": "US", "Value": [value]} for tag, value in more.items()
    }


def sequence(*items):
    return {"vr": "SQ", "Value": list(items)}


def outcomes(refs, answer, status):
    return [result.outcome for result in results_of(refs, answer, status=status)]


@pytest.mark.parametrize("status", [200, 202, 409, 400, 500])
def test_success_is_a_uid_among_the_referenced_whatever_the_status(status):
    answer = {
        "00081199": sequence(item(ONE)),
        "00081198": sequence(item(TWO, x00081197=0xA900)),
    }
    assert outcomes([ONE, TWO, THREE], answer, status) == [
        StoreOutcome.STORED,
        StoreOutcome.FAILED,
        StoreOutcome.UNKNOWN,
    ]


def test_a_warning_still_means_stored():
    answer = {"00081199": sequence(item(ONE, x00081196=0xB000))}
    (result,) = results_of([ONE], answer, status=202)
    assert (result.outcome, result.reason) == (StoreOutcome.STORED, 0xB000)


def test_other_failures_count_as_failures():
    answer = {"0008119A": sequence(item(ONE, x00081197=0xC000))}
    (result,) = results_of([ONE], answer, status=409)
    assert (result.outcome, result.advice) == (StoreOutcome.FAILED, Advice.QUARANTINE)


def test_what_is_both_stored_and_failed_is_stored():
    answer = {
        "00081199": sequence(item(ONE)),
        "00081198": sequence(item(ONE, x00081197=0x0110)),
    }
    assert outcomes([ONE], answer, 202) == [StoreOutcome.STORED]


@pytest.mark.parametrize("answer", [None, {}, {"00081199": {"vr": "SQ"}}, {"00081199": {}}])
def test_silence_is_unknown_not_success(answer):
    assert outcomes([ONE, TWO], answer, 200) == [StoreOutcome.UNKNOWN] * 2


def test_a_refusal_of_a_lonely_instance_is_meant_for_it():
    (result,) = results_of([ONE], None, status=400, text="no such transfer syntax")
    assert (result.outcome, result.advice) == (StoreOutcome.FAILED, Advice.RETRY)
    assert result.text == "no such transfer syntax"


def test_a_refusal_of_several_says_nothing_about_each():
    assert outcomes([ONE, TWO], None, 400) == [StoreOutcome.UNKNOWN] * 2


def test_uids_that_were_not_sent_are_ignored_and_padding_is_forgiven():
    padded = item(ONE)
    padded["00081155"]["Value"] = [ONE.sop_uid + "\0"]
    answer = {"00081199": sequence(item(THREE), padded)}
    assert outcomes([ONE, TWO], answer, 202) == [StoreOutcome.STORED, StoreOutcome.UNKNOWN]


@pytest.mark.parametrize(
    "answer",
    [
        {"00081199": "nonsense"},
        {"00081199": {"Value": "nonsense"}},
        {"00081199": {"Value": ["nonsense", None, 3]}},
        {"00081199": sequence({"00081155": {"Value": [3]}})},
        {"00081199": sequence({"00081155": {"Value": []}})},
        {"00081198": sequence(item(ONE, x00081197="many"))},
    ],
)
def test_an_ill_formed_answer_never_means_stored(answer):
    assert StoreOutcome.STORED not in outcomes([ONE], answer, 200)


def test_the_archives_own_words_are_kept_at_any_depth():
    failed = item(ONE, x00081197=0x0110)
    failed["00741048"] = sequence({"00000902": {"vr": "LO", "Value": ["bad\r\n  value"]}})
    failed["00091001"] = {"vr": "LO", "Value": ["in private"]}
    (result,) = results_of([ONE], {"00081198": sequence(failed)}, status=409)
    assert result.text == "bad value; in private"


def test_words_beside_the_sequences_are_given_to_the_silent():
    answer = {"00000902": {"vr": "LO", "Value": ["two parts could not be read"]}}
    results = results_of([ONE, TWO], answer, status=400)
    assert {result.text for result in results} == {"two parts could not be read"}


@pytest.mark.parametrize(
    ("reason", "text", "advice"),
    [
        (0xA700, "", Advice.FULL),
        (0xA702, "", Advice.FULL),
        (0x0110, "", Advice.RETRY),
        (272, "Instance already exists", Advice.COMPARE),
        (0x0111, "", Advice.COMPARE),
        (0xA900, "", Advice.QUARANTINE),  # Azure says 43264
        (0xC000, "", Advice.QUARANTINE),
        (0xC122, "", Advice.QUARANTINE),
        (0x0122, "", Advice.QUARANTINE),
        (45070, "", Advice.COMPARE),
        (45071, "", Advice.WAIT),
        (43265, "", Advice.QUARANTINE),
        (0xA771, "", Advice.QUARANTINE),
        (0xA778, "", Advice.QUARANTINE),
        (0xA77A, "", Advice.WAIT),
        (None, "", Advice.RETRY),
        (1, "", Advice.RETRY),
    ],
)
def test_each_failure_reason_has_its_advice(reason, text, advice):
    assert advice_for(reason, text) is advice


@pytest.mark.parametrize("reason", [0xA700, 0x0110, 0xC000])
def test_one_that_was_alone_and_too_long_is_refused_for_good_whatever_the_reason(reason):
    answer = {"00081198": sequence(item(ONE, x00081197=reason))}
    (result,) = results_of([ONE], answer, status=413)
    assert (result.advice, result.reason) == (Advice.QUARANTINE, reason)


def test_long_words_are_shortened():
    assert len(shortened("x" * 10_000)) == 500
