"""A limit on foreign code's time: in the main thread by a signal, in any other by an exception from outside."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from pegbox_runs.rows.chat_template import NoTemplate
from pegbox_runs.rows.masking import mask_rows
from pegbox_runs.rows.time_limit import TookTooLong, time_limit


def work_for(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_work_that_takes_too_long_is_ended_and_the_former_alarm_is_back() -> None:
    former, begin = signal.getsignal(signal.SIGVTALRM), time.process_time()
    with pytest.raises(TookTooLong), time_limit(0.05):
        work_for(10)
    assert time.process_time() - begin < 5
    assert signal.getsignal(signal.SIGVTALRM) is former
    work_for(0.1)  # no alarm is left behind


def test_waiting_costs_nothing_of_a_limit() -> None:
    with time_limit(0.05):
        time.sleep(0.2)


def test_an_outer_limit_goes_on_after_an_inner_one() -> None:
    def short_and_long() -> None:
        with pytest.raises(TookTooLong), time_limit(0.05):
            work_for(10)
        work_for(10)

    with pytest.raises(TookTooLong), time_limit(0.2):
        short_and_long()


def test_another_thread_has_a_limit_too_and_goes_on_after_it() -> None:
    said: list[str] = []

    def work() -> None:
        try:
            with time_limit(0.1):
                work_for(10)
        except TookTooLong:
            said.append("ended")
        with time_limit(0.1):
            said.append("short")
        time.sleep(0.3)  # a late alarm would rise here
        said.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(8)
    assert said == ["ended", "short", "done"]


def test_the_limit_is_one_rows_and_not_that_of_all_rows() -> None:
    from pegbox_runs.light_tokenizer import LightTokenizer
    from pegbox_runs.models import BUNDLED
    from pegbox_runs.rows.chat_template import ChatTemplate
    from pegbox_runs.rows.example import Conversation, Message

    tokenizer = LightTokenizer(BUNDLED / "model")
    slow = "{% for a in range(20000) %}{% endfor %}{% generation %}x{% endgeneration %}"
    tokenizer.template = ChatTemplate(slow, {})
    rows = [Conversation((Message("user", "a"), Message("assistant", "b")))] * 400
    begin = time.process_time()
    assert len(list(mask_rows(rows, tokenizer, 0.15))) == 400
    assert time.process_time() - begin > 0.15


@pytest.mark.parametrize("threaded", [False, True])
def test_a_chat_template_that_never_ends_is_a_refusal(threaded: bool) -> None:
    from pegbox_runs.light_tokenizer import LightTokenizer
    from pegbox_runs.models import BUNDLED
    from pegbox_runs.rows.chat_template import ChatTemplate
    from pegbox_runs.rows.example import Conversation, Message

    tokenizer = LightTokenizer(BUNDLED / "model")
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    tokenizer.template = ChatTemplate(endless, {})
    said: list[str] = []

    def mask() -> None:
        try:
            list(mask_rows([Conversation((Message("user", "a"), Message("assistant", "b")))], tokenizer, 0.1))
        except NoTemplate as refusal:
            said.append(refusal.sentence)

    if threaded:
        thread = threading.Thread(target=mask)
        thread.start()
        thread.join(8)
    else:
        mask()
    assert said
    assert "takes more than 0.1 s for a row" in said[0]
