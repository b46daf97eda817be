"""Floor 2: the contract of a method (card, settings, recipe, events, hooks) and the methods themselves.

A plugin needs nothing else of Pegbox: `from pegbox_methods import Card, Setting, hookimpl`.
"""

from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.refusal import Refusal
from pegbox_methods.setting import Setting
from pegbox_methods.task import Task, TaskRow

__all__ = ["Card", "Footprint", "Needs", "Reason", "Refusal", "Setting", "Task", "TaskRow", "hookimpl"]
