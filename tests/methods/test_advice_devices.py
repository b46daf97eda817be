"""Plans for several devices: what each must hold, which engine, how many, and what is never done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_hardware.alike import Seat, alike, teams_for
from pegbox_hardware.gpu import Gpu, Holder
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.choose import advise_chosen
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.places import having, kinds_for, places_of, planned_card
from pegbox_methods.advice.records import Advice, Place
from pegbox_methods.advice.several import place_for
from pegbox_methods.advice.teams import team_of, with_team
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from tests.methods.advice_situations import (
    PROFILES,
    ask,
    model_1b5,
    model_8b,
    model_13b,
    model_70b,
    rows,
    shape,
    value,
)
from tests.runs.made_up_machines import GIB, gpu, machine

MODELS = {"1.5b": model_1b5(), "8b": model_8b(), "13b": model_13b(), "70b": model_70b()}
CARDS = ("RTX 4090", "A100 80GB", "T4", "H100 SXM", "RTX 3060")


def planned(card: str, devices: int, nodes: int = 1, **given: Any) -> Place:
    return with_team(planned_card(card, PROFILES), PROFILES, devices=devices, nodes=nodes, **given)


def cards(count: int, **changes: Any) -> list[Gpu]:
    return [gpu(index=n, uuid=f"GPU-{n}", pcie_generation=4, pcie_lanes=16, **changes) for n in range(count)]


def engine(advice: Advice) -> tuple[str, int] | None:
    return None if advice.devices is None else (advice.devices.engine, advice.devices.processes)


@pytest.mark.parametrize(
    ("card", "devices", "model", "method", "carried"),
    [
        ("RTX 4090", 1, "8b", "lora", None),
        ("RTX 4090", 2, "1.5b", "lora", ("ddp", 2)),
        ("RTX 4090", 2, "8b", "lora", ("ddp", 2)),
        ("RTX 4090", 2, "13b", "qlora", ("ddp", 2)),
        ("RTX 4090", 8, "8b", "lora", ("ddp", 8)),
        ("RTX 4090", 8, "70b", "qlora", ("fsdp2", 8)),
        ("A100 80GB", 2, "13b", "lora", ("ddp", 2)),
        ("A100 80GB", 2, "70b", "qlora", ("ddp", 2)),
        ("RTX 4090", 3, "8b", "lora", ("ddp", 3)),
    ],
)
def test_what_fits_on_one_is_whole_on_each_and_what_does_not_is_parted(
    card: str, devices: int, model: str, method: str, carried: tuple[str, int] | None
) -> None:
    advice = ask(planned(card, devices), MODELS[model], rows())
    assert (advice.fits, advice.method, engine(advice)) == (True, method, carried)
    assert advice.settings.get("devices", {}) == (
        {} if carried is None else {"engine": carried[0], "processes": carried[1]}
    )


def test_two_cards_of_24_gib_do_not_hold_what_needs_one_of_48() -> None:
    alone, two = ask("RTX 4090", model_70b(), rows()), ask(planned("RTX 4090", 2), model_70b(), rows())
    assert not two.fits
    assert two.devices is None
    assert two.margin_bytes == alone.margin_bytes
    assert any("parted among them, even qlora lacks" in warning for warning in two.warnings)


def test_where_nothing_fits_it_names_the_least_number_of_such_devices_that_would_do() -> None:
    changes = ask("RTX 4090", model_70b(), rows()).changes
    (count,) = (int(change.what.split()[0]) for change in changes if "--devices" in change.consequence)
    assert ask(planned("RTX 4090", count), model_70b(), rows()).fits
    assert not ask(planned("RTX 4090", count // 2), model_70b(), rows()).fits


@settings(deadline=None, max_examples=40)
@given(
    card=st.sampled_from(CARDS),
    model=st.sampled_from(sorted(MODELS)),
    devices=st.integers(1, 17),
    nodes=st.sampled_from((1, 2, 3)),
    data=st.sampled_from((None, rows(), rows(count=60), rows(count=50_000))),
)
def test_each_device_holds_its_own_forecast_and_its_part_of_every_step(
    card: str, model: str, devices: int, nodes: int, data: DataCard | None
) -> None:
    place = planned(card, devices, nodes)
    advice = ask(place, MODELS[model], data)
    assert advice.place.memory_total == place.memory_total
    assert advice.margin_bytes == advice.place.usable_bytes - advice.memory.safe_bytes
    assert advice.fits == (advice.memory.safe_bytes <= place.usable_bytes)
    micro, accumulation = value(advice, "training.micro_batch"), value(advice, "training.accumulation")
    assert micro * accumulation == advice.effective_batch
    if advice.devices is None:
        return
    plan = advice.devices
    assert plan.processes == devices * nodes
    assert plan.processes % plan.nodes == 0
    assert accumulation % plan.processes == 0
    alone = ask(card, MODELS[model], data)
    assert abs(advice.effective_batch - alone.effective_batch) <= plan.processes / 2 or (
        advice.effective_batch == plan.processes
    )
    if plan.engine == "fsdp2" and alone.fits:  # it pays, and nothing fits whole beside the libraries that talk
        assert "no method fits whole" in plan.why
        assert plan.speed_up is None or plan.speed_up.likely >= 1
    else:
        assert (plan.engine == "ddp") == alone.fits
    if plan.speed_up is not None:
        assert 0 < plan.speed_up.low <= plan.speed_up.likely <= plan.speed_up.high
    if plan.communication is not None:
        assert plan.communication.seconds_low <= plan.communication.seconds <= plan.communication.seconds_high


def test_more_devices_hold_less_each_and_take_less_time() -> None:
    found = [ask(planned("H100 SXM", devices), model_70b(), rows(), (find_card("lora"),)) for devices in (2, 4, 8)]
    assert [engine(advice) for advice in found] == [None, ("fsdp2", 4), ("fsdp2", 8)]
    four, eight = found[1], found[2]
    assert four.time is not None
    assert eight.time is not None
    assert eight.memory.items["linear maps"] * 2 == pytest.approx(four.memory.items["linear maps"], rel=0.01)
    assert eight.time.seconds < four.time.seconds


def test_this_machines_alike_gpus_carry_the_run_and_are_named() -> None:
    advice = ask(machine(*cards(4)), model_8b(), rows())
    assert engine(advice) == ("ddp", 4)
    assert advice.devices is not None
    assert sorted(advice.devices.uuids) == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
    assert advice.devices.communication is not None
    assert advice.devices.communication.link == "PCIe 4 x16"


def test_cards_that_others_use_and_cards_of_other_kinds_are_left_out_and_said() -> None:
    held = Holder(pid=7, name="python3", memory=12 * GIB)
    busy = gpu(index=2, uuid="GPU-busy", memory_free=11 * GIB, holders=(held,))
    other = gpu(index=3, uuid="GPU-T4", name="Tesla T4", memory_total=16 * GIB, memory_free=16 * GIB)
    other = msgspec.structs.replace(other, compute_capability="7.5")
    advice = ask(machine(*cards(2), busy, other), model_8b(), rows())
    assert advice.devices is not None
    assert sorted(advice.devices.uuids) == ["GPU-0", "GPU-1"]
    said = " ".join(advice.warnings)
    assert "GPU 2 (11.0 GiB free, held by python3)" in said
    assert "1 x Tesla T4" in said


def test_the_device_with_the_least_room_counts_for_all() -> None:
    two = machine(*cards(1), gpu(index=1, uuid="GPU-1", memory_free=20 * GIB))
    advice = ask(two, model_1b5(), rows())
    assert engine(advice) == ("ddp", 2)
    assert advice.place.memory_free == 20 * GIB


def test_slices_of_a_card_never_carry_a_run_together() -> None:
    slices = [gpu(index=n, uuid=f"MIG-{n}", name="A100 MIG 3g.40gb", slice_of=0) for n in range(2)]
    assert ask(machine(*slices), model_1b5(), rows()).devices is None


def test_a_run_of_a_minute_is_left_on_one_device_unless_several_are_asked_for() -> None:
    few = rows(count=60)
    short = ask(machine(*cards(2)), model_1b5(), few)
    assert short.devices is None
    assert any("starting several" in warning for warning in short.warnings)
    place = with_team(places_of(machine(*cards(2)), PROFILES)[0], PROFILES, devices=2)
    assert engine(ask(place, model_1b5(), few)) == ("ddp", 2)


def test_where_a_slow_network_eats_the_gain_it_says_that_it_stops_paying() -> None:
    slow = ask(planned("H100 SXM", 1, 2, network_gbit=1), model_8b(), rows())
    assert slow.devices is not None
    assert "does nearly as well" in slow.devices.stops_paying
    fast = ask(planned("H100 SXM", 1, 2, network_gbit=400), model_8b(), rows())
    assert fast.devices is not None
    assert fast.devices.stops_paying == ""


@pytest.mark.parametrize("name", ["adalora", "pissa", "olora"])
def test_a_method_that_needs_whole_weights_is_refused_with_its_reason_and_another_is_advised(name: str) -> None:
    place = planned("RTX 4090", 8)
    usual = ask(place, model_70b(), rows())
    assert (usual.method, engine(usual)) == ("qlora", ("fsdp2", 8))
    chosen = advise_chosen(find_card(name), usual, model_70b(), profiles=PROFILES)
    assert not chosen.fits
    assert chosen.devices is None
    assert any("sharded base model" in warning for warning in chosen.warnings)


def test_the_reason_stands_beside_the_method_that_lost_by_it() -> None:
    advice = ask(planned("RTX 4090", 8), model_70b(), rows())
    lost = next(one for one in advice.alternatives if one.what == "adalora")
    assert lost.fits is None
    assert "sharded base model" in lost.lost_because


def test_an_optimizer_whose_averages_cannot_be_sharded_is_not_advised_for_a_sharded_base() -> None:
    advice = ask(planned("RTX 4090", 8), model_70b(), rows(), priority="memory")
    assert (engine(advice), value(advice, "training.optimizer")) == (("fsdp2", 8), "adamw")
    whole = ask(planned("RTX 4090", 2), model_8b(), rows(), priority="memory")
    assert value(whole, "training.optimizer") == "paged_adamw_8bit"


def test_on_a_processor_several_processes_are_planned_if_asked_for_and_the_ram_holds_the_base_as_often() -> None:
    processor = places_of(machine(), PROFILES)[0]
    assert ask(processor, model_1b5(), rows()).devices is None
    advice = ask(with_team(processor, PROFILES, devices=2), model_1b5(), rows())
    assert place_for(processor, 2).memory_free == processor.memory_free // 2
    assert engine(advice) == ("ddp", 2)
    plan = advice.devices
    assert plan is not None
    assert plan.speed_up is not None
    assert plan.host is not None
    assert 0.8 < plan.speed_up.low < 1 < plan.speed_up.likely < plan.speed_up.high <= 2
    assert plan.host.bytes == 2 * advice.memory.card_bytes
    assert plan.host.high_bytes <= machine().memory_available
    parted = ask(with_team(processor, PROFILES, devices=16), model_1b5(), rows())
    assert parted.devices is None
    assert any("1/16 of the RAM is too little" in warning for warning in parted.warnings)


def test_processes_that_the_ram_cannot_hold_while_they_load_are_not_advised() -> None:
    many = cards(8, name="NVIDIA H100 80GB HBM3", memory_total=80 * GIB, memory_free=79 * GIB, compute_capability="9.0")
    in_fp16 = msgspec.structs.replace(model_8b(), stored="fp16")
    roomy = ask(machine(*many, memory_total=900 * GIB, memory_available=890 * GIB), in_fp16, rows(50_000))
    assert engine(roomy) == ("ddp", 8)
    assert roomy.devices is not None
    assert roomy.devices.host is not None
    assert roomy.devices.host.base_bytes == 2 * in_fp16.weights
    fewer = ask(machine(*many, memory_total=100 * GIB, memory_available=95 * GIB), in_fp16, rows(50_000))
    assert engine(fewer) == ("ddp", 4)
    assert fewer.devices is not None
    assert "8 processes take about 127.7 GiB of RAM" in fewer.devices.stops_paying
    assert "This machine has 100.0 GiB" in fewer.devices.stops_paying
    none = ask(machine(*many, memory_total=24 * GIB, memory_available=20 * GIB), in_fp16, rows(50_000))
    assert none.devices is None
    assert any("2 devices aren't advised, but one: 2 processes take about" in said for said in none.warnings)
    tight = ask(machine(*many, memory_total=130 * GIB, memory_available=60 * GIB), in_fp16, rows(50_000))
    assert engine(tight) == ("ddp", 8)
    assert any(said.startswith("RAM may not do: 8 processes take") for said in tight.warnings)
    shared = ask(machine(*many, memory_total=24 * GIB), msgspec.structs.replace(in_fp16, stored="bf16"), rows(50_000))
    assert engine(shared) == ("ddp", 8)


def test_more_devices_than_are_here_are_refused_with_their_number() -> None:
    place = places_of(machine(*cards(2)), PROFILES)[0]
    with pytest.raises(Refusal, match="2 devices of this machine can carry a run together"):
        with_team(place, PROFILES, devices=3)
    for asked in ({"devices": 0}, {"devices": 1, "nodes": 5000}, {"devices": 2, "network_gbit": 10.0}):
        with pytest.raises(Refusal):
            with_team(place, PROFILES, **asked)


def test_over_many_machines_each_gives_as_many() -> None:
    seats = [Seat(f"host-{host}", card) for host, count in enumerate((8, 8, 5, 3)) for card in cards(count)]
    (group,) = alike(seats)
    team = team_of(group, PROFILES)
    assert team is not None
    assert (team.devices, team.nodes) == (16, 2)
    assert team.nodes_for(8) == 1
    assert team.nodes_for(16) == 2
    assert team.nodes_for(12) == 2
    assert team.nodes_for(32) is None
    assert team.between(16).kind == "network"
    assert team.between(8).kind == "pcie"


def model_32b() -> ModelShape:
    size = {"hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 40, "intermediate_size": 27648}
    return shape(**size, model_type="qwen2", vocab_size=152064)


def test_where_lora_no_more_fits_beside_the_others_a_packed_base_on_each_comes_before_a_parted_one() -> None:
    place, model = planned("H100 SXM", 8), model_32b()
    tight = next(
        free
        for free in range(60 * GIB, 80 * GIB, GIB // 4)
        if ask(msgspec.structs.replace(place, memory_free=free, team=None), model, rows()).method == "lora"
    )
    assert place.team is not None
    team = msgspec.structs.replace(place.team, memory_free=tight)
    advice = ask(msgspec.structs.replace(place, memory_free=tight, team=team), model, rows())
    assert (advice.method, engine(advice)) == ("qlora", ("ddp", 8))
    assert advice.devices is not None
    assert "LoRA fits on one alone" in advice.devices.why


def test_what_fits_on_one_is_not_parted_over_a_network_that_makes_it_slower() -> None:
    advice = ask(planned("RTX 3060", 1, 2, network_gbit=1), model_13b())
    assert (advice.fits, advice.devices) == (True, None)
    assert any("times as fast as 1" in warning for warning in advice.warnings)


def test_two_devices_that_are_hardly_faster_than_one_are_not_taken_unasked() -> None:
    slow = msgspec.structs.replace(PROFILES.network(0.1), hop_us=200_000.0)
    place = planned("H100 SXM", 2)
    assert place.team is not None
    unasked = msgspec.structs.replace(place, team=msgspec.structs.replace(place.team, asked=False, link=slow))
    advice = ask(unasked, model_8b(), rows())
    assert advice.devices is None
    assert any("2 of the 2 devices would be" in warning for warning in advice.warnings)


def test_slices_beside_whole_cards_are_left_out_and_said() -> None:
    slices = [gpu(index=n, uuid=f"MIG-{n}", name="A100 MIG 1g.10gb", memory_total=10 * GIB, slice_of=5) for n in (0, 1)]
    advice = ask(machine(*cards(2), *slices), model_8b(), rows())
    assert engine(advice) == ("ddp", 2)
    assert any("MIG slices can't carry a run together" in warning for warning in advice.warnings)
    only = ask(machine(*slices), model_1b5(), rows())
    assert any("MIG slices can't carry a run together" in warning for warning in only.warnings)


def test_every_kind_of_which_several_are_alike_is_advised_for() -> None:
    one = gpu(index=0, uuid="GPU-H", name="NVIDIA H100 80GB HBM3", memory_total=80 * GIB, memory_free=79 * GIB)
    two = [gpu(index=n, uuid=f"A{n}", name="NVIDIA A100-SXM4-80GB", memory_total=80 * GIB) for n in (1, 2)]
    two = [msgspec.structs.replace(card, memory_free=78 * GIB, compute_capability="8.0") for card in two]
    four = [gpu(index=n, uuid=f"B{n}") for n in range(3, 7)]
    places = places_of(machine(one, *two, *four), PROFILES)
    assert [(place.name[:11], place.team.devices if place.team else 1) for place in places] == [
        ("NVIDIA H100", 1),
        ("NVIDIA A100", 2),
        ("NVIDIA GeFo", 4),
    ]
    assert having(places, 1)[0].name.startswith("NVIDIA H100")
    assert {place.name[:11] for place in having(places, 2)} == {"NVIDIA A100", "NVIDIA GeFo"}
    assert [place.name[:11] for place in having(places, 8)] == ["NVIDIA GeFo"]


@given(frees=st.lists(st.sampled_from((2, 9, 20, 23)), min_size=2, max_size=6), kinds=st.data())
def test_a_run_gets_the_devices_that_the_advice_meant(frees: list[int], kinds: st.DataObject) -> None:
    names = kinds.draw(st.lists(st.sampled_from(("RTX 4090", "RTX 3090")), min_size=len(frees), max_size=len(frees)))
    gpus = [
        gpu(index=n, uuid=f"GPU-{n}", name=f"NVIDIA GeForce {name}", memory_free=free * GIB)
        for n, (free, name) in enumerate(zip(frees, names, strict=True))
    ]
    for place in places_of(machine(*gpus), PROFILES):
        if place.team is None:
            continue
        count = place.team.devices
        for found, taken in kinds_for(machine(*gpus), count, PROFILES):
            assert found.team is not None
            assert sorted(found.team.uuids) == sorted(card.uuid for card in taken)
            assert found.team.memory_free == min(card.memory_free or 0 for card in taken)
        shown = [card for card in gpus if card.uuid in place.team.uuids]  # as CUDA_VISIBLE_DEVICES has it
        (only,) = teams_for(shown, count)
        assert {card.uuid for card in only} == set(place.team.uuids)


def test_cards_in_use_are_taken_only_where_there_are_not_enough_without_them() -> None:
    roomy = [gpu(index=n, uuid=f"A{n}", name="NVIDIA L40S", memory_total=48 * GIB) for n in (0, 1)]
    roomy = [msgspec.structs.replace(card, memory_free=free * GIB) for card, free in zip(roomy, (47, 5), strict=True)]
    free = [gpu(index=n, uuid=f"B{n}") for n in (2, 3)]
    assert [[card.uuid for card in team] for team in teams_for([*roomy, *free], 2)] == [["B2", "B3"]]
    assert [[card.uuid for card in team] for team in teams_for(roomy, 2)] == [["A0", "A1"]]
    assert teams_for([*roomy, *free], 3) == []


def test_no_more_processes_are_planned_on_a_processor_than_it_has_cores() -> None:
    (place,) = places_of(machine(cores=2), PROFILES)
    assert with_team(place, PROFILES, devices=2).team is not None
    with pytest.raises(Refusal, match="2 cores; expected at most one process a core"):
        with_team(place, PROFILES, devices=4)
