"""`pegbox methods`, and a method that is added while everything else stays as it is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from pegbox.methods_view import show_list, show_method
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card
from pegbox_methods.certificate import Certificate, Check, write_certificates
from pegbox_methods.recipe import Method, Model, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import all_cards, find_card, origin_of
from pegbox_methods.suitability import Conditions
from pegbox_runs import method_facts
from pegbox_runs.method_facts import MethodFacts, facts_of, known_certificates
from pegbox_runs.models import BUNDLED, inspect_config
from pegbox_runs.preflight import check
from tests.commands import pegbox, write_recipe_text
from tests.house import generated
from tests.methods.guests import distribution, drop, source

SHAPE = inspect_config("bundled", BUNDLED / "model", from_hub=False).shape
HALF = '''
def __getattr__(name):
    """Give the torch half where it is asked for, and load nothing before."""
    if name != "half":
        raise AttributeError(name)
    from pegbox_methods.zoo.lora.half_torch import half

    return half
'''
GUEST = source("my-guest", changes='torch_half=f"{__name__}:half"', after=HALF)


def shape() -> ModelShape:
    assert SHAPE is not None
    return SHAPE


@pytest.fixture(params=["drop-in", "distribution"])
def added(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Add a method by either door. Returns: the environment in which commands find it."""
    if request.param == "drop-in":
        drop(home, "my_guest.py", GUEST)
        return {}
    site = distribution(tmp_path / "site", "my-guest", GUEST)
    monkeypatch.syspath_prepend(str(site))
    return {"PYTHONPATH": str(site)}


def method_branches(schema: dict[str, Any]) -> dict[str, Any]:
    return {one["properties"]["name"]["const"]: one for one in schema["$defs"]["Method"]["anyOf"]}


def test_an_added_method_is_in_the_list_and_has_a_page(added: dict[str, str], home: Path) -> None:
    listed = json.loads(pegbox("methods", "--json", home=home, **added).stdout)
    (one,) = (method for method in listed["methods"] if method["name"] == "my-guest")
    assert one["settings"][0]["maximum"] == 77
    assert one["trainable_weights"] > 0
    assert "Comes to stay." in pegbox("methods", home=home, **added).stdout
    page = pegbox("methods", "my-guest", home=home, **added).stdout
    assert "rank = 3  (a whole number from 1 to 77)" in page
    assert f"Brought by {origin_of('my-guest')}" in page


def test_an_added_method_is_in_the_schema_of_recipes(added: dict[str, str], home: Path) -> None:
    schema = json.loads(pegbox("schema", "recipe", "--json", home=home, **added).stdout)
    branch = method_branches(schema)["my-guest"]
    assert branch["properties"]["settings"]["properties"]["rank"]["maximum"] == 77
    assert branch["required"] == ["name"]


def test_an_added_method_is_checked_in_recipes(added: dict[str, str], home: Path, tmp_path: Path) -> None:
    wrong = write_recipe_text(tmp_path, method={"name": "my-guest"}, **{"method.settings": {"rank": 78}})
    done = pegbox("train", str(wrong), home=home, **added)
    assert done.returncode == 2
    assert "method.settings.rank = 78: expected a whole number from 1 to 77" in done.stderr


def test_an_added_method_would_be_in_the_documentation(added: dict[str, str]) -> None:
    cards = all_cards()[0]
    for table in (generated.methods_in_short, generated.methods_compared, generated.methods_one_by_one):
        assert "my-guest" in "\n".join(table(cards))
    assert "my-guest" not in {card.name for card in generated.ours()}


def test_a_drop_in_trains_and_its_home_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path / "kept", "my_guest.py", GUEST)
    monkeypatch.chdir(tmp_path)
    trained(tmp_path, Path("kept"))
    assert [file.name for file in (tmp_path / "kept" / "methods").iterdir()] == ["my_guest.py"]


@pytest.mark.slow
def test_a_distributions_method_trains(home: Path, tmp_path: Path) -> None:
    trained(tmp_path, home, PYTHONPATH=str(distribution(tmp_path / "site", "my-guest", GUEST)))


