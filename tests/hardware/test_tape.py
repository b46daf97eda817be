"""The tape: what lives at the same time, in cases small enough to count by hand."""

from __future__ import annotations

from pegbox_hardware.forecast.tape import Tape


def test_a_storage_is_freed_with_its_last_holder() -> None:
    tape = Tape()
    x = tape.bring(10, 2, needs_gradient=False)
    y = tape.run((x,), 6, 2)
    tape.drop(x)
    assert tape.live == 6
    tape.drop(y)
    assert (tape.live, tape.peak) == (0, 16)


def test_what_is_saved_outlives_its_variable_until_the_backward_pass() -> None:
    tape = Tape()
    x = tape.bring(10, 2, needs_gradient=True)
    y = tape.run((x,), 4, 2, saves=(x,))
    tape.drop(x)
    assert tape.live == 14
    tape.drop(y)
    tape.backward(y, 4)
    assert tape.live == 10  # the gradient of x, which is the caller's
    assert tape.peak == 10 + 4 + 10  # what was saved, and both gradients


def test_nothing_is_saved_where_no_gradient_is_needed() -> None:
    tape = Tape()
    x = tape.bring(10, 2, needs_gradient=False)
    kept = tape.keep(5)
    tape.run((x,), 4, 2, saves=(x, kept))
    tape.drop(x)
    assert tape.live == 4
    assert tape.operations == []


def test_scratch_counts_at_the_peak_and_not_after() -> None:
    tape = Tape()
    x = tape.bring(10, 2, needs_gradient=True)
    tape.run((x,), 1, 2, scratch=100, backward_scratch=200)
    assert (tape.live, tape.peak) == (11, 111)


def test_two_gradients_of_one_tensor_are_added_in_a_third_storage() -> None:
    tape = Tape()
    x = tape.bring(10, 2, needs_gradient=True)
    a = tape.run((x,), 10, 2)
    b = tape.run((x,), 10, 2)
    out = tape.run((a, b), 10, 2)
    tape.drop(a, b, x)
    tape.peak = 0
    tape.backward(out, 10)
    # Alive at the worst moment: out, the gradient of a, and x's first gradient, second gradient and their sum.
    assert tape.peak == 50
    assert tape.live == 20


def test_an_addition_hands_its_gradient_on_without_a_copy() -> None:
    tape = Tape()
    a, b = (tape.bring(10, 2, needs_gradient=True) for _ in range(2))
    out = tape.run((a, b), 10, 2, passes=True)
    tape.drop(a, b)
    tape.peak = 0
    tape.backward(out, 10)
    assert tape.peak == 20


def test_a_recomputation_stops_at_the_last_tensor_that_is_saved() -> None:
    tape = Tape()
    x = tape.bring(10, 2, needs_gradient=True)
    y = tape.run((x,), 10, 2, saves=(x,))
    tape.run((y,), 50, 2)
    assert (tape.peak_when_saving, tape.peak) == (20, 70)
