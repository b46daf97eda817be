"""The wizard's first step: machines that nobody has here, broken drivers, planning for other cards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import OptionList

from pegbox_hardware.gpu import Gpu, Holder, Trouble
from pegbox_hardware.machine import Machine
from pegbox_hardware.profiles import load_profiles
from pegbox_runs.drafts import Draft, PlannedCard
from pegbox_tui.shell.explaining import Explains, explained
from pegbox_tui.wizard.machine.cards import all_cards, plannable
from pegbox_tui.wizard.machine.screen import MachineStep
from tests.runs.made_up_machines import GIB, cpu_torch, device, gpu, machine, torch
from tests.tui.wizard_steps import CardboardBench, StepApp, notices, reaches, shows, words_of

HOSTILE = "RTX [red]9000[/red]\x1b[31m"
HOLDERS = (Holder(pid=4242, name="python3", memory=12 * GIB), Holder(pid=901, name="Xorg", memory=GIB // 4))
PARTLY = machine(gpu(memory_free=11 * GIB, holders=HOLDERS))
SLICES = machine(
    *(
        gpu(
            index=number,
            name="NVIDIA A100-SXM4-80GB MIG 3g.40gb",
            uuid=f"MIG-{number}",
            memory_total=40 * GIB,
            memory_free=free * GIB,
            compute_capability="8.0",
            slice_of=0,
        )
        for number, free in ((0, 12), (1, 39))
    )
)


def eight() -> Machine:
    cards = (
        gpu(index=number, uuid=f"GPU-{number}", memory_free=(23 if number == 3 else 20) * GIB) for number in range(8)
    )
    return machine(*cards)


def torch_of(gpus: tuple[Gpu, ...]) -> Any:
    return torch(*(device(name=one.name, uuid=one.uuid) for one in gpus))


def app_of(here: Machine | Callable[[], Machine], asked: Any = None, draft: Draft | None = None) -> StepApp:
    if asked is None:
        asked = torch_of(here.gpus) if isinstance(here, Machine) and here.gpus else cpu_torch()
    return StepApp(MachineStep, draft or Draft(), CardboardBench(here, asked))


def options(app: StepApp) -> OptionList:
    return app.screen.query_one("#found", OptionList)


def until(*texts: str) -> Callable[[Pilot[Any]], Any]:
    async def wait(pilot: Pilot[Any]) -> None:
        await shows(pilot, *texts)

    return wait


@pytest.mark.parametrize(
    ("here", "texts", "size"),
    [
        (PARTLY, ("taken by", "bitsandbytes 0"), (80, 24)),
        (PARTLY, ("taken by", "bitsandbytes 0"), (120, 40)),
        (machine(), ("three times over", "bitsandbytes 0"), (80, 24)),
        (eight(), ("GPU 5", "their memory doesn't add up"), (80, 24)),
        (SLICES, ("GPU 0/1 NVIDIA", "torch computes on"), (80, 24)),
    ],
    ids=["one-gpu-80x24", "one-gpu-120x40", "no-gpu-80x24", "eight-gpus-80x24", "two-slices-80x24"],
)
def test_how_it_looks(snap_compare: Any, here: Machine, texts: tuple[str, ...], size: tuple[int, int]) -> None:
    assert snap_compare(app_of(here), terminal_size=size, run_before=until(*texts))


async def test_it_says_what_is_free_what_is_taken_and_by_whom() -> None:
    app = app_of(PARTLY)
    async with app.run_test() as pilot:
        seen = await shows(pilot, "nvidia-smi")
        assert "11.0 GiB free of 24.0 GiB" in seen
        assert "taken by python3 (pid 4242) 12.0 GiB, Xorg (pid 901) 0.2 GiB" in seen
        assert "A run may count on 9.8 GiB" in seen
        assert "look NVIDIA GeForce RTX 4090: only 11.0 GiB" in seen


async def test_the_machine_is_shown_while_torch_is_still_being_asked() -> None:
    answer = threading.Event()

    def ask() -> Any:
        answer.wait(20)
        return torch_of(PARTLY.gpus)

    app = app_of(PARTLY, ask)
    async with app.run_test() as pilot:
        seen = await shows(pilot, "torch is being asked", "11.0 GiB free")
        assert "can't be asked" not in seen
        answer.set()
        seen = await shows(pilot, "torch computes on")
        assert "torch is being asked" not in seen


async def test_that_torch_cannot_be_asked_is_a_finding_with_the_command_that_mends_it() -> None:
    app = app_of(PARTLY, "the worker of the job torch-facts was ended by SIGKILL")
    async with app.run_test(size=(100, 40)) as pilot:
        seen = await shows(pilot, "was ended by SIGKILL")
        assert "bad torch can't be asked" in seen
        assert "--force-reinstall torch" in seen


async def test_whatever_asking_torch_raises_is_a_finding_too() -> None:
    def ask() -> Any:
        raise OSError(28, "No space left on device")

    async with app_of(PARTLY, ask).run_test(size=(100, 40)) as pilot:
        await shows(pilot, "No space left on device")


async def test_a_driver_that_fails_leaves_a_sentence_and_another_try() -> None:
    tries: list[int] = []

    def read() -> Machine:
        tries.append(1)
        if len(tries) < 4:  # both threads ask, and the second try begins with both again
            raise RuntimeError("driver gone [red]\x1b[0m")
        return PARTLY

    app = app_of(read)
    async with app.run_test() as pilot:
        seen = await shows(pilot, "the machine can't be read: RuntimeError: driver gone [red]\\x1b[0m")
        assert "r tries again" in seen
        await pilot.press("ctrl+n")
        assert app.turns == []
        while "11.0 GiB free" not in words_of(app):
            await pilot.press("r")
            await pilot.pause(0.05)
        await pilot.press("ctrl+n")
        await reaches(pilot, lambda: app.turns == ["next"])


async def test_without_a_gpu_it_says_what_that_means_and_how_long_things_take() -> None:
    app = app_of(machine(troubles=(Trouble(about="nvidia-driver", sentence="no driver."),)))
    async with app.run_test(size=(100, 40)) as pilot:
        seen = await shows(pilot, "three times over: SmolLM2-135M about")
        assert "Next → No GPU that a run can use: no driver. If an NVIDIA card should be here, `pegbox doctor`" in seen
        assert "w plans for a GPU that you might rent" in seen


async def test_of_several_it_says_which_one_a_run_gets_and_why() -> None:
    app = app_of(eight())
    async with app.run_test(size=(80, 30)) as pilot:
        seen = await shows(pilot, "GPU 7", "A run gets GPU 3: none has more room")
        assert "their memory doesn't add up" in seen
        assert "GPU 3 NVIDIA GeForce RTX 4090, 23.0 GiB free of 24.0 GiB ← a run gets this one" in seen
        await pilot.press("end")
        await shows(pilot, "are free for models")


async def test_a_faster_device_with_less_room_is_named_with_the_way_to_use_it() -> None:
    cards = (
        gpu(name="Tesla T4", memory_total=15 * GIB, memory_free=15 * GIB, compute_capability="7.5"),
        gpu(index=1, uuid="GPU-fast", memory_free=9 * GIB),
    )
    async with app_of(machine(*cards)).run_test(size=(100, 40)) as pilot:
        seen = await shows(pilot, "A run gets GPU 0", "RTX 4090 is faster, with 7.8 GiB to count on")
        assert "CUDA_VISIBLE_DEVICES=GPU-fast pegbox takes that one" in seen


async def test_names_of_drivers_and_programs_are_shown_and_never_act() -> None:
    hostile = gpu(name=HOSTILE, holders=(Holder(pid=1, name="[bold]x\x1b[2J", memory=20 * GIB),), memory_free=2 * GIB)
    app = app_of(machine(hostile))
    async with app.run_test(size=(120, 40)) as pilot:
        seen = await shows(pilot, "RTX [red]9000[/red]\\x1b[31m", "[bold]x\\x1b[2J (pid 1)")
        assert "\x1b" not in seen


async def test_what_if_finds_a_card_as_one_types_plans_for_it_and_one_key_comes_back() -> None:
    app = app_of(PARTLY)
    async with app.run_test() as pilot:
        await shows(pilot, "11.0 GiB free")
        await pilot.press("w", *"h100 sx")
        await shows(pilot, "H100 SXM")
        await pilot.press("enter")
        seen = await shows(pilot, "PLAN: H100 SXM")
        assert "It isn't in this machine" in seen
        assert "nothing is measured or started" in seen
        assert app.answers[-1].planned == PlannedCard(gpu="H100 SXM")
        await pilot.press("t")
        await shows(pilot, "For this machine: NVIDIA GeForce RTX 4090")
        assert app.answers[-1].planned is None


async def test_what_if_takes_an_amount_of_memory_too() -> None:
    app = app_of(PARTLY)
    async with app.run_test() as pilot:
        await shows(pilot, "11.0 GiB free")
        await pilot.press("w", *"24")
        await shows(pilot, "any card of 24 GiB")
        await pilot.press("enter")
        await shows(pilot, "PLAN: a card of 24 GiB")
        assert app.answers[-1].planned == PlannedCard(vram_gib=24.0)


async def test_escape_in_what_if_leaves_all_as_it_was() -> None:
    app = app_of(PARTLY)
    async with app.run_test() as pilot:
        await shows(pilot, "11.0 GiB free")
        await pilot.press("w", *"zzz")
        await shows(pilot, "No known card is called that")
        await pilot.press("enter", "escape")
        await shows(pilot, "For this machine")
        assert app.answers == []


async def test_a_planned_card_is_shown_again_and_one_that_is_gone_from_the_table_is_told() -> None:
    async with app_of(PARTLY, draft=Draft(planned=PlannedCard(gpu="RTX 3090"))).run_test() as pilot:
        await shows(pilot, "PLAN: GeForce RTX 3090", "Back to this machine")
    app = app_of(PARTLY, draft=Draft(planned=PlannedCard(gpu="NoSuchCard 1")))
    async with app.run_test() as pilot:
        await shows(pilot, "no card named 'NoSuchCard 1' is known")
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.turns == []
        await pilot.press("t")
        await shows(pilot, "For this machine: NVIDIA GeForce RTX 4090")


async def test_enter_goes_on_and_on_a_finding_it_copies_the_command() -> None:
    app = app_of(PARTLY)
    async with app.run_test(size=(100, 40)) as pilot:
        await shows(pilot, "torch computes on")
        await pilot.press("enter")
        await reaches(pilot, lambda: app.turns == ["next"])
        options(app).highlighted = next(
            number for number, option in enumerate(options(app).options) if option.id == "finding-0"
        )
        await pilot.press("enter")
        await reaches(pilot, lambda: notices(app) == ["Sent to the terminal's clipboard, if it has one: nvidia-smi"])
        assert app.clipboard == "nvidia-smi"


async def test_a_click_on_what_if_asks_for_the_card() -> None:
    app = app_of(PARTLY)
    async with app.run_test() as pilot:
        await shows(pilot, "torch computes on")
        await pilot.click("#found", offset=(10, 1))
        await shows(pilot, "Plan for which card?")


async def test_read_anew_sees_memory_that_became_free() -> None:
    seen_machines = iter([PARTLY, machine(gpu(memory_free=23 * GIB))])
    app = app_of(lambda: next(seen_machines), torch_of(PARTLY.gpus))
    async with app.run_test() as pilot:
        await shows(pilot, "11.0 GiB free", "torch computes on")
        await pilot.press("r")
        await shows(pilot, "23.0 GiB free of 24.0 GiB", "torch computes on")


async def test_every_line_explains_itself_in_its_own_words() -> None:
    app = app_of(machine(gpu(memory_free=11 * GIB, holders=HOLDERS), memory_limit=32 * GIB))
    async with app.run_test(size=(120, 50)) as pilot:
        await shows(pilot, "torch computes on")
        found = options(app)
        said = {}
        for number, option in enumerate(found.options):
            if not option.disabled:
                found.highlighted = number
                explanation = explained(app.screen)
                assert explanation is not None
                said[option.id] = explanation
        assert len({explanation.text for explanation in said.values()}) == len(said)
        assert all(one.source for id_, one in said.items() if id_ not in {"go-on", "this-machine"})
        assert "What is free counts" in said["gpu-0"].text


async def test_the_question_for_a_card_explains_the_card() -> None:
    app = app_of(PARTLY)
    async with app.run_test() as pilot:
        await shows(pilot, "11.0 GiB free")
        await pilot.press("w", *"4090")
        await shows(pilot, "GeForce RTX 4090")
        screen = app.screen
        assert isinstance(screen, Explains)
        explanation = screen.explanation()
        assert explanation is not None
        assert explanation.title == "GeForce RTX 4090"
        assert "GB/s" in explanation.text
        assert explanation.source


def test_each_card_of_the_table_can_be_planned_for_by_what_it_is_listed_as() -> None:
    profiles = load_profiles()
    cards = all_cards(profiles)
    assert len(cards) > 100
    for card in cards:
        assert profiles.card(card.name) == card
        assert any(one.card == card for one in plannable(card.name, cards))


@pytest.mark.parametrize(("typed", "size"), [("24", 24), ("11.5 gib", 11.5), ("48g", 48), ("0", None), ("4090x", None)])
def test_an_amount_of_memory_is_read_as_people_write_it(typed: str, size: float | None) -> None:
    sizes = [one.planned.vram_gib for one in plannable(typed, ()) if one.planned.vram_gib]
    assert sizes == ([] if size is None else [size])


def test_a_long_command_stands_whole_in_its_line() -> None:
    from pegbox_runs.finding import Finding
    from pegbox_tui.wizard.machine.messages import Found
    from pegbox_tui.wizard.machine.words import doctor_lines

    command = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130 " + "x" * 60
    finding = Finding(level="red", about="torch-build", text="torch has no CUDA.", command=command)
    (line,) = doctor_lines(Found(machine=PARTLY, judged=(finding,)))
    console = Console(width=78)
    with console.capture() as shown:
        console.print(line.text)
    assert command.replace(" ", "") in "".join(shown.get().split()).replace("try", "", 1)
