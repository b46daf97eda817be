"""The keys of the list. Those that ask the chosen run for something are named by what they do with it now."""

from __future__ import annotations

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("slash", "filter", "Filter", key_display="/", tooltip="show only runs that hold all the words typed"),
    Binding("o", "sort", "Sort", tooltip="newest, by state, by loss, by method, by model"),
    Binding("r", "only_running", "Running", show=False, tooltip="only runs that go on, or all"),
    Binding("s", "set_off('stop')", "Stop", tooltip="let the run finish its step, save its adapter, and end"),
    Binding("p", "set_off('pause')", "Pause", tooltip="let the run wait at the end of its step"),
    Binding("p", "set_off('resume')", "Resume", tooltip="let the run go on"),
    Binding("p", "set_off('continue')", "Continue", tooltip="go on from its last good checkpoint"),
    Binding("e", "repeat", "Repeat", tooltip="begin a new run with its settings, to be changed first"),
    Binding("d,delete", "delete", "Delete", tooltip="remove the run with all its files, after asking"),
    Binding("s", "say_why('stop')", show=False),
    Binding("p", "say_why('pause')", show=False),
    Binding("d,delete", "say_why('delete')", show=False),
    Binding("down", "to_list", show=False),
    Binding("q,escape", "leave", "Leave", key_display="q"),
]