def trained(folder: Path, home: Path, **environment: str) -> None:
    """Take two steps with the added method, and find its own default in what it saved."""
    recipe = write_recipe_text(folder, method={"name": "my-guest"}, training={"max_steps": 2, "micro_batch": 2})
    done = pegbox("train", str(recipe), "--plain", "--json", home=home, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    config = json.loads(next(home.glob("runs/*/adapter/adapter_config.json")).read_text())
    assert config["r"] == 3


def test_a_broken_guest_is_a_warning_on_standard_error_and_everything_goes_on(home: Path, tmp_path: Path) -> None:
    drop(home, "bad.py", "print('hello')\nraise SystemExit(7)")
    for command in (["methods"], ["schema", "recipe"]):
        done = pegbox(*command, "--json", home=home)
        assert done.returncode == 0
        assert json.loads(done.stdout)
        assert 'warning: drop-in bad.py: the method "bad" is left out: SystemExit: 7' in done.stderr
    assert pegbox("advise", "bundled", "--json", home=home).returncode == 0
    done = pegbox("methods", "bad", home=home)
    assert (done.returncode, done.stdout) == (2, "")
    recipe = write_recipe_text(tmp_path, method={"name": "bad"})
    assert "SystemExit: 7" in pegbox("train", str(recipe), home=home).stderr


def facts(*cards: Card, given: Conditions | None = None, **certificates: Certificate) -> list[MethodFacts]:
    return [facts_of(card, "bundled", shape(), given or Conditions(), certificates) for card in cards]


def printed(found: list[MethodFacts], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    show_list(found, model=None, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return text


def certificate(name: str, **outcomes: str) -> Certificate:
    return Certificate(
        method=name,
        origin=origin_of(name),
        model="bundled",
        libraries={"torch": "2.13.0"},
        checks=tuple(
            msgspec.convert({"name": check, "outcome": outcome, "detail": "so and so"}, Check)
            for check, outcome in outcomes.items()
        ),
    )


@pytest.mark.parametrize("width", [80, 110, 160, 240])
def test_the_list_keeps_every_name_whole_at_every_width(width: int) -> None:
    cards = all_cards()[0]
    text = printed(facts(*cards), width)
    for card in cards:
        assert any(line.startswith(f"{card.name} ") for line in text.splitlines())
    assert ("take it when" in text) is (width >= 110)


def test_what_this_machine_cannot_serve_stands_apart_with_its_reason_in_words() -> None:
    found = facts(find_card("lora"), find_card("qlora"), given=Conditions(bitsandbytes=False))
    usable, _, rest = printed(found, 80).partition("Can't be used on this machine")
    assert "lora" in usable
    assert "qlora" in rest
    assert "bitsandbytes, which isn't installed" in " ".join(rest.split())


def test_what_a_model_cannot_be_tuned_with_is_told(home: Path, tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 300, "n_positions": 64}
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    listed = json.loads(pegbox("methods", "--model", str(tmp_path / "m"), "--json", home=home).stdout)
    why = {method["name"]: method["unusable"] for method in listed["methods"]}
    assert why["lora"] is None
    assert "transformers' Conv1D" in why["loha"]["why"]
    assert json.loads(pegbox("methods", "loha", "--json", home=home).stdout)["unusable"] is None


def test_an_ability_is_told_as_it_was_tried_and_else_as_its_card_says() -> None:
    card = find_card("loha")
    (one,) = facts(card, loha=certificate("loha", merge="passed", start="failed"))
    assert (one.can("merge"), one.can("start"), one.can("4-bit"), one.can("processes")) == (
        "yes",
        "fails",
        "no",
        "untried",
    )
    assert one.lacks()["start"] == "failed when tried: so and so"
    assert "Failed their certification: loha" in printed([one], 80)


def test_a_page_tells_settings_sources_abilities_and_reasons() -> None:
    (one,) = facts(find_card("qlora"), qlora=certificate("qlora", loads="passed", start="passed"))
    console = Console(width=80, file=io.StringIO(), highlight=False)
    show_method(one, model_weights=shape().weights, console=console)
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    for said in (
        "rank = 16 (a whole number from 1 to 4096)",
        "unless the recipe names one [",
        "trained weights (",
        "a 4-bit base",
        "compute capability 6.0",
        "yes begins at the base model's own output",
        "yes saved and loaded, it gives equal logits",
        "tried on bundled with torch 2.13.0",
        "Take it when",
        "Leave it when",
    ):
        assert said in text, said


def test_certificates_of_guests_lie_at_home_and_count_for_the_version_they_were_made_of(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drop(home, "guest.py", source("guest"))
    packaged = tmp_path / "capabilities.json"
    write_certificates({"lora": certificate("lora", merge="passed")}, packaged)
    monkeypatch.setattr(method_facts, "PACKAGED", packaged)
    mine = {"guest": certificate("guest", merge="passed"), "gone": certificate("lora", merge="passed")}
    write_certificates(mine, home / "capabilities.json")
    assert set(known_certificates(("lora", "guest"))[0]) == {"lora", "guest"}
    other = {"guest": msgspec.structs.replace(mine["guest"], origin="another 1.0")}
    write_certificates(other, home / "capabilities.json")
    assert set(known_certificates(("lora", "guest"))[0]) == {"lora"}


def test_certificates_that_cannot_be_read_are_a_warning(home: Path) -> None:
    home.mkdir()
    (home / "capabilities.json").write_text("{")
    done = pegbox("methods", "lora", "--json", home=home)
    assert (done.returncode, json.loads(done.stdout)["name"]) == (0, "lora")
    assert "certificates are passed over" in done.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [("1 / 0", "ZeroDivisionError"), ("5", "TypeError: its footprint gave back int"), ("{}[()]", "KeyError")],
)
def test_a_footprint_that_breaks_is_told_on_the_page_and_breaks_nothing(home: Path, answer: str, said: str) -> None:
    drop(home, "odd.py", source("odd", changes=f"footprint=lambda shape, settings: {answer}"))
    page = pegbox("methods", "odd", home=home).stdout
    assert f"its card can't price this model: {said}" in " ".join(page.split())
    assert pegbox("methods", home=home).returncode == 0
    priced = pegbox("forecast", "bundled", "--method", "odd", home=home)
    assert priced.returncode == 2
    assert f"its card can't price this model: {said}" in priced.stderr


def test_a_rank_that_is_no_number_is_no_rank_to_the_forecast(home: Path) -> None:
    worded = """
from pegbox_methods import Footprint, Setting
WORDS = Setting(name="rank", kind="choice", default="low", choices=("low", "high"), help="How much.")
PRICE = Footprint(trainable_weights=7, step_time_ratio=None, step_time_source="not measured")
CARD = dataclasses.replace(CARD, settings=(WORDS,), footprint=lambda shape, settings: PRICE)
"""
    drop(home, "worded.py", source("worded", after=worded))
    priced = pegbox("forecast", "bundled", "--method", "worded", "--json", home=home)
    assert priced.returncode == 0, priced.stderr
    assert '"trainable_weights":7' in priced.stdout


def test_a_model_that_is_nowhere_is_refused(home: Path) -> None:
    assert pegbox("methods", "--model", "./nowhere", home=home).returncode == 2
    with pytest.raises(Refusal):
        find_card("nothing")


def test_what_comes_from_a_guest_shows_and_never_acts_on_the_terminal(home: Path) -> None:
    drop(home, "odd.py", source("odd", changes='source="ev\\x1b[31mil"'))
    done = pegbox("methods", "odd", home=home)
    assert "\x1b" not in done.stdout
    assert "ev\\x1b[31mil" in done.stdout


def test_a_recipe_that_asks_for_what_a_card_says_it_cannot_is_refused_before_a_run_exists(home: Path) -> None:
    asked = Recipe(
        model=Model(name="bundled", quantization="nf4"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl")),
        method=Method(name="loha"),
    )
    with pytest.raises(Refusal, match="can't train on a 4-bit base: PEFT sizes its matrices"):
        check(asked, file="recipe.toml")
