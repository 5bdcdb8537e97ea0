"""Threads and memory of the machine, as far as Striate decides about them."""

import numpy as np
import pytest

import striate as st
from striate import _core
from striate.engine import machine


def test_threads_are_those_asked_for_then_the_variable_then_the_processors(monkeypatch):
    monkeypatch.delenv("STRIATE_THREADS", raising=False)
    assert machine.thread_count() == _core.hardware_threads() >= 1
    monkeypatch.setenv("STRIATE_THREADS", "5")
    assert machine.thread_count() == 5
    assert machine.thread_count(3) == 3


@pytest.mark.parametrize("text", ["0", "many", "-1", "99999"])
def test_a_variable_that_is_no_number_of_threads_is_refused(monkeypatch, text):
    monkeypatch.setenv("STRIATE_THREADS", text)
    with pytest.raises(st.UsageError, match=f"STRIATE_THREADS .* but is '{text}'"):
        machine.thread_count()


def test_threads_of_numpy_are_whole_numbers():
    assert machine.thread_count(np.int64(2)) == 2


def test_an_instruction_set_there_is_not_is_wrong_usage(monkeypatch):
    monkeypatch.setenv("STRIATE_ISA", "avx9")
    with pytest.raises(
        st.UsageError, match=r"STRIATE_ISA must be one .* but is 'avx9'"
    ):
        st.lenet5()


def test_threads_that_are_no_whole_number_are_refused():
    for value in (2.0, True, "2"):
        with pytest.raises(TypeError, match="threads must be a whole number"):
            machine.thread_count(value)


def test_memory_is_known_on_linux_and_checked_in_words(monkeypatch):
    available = machine.available_memory()
    assert 2**20 < available < 2**50
    machine.check_memory(available // 2, "this", "nothing")
    with pytest.raises(
        st.UsageError, match=r"this takes 1125\.9 TB of memory .*; do less"
    ):
        machine.check_memory(2**50, "this", "do less")
    monkeypatch.setattr(machine, "available_memory", lambda: None)
    machine.check_memory(2**60, "unknown", "nothing")
