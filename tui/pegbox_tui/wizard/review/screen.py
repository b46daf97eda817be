"""The last step: look at the whole run once more, then start it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import OptionList, Static

from pegbox_hardware.forecast.memory import Forecast
from pegbox_methods.recipe_file import recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_runs.disk_need import DiskNeed, disk_need
from pegbox_runs.drafts import Draft, StepName
from pegbox_runs.printable import one_line, printable
from pegbox_runs.settling import Settled
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.advice_words import look_at_rows, rows_unseen
from pegbox_tui.wizard.messages import NotStarted, StartAsked, Turned
from pegbox_tui.wizard.review import working
from pegbox_tui.wizard.review.comparing import Comparing
from pegbox_tui.wizard.review.explaining import REVIEW_EXPLAINED
from pegbox_tui.wizard.review.findings import Finding, findings, with_faults, without_recipe
from pegbox_tui.wizard.review.messages import Asked, Checked, Measured, ReviewSettled
from pegbox_tui.wizard.review.save_screen import SaveScreen
from pegbox_tui.wizard.review.todo import Todo
from pegbox_tui.wizard.review.words import facts_text, price_text


class RecipePane(VerticalScroll, can_focus=True):
    """The recipe as text, to be scrolled through."""

    def explanation(self) -> Explanation | None:
        """Explain what stands there."""
        return REVIEW_EXPLAINED


class ReviewStep(Comparing):
    """Shows the recipe with its forecast and checks. What is done here is done in threads; the draft stays as it is."""

    step: ClassVar[StepName] = "review"
    CSS_PATH = "review.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "start", "Start"),
        Binding("t", "measure", "Measure"),
        Binding("v", "save", "Save"),
        Binding("m", "methods", "Compare"),
        Binding("c", "compare", "Collect"),
        Binding("r", "again", "Check again"),
    ]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._need: DiskNeed | None = None
        self._findings: Sequence[Finding] | None = None
        self._measured: Forecast | None = None
        self._measuring: threading.Event | None = None
        self._left = threading.Event()

    def compose_step(self) -> ComposeResult:
        """Lay out the price, what can be done beside the recipe, and below it the facts."""
        yield Static("Putting the recipe together…", id="price", markup=False)
        with Horizontal(id="review"):
            with Vertical(id="left"):
                yield Todo(id="todo", markup=False)
                with VerticalScroll(id="facts", can_focus=True):
                    yield Static(id="facts-text", markup=False)
            with RecipePane(id="recipe"):
                yield Static(id="recipe-text", markup=False)

    def on_mount(self) -> None:
        """Take the keys, and look at everything."""
        self.query_one(Todo).focus()
        self._look()

    def on_unmount(self) -> None:
        """Give a measurement up: nobody is left who would see its answer."""
        self._left.set()
        if self._measuring is not None:
            self._measuring.set()

    def lacking(self) -> str | None:
        """There is no step behind this one: the start is a thing of its own."""
        return "This is the last step: press s to start the run."

    def explanation(self) -> Explanation | None:
        """Explain the step."""
        return REVIEW_EXPLAINED

    def commands(self) -> Iterable[tuple[str, str, Any]]:
        """Offer what the keys do."""
        yield ("Start the run", "it goes on without this terminal (s)", self.action_start)
        yield ("Measure for real", "the first steps, in a process that is thrown away (t)", self.action_measure)
        yield ("Save the recipe", "into a file that `pegbox train` takes (v)", self.action_save)
        yield ("Compare methods", "which is best on these rows (m)", self.action_methods)
        yield ("Add to the comparison", "recipes that share model, rows and split (c)", self.action_compare)
        yield ("Start the comparison", "of all collected recipes", self.start_all)
        yield ("Check again", "look at model, rows and values once more (r)", self.action_again)

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        """Settle the draft, then check it as the start would."""
        draft = self.draft
        self.read_comparison()
        if rows_unseen(
            draft, self.bench
        ):  # named before this wizard was opened; why they can't be read, the checks say
            look_at_rows(draft, self.bench, self._told)
        try:
            settled = self.bench.settled(draft)
            need = self._disk_need(draft, settled)
        except Refusal as refusal:
            self.post_message(ReviewSettled(None, None, refusal.sentence))
            self.post_message(Checked(without_recipe(draft, refusal.sentence, has_model=self._has_model(draft))))
            return
        self.post_message(ReviewSettled(settled, need, measured=self.bench.measured_of(settled.recipe)))
        self.post_message(Checked(with_faults(settled.faults, findings(settled.recipe))))

    def _told(self, _share: float) -> None:
        if self._left.is_set():
            raise Refusal("the step was left.")

    def _has_model(self, draft: Draft) -> bool:
        try:
            return self.bench.model(draft) is not None
        except Refusal:
            return False

    def _disk_need(self, draft: Draft, settled: Settled) -> DiskNeed | None:
        model = self.bench.model(draft)
        if model is None or settled.memory is None:
            return None
        return disk_need(settled.recipe, model, settled.memory.trainable_weights)

    def on_review_settled(self, message: ReviewSettled) -> None:
        """Show the recipe and its price."""
        self._settled, self._need, self._trouble = message.settled, message.need, message.trouble
        self._measured = message.measured
        text = "" if message.settled is None else printable(recipe_text(message.settled.recipe))
        self.query_one("#recipe-text", Static).update(Text(text))
        self.draw()

    def on_checked(self, message: Checked) -> None:
        """Show what would be refused."""
        self._findings = message.findings
        self.draw()

    def draw(self) -> None:
        """Show what is known now."""
        price = self.query_one("#price", Static)
        if self._settled is None:
            hint = "Press r to look again, Escape to go back." if self._trouble else "Putting the recipe together…"
            price.update(Text(" ".join(part for part in (one_line(self._trouble, 600), hint) if part)))
        else:
            width = max(30, price.content_size.width)
            price.update(price_text(self._settled, self._measured, width))
        self.query_one("#facts-text", Static).update(Text(self._facts()))
        self.query_one(Todo).show(self._findings, self._there, measuring=self._measuring is not None)

    def _facts(self) -> str:
        if self._settled is None:
            return printable(self._said)
        checking, faults = self._findings is None, bool(self._findings)
        facts = facts_text(self._settled, self._need, self._measured, checking=checking, faults=faults)
        return f"{printable(self._said)}\n\n{facts}" if self._said else facts

    def on_resize(self, _event: Resize) -> None:
        """Draw the bar as wide as it now may be."""
        self.call_after_refresh(self.draw)

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Do what was chosen."""
        name, _, rest = (event.option_id or "").partition(":")
        if name == "finding" and self._findings:
            self.post_message(Turned(self._findings[int(rest)].step))
        elif name == "entry":
            self.ask_out(rest)
        elif name == "start-all":
            self.start_all()
        else:
            await self.run_action(f"screen.{name}")

    def action_again(self) -> None:
        """Look at everything once more."""
        self._findings = None
        self.say("")
        self._look()

    def action_save(self) -> None:
        """Ask where to."""
        settled = self.asked_for()
        if settled is not None:
            proposed = str(Path("~") / f"{settled.recipe.method.name}.toml")
            self.app.push_screen(SaveScreen(recipe_text(settled.recipe), proposed), self._saved)

    def _saved(self, path: Path | None) -> None:
        if path is not None:
            said = f"Saved. `pegbox train {one_line(str(path), 200)}` starts it."
            self.say(said)

    def action_measure(self) -> None:
        """Begin to measure, or give it up."""
        if self._measuring is not None:
            self._measuring.set()
            return
        settled = self.asked_for()
        if settled is not None:
            self._measuring = threading.Event()
            self.say("The first steps are being taken in a process that is thrown away…")
            self._measure(settled, self.draft, self._measuring)

    @work(thread=True, group="measure")
    def _measure(self, settled: Settled, draft: Draft, left: threading.Event) -> None:
        """Take the first steps in a process of their own."""
        try:
            found = working.measure_for_real(settled, draft, left)
        except Refusal as refusal:
            self.post_message(Measured(None, "" if left.is_set() else refusal.sentence))
        else:
            self.bench.keep_measured(settled.recipe, found)
            self.bench.forget("learned")
            self.post_message(Measured(found))

    def on_measured(self, message: Measured) -> None:
        """Show what it took, or why there is no answer; the draft is as it was."""
        self._measuring = None
        if message.found is not None:
            self._measured = message.found
        given_up = message.trouble or "The measurement was given up."
        self.say("" if message.found is not None else f"! {given_up}")

    def action_start(self) -> None:
        """Start the run, unless something would be refused; ask where there is a doubt."""
        if self._starting:
            return
        if self._findings is None:
            self.say("The checks aren't through yet.")
            return
        if self._findings or self._settled is None:
            why = "\n! ".join(one_line(one.text, 500) for one in self._findings)
            self.say(f"! It can't be started: {why}")
            return
        self._starting = True
        self._doubt(self._settled, self.draft)

    @work(thread=True, exclusive=True, group="start")
    def _doubt(self, settled: Settled, draft: Draft) -> None:
        """Find out what should be asked."""
        try:
            doubt = working.doubts(draft, settled, working.here(draft, settled, self.bench))
        except Refusal as refusal:
            self.post_message(NotStarted(refusal.sentence))
        else:
            self.post_message(Asked(doubt))

    def on_asked(self, message: Asked) -> None:
        """Ask, or begin."""

        def answered(sure: bool | None) -> None:
            if sure and self._settled is not None:
                self._start(self._settled)
            else:
                self._starting = False

        if message.doubt is None:
            answered(True)
        else:
            self.app.push_screen(ConfirmScreen(message.doubt.question, yes=message.doubt.yes), answered)

    def _start(self, settled: Settled) -> None:
        """Have the recipe started: by the wizard, which stays where a step may be left."""
        self.say("The run is being started…")
        self.post_message(StartAsked(self, partial(working.begin, self.draft, settled, self.bench), ends_draft=True))

    def on_not_started(self, message: NotStarted) -> None:
        """Say why; the draft is kept, and the start can be tried again."""
        self._starting = False
        self.action_again()
        self.say(f"! {message.trouble}")
