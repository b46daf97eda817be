"""The step of the settings: the recommendation, what it takes, and a form that changes it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantBlur, Resize
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft, StepName
from pegbox_runs.method_offers import for_method
from pegbox_runs.printable import one_line
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.advice_words import look_at_rows, rows_unseen
from pegbox_tui.wizard.settings.card_text import card_text
from pegbox_tui.wizard.settings.choosing import Choosing
from pegbox_tui.wizard.settings.explaining import lines_within, why_text
from pegbox_tui.wizard.settings.fields import FormField, fields_of, that_matter
from pegbox_tui.wizard.settings.form import SettingsForm
from pegbox_tui.wizard.settings.lines import FormLine, lines_of
from pegbox_tui.wizard.settings.messages import DraftSettled, RowsSeen
from pegbox_tui.wizard.settings.stepping import stepped
from pegbox_tui.wizard.settings.typed import NotAccepted, read_typed, write_value
from pegbox_tui.wizard.settings.typing_line import TypingLine
from pegbox_tui.wizard.settings.values import put_back, with_value
from pegbox_tui.wizard.settings.words import CARD_EXPLAINED, PRICE_EXPLAINED, STEP_EXPLAINED, price_text, several

WIDE = 110


class CardPane(VerticalScroll, can_focus=True):
    """The whole recommendation, to be scrolled through."""

    def explanation(self) -> Explanation | None:
        """Explain what the card says."""
        return CARD_EXPLAINED


class SettingsStep(Choosing):
    """Shows what is advised, and changes it. Each change is kept in the draft at once and priced in a thread."""

    step: ClassVar[StepName] = "settings"
    CSS_PATH = "settings.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "everything", "All"),
        Binding("m", "methods", "Methods"),
        Binding("w", "card", "Why"),
        Binding("x", "advised", "All advised", show=False),
        Binding("r", "again", "Try again", show=False),
    ]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._everything = False
        self._trouble = ""
        self._left = threading.Event()
        self._fields: tuple[str, tuple[FormField, ...]] = ("", ())

    def compose_step(self) -> ComposeResult:
        """Lay out the price, the form beside the card, and below why the chosen value is as it is."""
        yield Static("Working out what is advised…", id="price", markup=False)
        with Horizontal(id="settings"):
            yield SettingsForm(id="form")
            with CardPane(id="card"):
                yield Static(id="card-text", markup=False)
        with Vertical(id="below"):
            yield Static(id="why", markup=False)
            yield TypingLine(id="typing")

    def on_mount(self) -> None:
        """Take the keys, and settle the draft."""
        self.query_one(SettingsForm).focus()
        self._settle(self.draft)
        if rows_unseen(self.draft, self.bench):
            self._look(self.draft)

    def on_unmount(self) -> None:
        """Let the thread that looks at the rows end."""
        self._left.set()

    @work(thread=True, group="rows")
    def _look(self, draft: Draft) -> None:
        """Look at rows that were named before this wizard was opened."""

        def told(share: float) -> None:
            if self._left.is_set():
                raise Refusal("the step was left.")
            self.post_message(RowsSeen(min(share, 0.99)))

        self.post_message(RowsSeen(1.0, look_at_rows(draft, self.bench, told)))

    def on_rows_seen(self, message: RowsSeen) -> None:
        """Say how far it is; then settle the draft again, with what is known now."""
        looking = f" Looking at the rows: {message.share:.0%}." if message.share < 1 else ""
        self.query_one("#below").border_title = looking.strip()
        if message.share == 1:
            self._settle(self.draft)
            if message.trouble and not self._left.is_set():
                self.notify(one_line(message.trouble, 600), severity="warning", timeout=30, markup=False)

    def lacking(self) -> str | None:
        """Say what must be mended before the review."""
        if self._settled is None:
            return self._trouble or "The advice is still being worked out."
        return self._settled.faults[0] if self._settled.faults else None

    def explanation(self) -> Explanation | None:
        """Explain the step."""
        return STEP_EXPLAINED if self._settled is None else PRICE_EXPLAINED

    def commands(self) -> Iterable[tuple[str, str, Any]]:
        """Offer what the keys do."""
        yield ("Show everything or what matters", "all settings, or the dozen that decide (e)", self.action_everything)
        yield ("Choose another method", "all methods with what they take here (m)", self.action_methods)
        yield ("Put everything back", "take what is advised, method and all (x)", self.action_advised)

    @work(thread=True, exclusive=True, group="settle")
    def _settle(self, draft: Draft) -> None:
        """Price a draft; what became stale meanwhile is told to nobody."""
        worker = get_current_worker()
        found = self._settle_now(draft)
        if not worker.is_cancelled:
            self.post_message(found)

    def on_draft_settled(self, message: DraftSettled) -> None:
        """Show what the draft came to."""
        if message.draft is not self.draft:
            return
        self._settled, self._trouble = message.settled, message.trouble
        if message.settled is None:
            hint = "Press m to choose a method by hand, r to try again, Escape to go back."
            self.query_one("#price", Static).update(Text(f"{one_line(message.trouble, 600)} {hint}"))
            self.query_one("#card-text", Static).update("")
            self.query_one(SettingsForm).show((), headings=False)
            return
        self._show_price()
        self._show_lines()
        self._show_card()

    def _show_price(self) -> None:
        if self._settled is not None:
            price = self.query_one("#price", Static)
            text = price_text(self._settled, max(30, price.content_size.width), legend=self.has_class("-wide"))
            price.update(text, layout=text.plain.count("\n") + 1 != price.content_size.height)

    def _show_lines(self) -> None:
        settled = self._settled
        if settled is None:
            return
        if self._fields[0] != settled.card.name:
            self._fields = settled.card.name, fields_of(settled.card)
        shown = self._fields[1] if self._everything else that_matter(self._fields[1], several=several(settled))
        form = self.query_one(SettingsForm)
        form.show(lines_of(shown, self.draft, settled), headings=self._everything)
        self._show_why()

    def _show_card(self) -> None:
        pane = self.query_one(CardPane)
        if self._settled is not None and pane.display:
            width = max(30, pane.scrollable_content_region.width - 2)
            narrow = not self.has_class("-wide")
            text = card_text(self._settled, self.draft.serving, width, legend=narrow)
            self.query_one("#card-text", Static).update(text)

    def _show_why(self) -> None:
        line = self.query_one(SettingsForm).line
        if line is not None:
            what, why = lines_within(*why_text(line), max(30, self.app.size.width - 2))
            text = Text("\n".join(what)).append("\n" + "\n".join(why), "dim" if not line.mark else "")
            self.query_one("#why", Static).update(text, layout=False)

    def on_resize(self, _event: Resize) -> None:
        """Draw the bars as wide as they now may be."""
        self.call_after_refresh(self._show_price)
        self.call_after_refresh(self._show_card)
        self.call_after_refresh(self._show_why)

    def on_settings_form_moved(self, _event: SettingsForm.Moved) -> None:
        """Say why of the line that is chosen now."""
        self._show_why()

    def on_settings_form_stepped(self, event: SettingsForm.Stepped) -> None:
        """Take the next value."""
        current = self._current(event.line)
        following = stepped(event.line.field, current, event.direction)
        if following != current:
            self._take(event.line.field.key, following)

    def on_settings_form_opened(self, event: SettingsForm.Opened) -> None:
        """Open a field to type into, or the list of methods."""
        if event.line.field.kind == "method":
            self.action_methods()
        elif event.line.field.kind in ("switch", "choice"):
            self.on_settings_form_stepped(SettingsForm.Stepped(event.line, 1))
        else:
            value = event.typed or ("" if event.line.value is None else write_value(event.line.value))
            self.set_class(True, "-typing")
            self.query_one(TypingLine).open(event.line.field, value, begun=bool(event.typed))

    def on_settings_form_put_back(self, event: SettingsForm.PutBack) -> None:
        """Take the advised value again."""
        if event.line.field.key == "method.name":
            self.take(for_method(self.draft, None))
        elif event.line.field.key in self.draft.values and self._settled is not None:
            self.take_saying(*put_back(self.draft, event.line.field.key, self._settled))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed, if it is accepted; the field stays open otherwise, and says why."""
        event.stop()
        typing = self.query_one(TypingLine)
        try:
            value = read_typed(typing.field, event.value)
        except NotAccepted:
            return
        self._close_typing()
        self._take(typing.field.key, value)

    def on_typing_line_cancelled(self, _event: TypingLine.Cancelled) -> None:
        """Leave the value as it was."""
        self._close_typing()

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """Close the field when the person goes elsewhere: what wasn't entered isn't kept."""
        if isinstance(event.widget, Input) and self.has_class("-typing"):
            self.set_class(False, "-typing")

    def _close_typing(self) -> None:
        self.set_class(False, "-typing")
        self.query_one(SettingsForm).focus()

    def _current(self, line: FormLine) -> Any:
        """Give the newest value: the thread that prices may be behind the keys."""
        return self.draft.values.get(line.field.key, line.value)

    def _take(self, key: str, value: Any) -> None:
        if self._settled is not None:
            self.take_saying(*with_value(self.draft, key, value, self._settled))

    def take(self, draft: Draft) -> None:
        """Have a changed draft kept and priced.

        With the method's advice at hand, a price takes some milliseconds: it is found at once, so that the value and
        the bars move in one frame. Anything else is found in a thread.
        """
        known = self._settled is not None and draft.method == self.draft.method
        self.change(method=draft.method, values=draft.values, step_rows=draft.step_rows)
        if known:
            self.on_draft_settled(self._settle_now(self.draft))
        else:
            self._settle(self.draft)

    def _settle_now(self, draft: Draft) -> DraftSettled:
        try:
            return DraftSettled(draft, self.bench.settled(draft))
        except Refusal as refusal:
            return DraftSettled(draft, None, refusal.sentence)

    def action_everything(self) -> None:
        """Show all settings, or what matters."""
        self._everything = not self._everything
        self._show_lines()

    def action_card(self) -> None:
        """Show the whole card in the form's place, or the form again; side by side where there is room."""
        if self.has_class("-wide"):
            (
                self.query_one(CardPane) if self.query_one(SettingsForm).has_focus else self.query_one(SettingsForm)
            ).focus()
            return
        self.toggle_class("-card")
        shown = self.has_class("-card")
        (self.query_one(CardPane) if shown else self.query_one(SettingsForm)).focus()
        self.call_after_refresh(self._show_card)

    def action_advised(self) -> None:
        """Put everything back to what is advised."""
        self.change(method=None, values={}, step_rows=None)
        self._settle(self.draft)

    def action_again(self) -> None:
        """Try what failed once more."""
        if self._settled is None:
            self.query_one("#price", Static).update("Working out what is advised…")
            self._settle(self.draft)
