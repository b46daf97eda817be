"""How methods come in: names without imports, one that raises, all of them with the broken fenced off."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pegbox_methods import dropped, fence, registry
from pegbox_methods.card_check import card_faults
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import load_torch_half
from pegbox_methods.zoo.lora.card import CARD
from tests.methods.guests import distribution, drop, source

OURS = registry.method_names()
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install distributions where this process looks for them."""

    def installed(name: str, text: str, *, dist: str = "a-guest") -> Path:
        folder = distribution(tmp_path / "site" / dist, name, text, dist=dist)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    return installed


def warnings() -> list[str]:
    """List what is said of guests; our own that aren't written yet are no matter of theirs."""
    return [said for said in registry.all_cards()[1] if not said.startswith("pegbox ")]


def names() -> list[str]:
    return [card.name for card in registry.all_cards()[0]]


def test_lora_comes_in_by_the_door_of_guests() -> None:
    assert "lora" in registry.method_names()
    assert registry.find_card("lora") is CARD
    assert registry.origin_of("lora").startswith("pegbox ")


def test_a_distribution_stands_beside_our_own(install: Install) -> None:
    before = names()
    install("guest", source("guest"))
    assert registry.method_names() == tuple(sorted((*OURS, "guest")))
    assert names() == sorted((*before, "guest"))
    assert not warnings()
    assert registry.find_card("guest").settings[0].maximum == 77
    assert registry.origin_of("guest") == "a-guest 1.2"


def test_a_file_in_the_drop_in_folder_is_a_method_called_like_the_file(home: Path) -> None:
    drop(home, "my_guest.py", source("my-guest"))
    assert "my-guest" in registry.method_names()
    assert "my-guest" in names()
    assert registry.find_card("my-guest").title == "A guest"
    assert registry.origin_of("my-guest") == "drop-in my_guest.py"
    assert not warnings()


def test_listing_names_runs_no_drop_in(home: Path) -> None:
    drop(home, "loud.py", "raise SystemExit(3)")
    assert "loud" in registry.method_names()


def test_hidden_files_and_those_of_other_kinds_are_no_plugins(home: Path) -> None:
    for file in ("_shared.py", ".hidden.py", "notes.txt", "py"):
        drop(home, file, "raise SystemExit")
    (home / "methods" / "folder.py").mkdir()
    assert registry.method_names() == OURS


def test_a_drop_in_called_like_a_library_shadows_nothing_and_leaves_no_bytecode(home: Path) -> None:
    import random

    before = list(sys.path)
    drop(home, "random.py", source("random"))
    registry.find_card("random")
    assert sys.modules["random"] is random
    assert sys.path == before
    assert [file.name for file in (home / "methods").iterdir()] == ["random.py"]


def test_a_drop_in_is_imported_once_and_holds_its_own_torch_half(home: Path) -> None:
    text = source("one-file", changes='torch_half=f"{__name__}:half"', after="half = object()")
    drop(home, "one_file.py", text)
    card = registry.find_card("one-file")
    assert registry.find_card("one-file") is card
    assert load_torch_half(card) is sys.modules["pegbox_dropped.one_file"].half


def test_a_dataclass_in_a_drop_in_finds_its_module(home: Path) -> None:
    before = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass Pair:\n    a: int"
    drop(home, "pair.py", source("pair", before=before))
    assert registry.find_card("pair").name == "pair"


@pytest.mark.parametrize("mode", [0o602, 0o620])
def test_a_drop_in_that_others_can_write_is_not_run(home: Path, mode: int) -> None:
    file = drop(home, "open.py", "raise SystemExit")
    file.chmod(mode)
    assert "others can write" in warnings()[0]
    assert f"chmod go-w '{file}'" in warnings()[0]


def test_a_drop_in_folder_that_others_can_write_is_not_believed(home: Path) -> None:
    drop(home, "guest.py", source("guest"))
    (home / "methods").chmod(0o777)
    with pytest.raises(Refusal, match="others can write"):
        registry.find_card("guest")
    (home / "methods").chmod(0o700)
    assert registry.find_card("guest")


def test_a_drop_in_of_another_user_is_not_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = drop(home, "foreign.py", source("foreign"))
    if os.geteuid() == 0:  # root's own files are everybody's to trust, and root can give them away
        os.chown(file, 12345, -1)
    else:
        monkeypatch.setattr(dropped.os, "geteuid", lambda: 12345)
    assert "belongs to another user" in warnings()[0]


def test_our_own_name_beats_a_distribution_and_that_beats_a_drop_in(home: Path, install: Install) -> None:
    install("lora", source("lora"))
    install("guest", source("guest"), dist="b-guest")
    drop(home, "lora.py", source("lora"))
    drop(home, "guest.py", source("guest", changes='source="the file"'))
    assert registry.find_card("lora") is CARD
    assert registry.find_card("guest").source == CARD.source
    assert registry.origin_of("guest") == "b-guest 1.2"
    said = warnings()
    assert len(said) == 3
    assert 'drop-in guest.py: the name "guest" is taken by b-guest 1.2' in said[0]
    assert all('the name "lora" is taken by pegbox ' in line for line in said[1:])


def test_two_files_of_one_name_are_one_method_and_one_line(home: Path) -> None:
    for file in ("two_names.py", "two-names.py"):
        drop(home, file, source("two-names"))
    assert names().count("two-names") == 1
    assert len(warnings()) == 1


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Refusal, match=r'no method is called "lorra"; did you mean "lora"'):
        registry.find_card("lorra")


HOOK = "from pegbox_methods import hookimpl\n@hookimpl\ndef pegbox_card():\n    "
BROKEN = {
    "raises at import": ("raise ValueError('first line\\n  second line')", "ValueError: first line second line"),
    "leaves the process": ("raise SystemExit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "lacks a library": ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    "is no Python": ("this is no Python", "SyntaxError"),
    "is no text": ("\0", "null bytes"),
    "can't say what is wrong": (
        "class Mute(Exception):\n    def __str__(self):\n        raise OSError\nraise Mute",
        "left out: Mute",
    ),
    "raises in the hook": (f"{HOOK}1 / 0", "ZeroDivisionError: division by zero"),
    "misspells the hook": ("from pegbox_methods import hookimpl\n@hookimpl\ndef pegbox_crad(): ...", "pegbox_crad"),
    "wants an argument": (
        "from pegbox_methods import hookimpl\n@hookimpl\ndef pegbox_card(wanted): ...",
        "hook 'pegbox_card'",
    ),
    "gives no card": (f"{HOOK}return 'lora'", "in place of a Card"),
    "has no hook": ("", "doesn't answer the hook pegbox_card"),
    "is called otherwise": (source("other"), 'installed as "bad" but its card is called "other"'),
    "lacks a field": (
        "from pegbox_methods import Card\nCard(name='bad')",
        "required keyword-only arguments: 'title', 'summary'",
    ),
    "has a source that is no text": (source("bad", changes="source=3"), "card.source: expected a text of one line"),
    "has a rate that is none": (source("bad", changes="learning_rate=-1"), "card.learning_rate = -1"),
    "has least steps that are no function": (
        source("bad", changes="least_steps=20"),
        "card.least_steps: expected a function of settings, got int",
    ),
    "has a function of too much for its least steps": (
        source("bad", changes="least_steps=lambda shape, settings: 20"),
        "card.least_steps: expected a function of settings: missing a required argument",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_guest_is_one_line_and_everything_else_works(kind: str, home: Path) -> None:
    text, says = BROKEN[kind]
    before = names()
    drop(home, "bad.py", text)
    assert names() == before
    (said,) = warnings()
    assert says in said
    assert "\n" not in said
    assert said.startswith('drop-in bad.py: the method "bad" is left out: ')
    with pytest.raises(Refusal) as refused:
        registry.find_card("bad")
    assert refused.value.sentence.startswith(said)
    assert registry.find_card("lora") is CARD


def test_a_broken_distribution_is_one_line_too(install: Install) -> None:
    install("bad", "raise SystemExit")
    assert warnings() == ['a-guest 1.2: the method "bad" is left out: SystemExit']


def test_a_name_that_no_recipe_could_hold_is_one_line(home: Path) -> None:
    drop(home, "My Method.py", source("My Method"))
    assert registry.method_names() == OURS
    assert "small letters, digits and hyphens" in warnings()[0]


def test_a_file_whose_name_is_no_text_is_one_line_that_can_be_printed(home: Path) -> None:
    drop(home, os.fsdecode(b"odd\xff.py"), source("odd"))
    (said,) = warnings()
    assert said.encode().startswith(b"drop-in odd\\xff.py: ")


def test_a_mended_drop_in_comes_in(home: Path) -> None:
    drop(home, "mended.py", "raise ValueError")
    assert "mended" not in names()
    drop(home, "mended.py", source("mended"))
    assert "mended" in names()


def test_what_a_guest_prints_does_not_get_among_the_answers(home: Path) -> None:
    drop(home, "talker.py", source("talker", before="print('hello')"))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        registry.find_card("talker")
    assert (out.getvalue(), err.getvalue()) == ("", "hello\n")


def test_a_guest_that_hangs_is_left_out_and_waited_for_only_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "LIMIT_SECONDS", 0.3)
    drop(home, "sleeper.py", "import time\ntime.sleep(3)")
    before = names()
    begin = time.monotonic()
    assert warnings() == ['drop-in sleeper.py: the method "sleeper" is left out: it takes longer than 0.3 s to come in']
    assert names() == before
    assert time.monotonic() - begin < 2.5


def test_what_a_hanging_guest_prints_later_never_reaches_standard_output(home: Path) -> None:
    drop(home, "late.py", "import time\ntime.sleep(0.6)\nprint('LATE NOISE')\ntime.sleep(30)")
    program = (
        "import time\nfrom pegbox_methods import fence, registry\nfence.LIMIT_SECONDS = 0.3\n"
        "registry.all_cards()\ntime.sleep(0.8)\nprint('{}')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n"
    assert "LATE NOISE" in done.stderr


def test_a_guest_that_hangs_does_not_touch_who_asks_for_another(home: Path) -> None:
    drop(home, "sleeper.py", "import time\ntime.sleep(30)")
    begin = time.monotonic()
    assert registry.find_card("lora") is CARD
    assert "sleeper" in registry.method_names()
    assert time.monotonic() - begin < 5


def test_a_slow_guest_is_used_and_named_with_its_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "LIMIT_SECONDS", 60.0)
    drop(home, "slow.py", source("slow", before="import time\ntime.sleep(0.6)"))
    cards, said = registry.all_cards()
    assert "slow" in {card.name for card in cards}
    (line,) = (one for one in said if "slow.py" in one)
    assert re.match(r'drop-in slow.py: the method "slow" takes \d+\.\d s to come in', line)


def test_a_real_interrupt_of_the_person_still_ends_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(home, "guest.py", source("guest"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fence.threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        registry.find_card("guest")


def test_a_home_that_is_no_folder_holds_no_drop_ins(home: Path) -> None:
    home.write_text("")
    assert registry.method_names() == OURS


@pytest.mark.parametrize("name", OURS)
def test_our_own_cards_pass_the_check_that_guests_pass(name: str) -> None:
    assert not [*card_faults(registry.find_card(name))]
