"""The hardware-profile table: policies tile, cards are found by any of their names, the user's rows come on top."""

from __future__ import annotations

import itertools
import math
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import platformdirs
import pytest
import tomli_w

from pegbox_hardware.profile_rows import GIB, Accelerator
from pegbox_hardware.profiles import PACKAGED, BadProfiles, Profiles, UnknownCard, load_profiles

TABLE = tomllib.loads(PACKAGED.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the user's configuration folder, so that nobody's own table is read."""
    folder = tmp_path / "config"
    monkeypatch.setattr(platformdirs, "user_config_path", lambda _name: folder)
    return folder


@pytest.fixture
def profiles() -> Profiles:
    return load_profiles()


def test_every_row_parses_and_none_is_lost(profiles: Profiles) -> None:
    assert [row["name"] for row in TABLE["card"]] == [card.name for card in profiles.cards]
    assert [row["name"] for row in TABLE["policy"]] == [policy.name for policy in profiles.policies]
    assert len(profiles.cards) > 100


def test_policies_cover_every_capability_and_memory_exactly_once(profiles: Profiles) -> None:
    # Walked on a grid of its own, beside the loader's proof by cells: each bound, just below it, and far out.
    sizes = {0.0, 0.5, 4096.0, *(gib / 2 for gib in range(600))}
    for policy in profiles.policies:
        for bound in (policy.memory_from_gib, policy.memory_below_gib or 0.0):
            sizes |= {bound, max(0.0, math.nextafter(bound, 0)), math.nextafter(bound, math.inf)}
    capabilities = list(itertools.product(range(16), range(10)))
    for accelerator in get_args(Accelerator):
        own = [policy for policy in profiles.policies if policy.accelerator == accelerator]
        for capability, size in itertools.product(capabilities, sizes):
            assert sum(policy.covers(capability, size) for policy in own) == 1, (accelerator, capability, size)


def test_every_card_falls_into_exactly_one_policy(profiles: Profiles) -> None:
    for card in profiles.cards:
        place = card.capability or (0, 0), card.memory_bytes / GIB
        found = [p for p in profiles.policies if p.accelerator == card.accelerator and p.covers(*place)]
        assert len(found) == 1, card.name
        assert profiles.policy(card.accelerator, card.capability, card.memory_bytes) == found[0]


def test_every_name_means_one_card_once_its_memory_is_known(profiles: Profiles) -> None:
    for card in profiles.cards:
        for name in (card.name, *card.names, card.name.upper(), f"NVIDIA {card.name}"):
            assert profiles.card_of(name, card.memory_bytes) == card, name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("NVIDIA A100-SXM4-80GB", "A100 SXM4 80GB"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe 80GB"),
        ("Tesla T4", "Tesla T4"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", "GeForce RTX 3080 Laptop GPU"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA GB10", "GB10"),
        ("Tesla V100-SXM2-16GB", "Tesla V100 SXM2 16GB"),
        ("AMD Instinct MI300X", "Instinct MI300X"),
        ("Apple M3 Max", "Apple M3 Max"),
        ("4090", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 4090 D", "GeForce RTX 4090 D"),
        ("rtx 4090d", "GeForce RTX 4090 D"),
        ("GTX 1080", "GeForce GTX 1080"),
        ("NVIDIA GeForce GTX 1080 Ti", "GeForce GTX 1080 Ti"),
        ("rtx4090", "GeForce RTX 4090"),
        ("RTX 4090 24GB", "GeForce RTX 4090"),
        ("a100-40", "A100 PCIe 40GB"),
        ("a100 80gb", "A100 SXM4 80GB"),
        ("4060 ti 16 GiB", "GeForce RTX 4060 Ti 16GB"),
        ("rx 7900 xtx", "Radeon RX 7900 XTX"),
        ("l40s", "L40S"),
        ("  h100  ", "H100 SXM"),
    ],
)
def test_a_card_is_found_as_drivers_and_people_write_it(profiles: Profiles, typed: str, meant: str) -> None:
    assert profiles.card(typed).name == meant


def test_a_shared_name_means_the_smaller_card_unless_memory_says_otherwise(profiles: Profiles) -> None:
    assert profiles.card("RTX 4060 Ti").memory_gib == 8
    found = profiles.card_of("NVIDIA GeForce RTX 4060 Ti", 16380 * 2**20)
    assert found is not None
    assert found.memory_gib == 16


def test_unified_memory_is_as_large_as_the_user_says(profiles: Profiles) -> None:
    assert profiles.card("M3 Max 64GB").memory_bytes == 64 * GIB


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("rtx 4095", "did you mean GeForce RTX 4090"),
        ("RTX 4090 48GB", "it has 24 GiB"),
        ("", "--vram"),
        ("toaster", "profiles.toml"),
    ],
)
def test_an_unknown_card_is_refused_with_what_comes_close(profiles: Profiles, typed: str, told: str) -> None:
    with pytest.raises(UnknownCard, match=told):
        profiles.card(typed)


def test_a_slice_of_a_card_and_a_stranger_have_no_row(profiles: Profiles) -> None:
    assert profiles.card_of("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 10 * GIB) is None
    assert profiles.card_of("Some New Card", 10 * GIB) is None


def test_the_number_format_and_attention_follow_compute_capability(profiles: Profiles) -> None:
    for gib in (4, 16, 80):
        old, new = (profiles.policy("cuda", capability, gib * GIB) for capability in ((7, 5), (8, 0)))
        assert (old.dtype, old.attention_kernel) == ("fp16", "efficient")
        assert (new.dtype, new.attention_kernel) == ("bf16", "flash")
    assert profiles.policy("cpu", None, 16 * GIB).dtype == "auto"
    assert profiles.policy("cuda", (8, 6), 8 * GIB).methods[0] == "qlora"
    assert profiles.policy("cuda", (8, 0), 80 * GIB).methods[0] == "lora"


def test_tensor_rates_are_dense_with_fp32_accumulation(profiles: Profiles) -> None:
    # NVIDIA's whitepapers; the figures people quote by mistake are twice (sparse) or twice (fp16 accumulation) these.
    expected = {"4090": 165.2, "3090": 71, "5090": 209.5, "A100 80GB": 312, "H100": 989.4, "L4": 121, "L40S": 362}
    assert {name: profiles.card(name).bf16_tflops for name in expected} == expected
    assert profiles.card("T4").bf16_tflops is None
    assert profiles.card("2080 Ti").fp16_tflops == 53.8


def test_a_rate_that_nobody_published_is_marked_as_an_estimate_and_says_from_what(profiles: Profiles) -> None:
    for name in ("RTX 4000 Ada", "RTX 4090 D"):
        card = profiles.card(name)
        assert (card.source.kind, card.source.when >= "2023-08") == ("estimate", True)
        assert "rate" in card.source.where
    ada, whole = profiles.card("RTX 4000 Ada"), profiles.card("RTX 6000 Ada")
    assert ada.bf16_tflops
    assert whole.bf16_tflops
    assert ada.bf16_tflops / ada.fp32_tflops == pytest.approx(whole.bf16_tflops / whole.fp32_tflops, rel=0.01)


def test_what_the_driver_reports_is_near_the_nominal_size(profiles: Profiles) -> None:
    for card in profiles.cards:
        assert 0.93 <= card.memory_bytes / GIB / card.memory_gib <= 1.001, card.name


def test_cards_with_a_desktop_or_shared_memory_keep_more_free(profiles: Profiles) -> None:
    card, unified = profiles.card("4090"), profiles.card("GB10")
    policy = profiles.policy("cuda", (8, 9), card.memory_bytes)
    assert profiles.margin(policy, card) > profiles.margin(policy, profiles.card("L4")) == policy.margin
    assert profiles.margin(policy, unified) > profiles.margin(policy, card)
    assert profiles.policy("mps", None, 16 * GIB).margin > policy.margin


def test_a_processor_is_its_cores(profiles: Profiles) -> None:
    one = profiles.card("CPU with AVX-512 BF16")
    two = one.with_cores(2)
    assert (two.bf16_tflops, two.fp32_tflops, two.per_core) == (0.95, 0.21, False)
    assert profiles.card("4090").with_cores(64) == profiles.card("4090")
    with pytest.raises(ValueError, match="not 0"):
        one.with_cores(0)


def test_the_users_rows_replace_and_add(own_folder: Path) -> None:
    own_folder.mkdir()
    mine = {**TABLE["card"][0], "name": "Bench Rig 9000", "names": ["rig"]}
    faster = {**next(row for row in TABLE["card"] if row["name"] == "L4"), "bf16_tflops": 60.0}
    policy = {**next(row for row in TABLE["policy"] if row["name"] == "cuda-bf16-24gb"), "rank_ceiling": 8}
    own_folder.joinpath("profiles.toml").write_bytes(
        tomli_w.dumps({"card": [mine, faster], "policy": [policy]}).encode("utf-8")
    )
    profiles = load_profiles()
    assert profiles.card("RIG").name == "Bench Rig 9000"
    assert profiles.card("L4").bf16_tflops == 60.0
    assert profiles.policy("cuda", (8, 6), 24 * GIB).rank_ceiling == 8
    assert len(profiles.cards) == len(TABLE["card"]) + 1


def changed(kind: str, name: str, /, **fields: Any) -> dict[str, Any]:
    row = next(row for row in TABLE[kind] if row["name"] == name)
    return {kind: [{key: value for key, value in {**row, **fields}.items() if value is not None}]}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (changed("policy", "cuda-bf16-24gb", dtype="bf17"), r"'cuda-bf16-24gb': dtype = 'bf17'.*accepted: bf16, fp16"),
        (
            changed("policy", "cuda-bf16-24gb", methods=["lora", "laura"]),
            r"methods = .*'laura'.*accepted: lora, rslora",
        ),
        (changed("policy", "cuda-bf16-24gb", memory_below_gib=20), r"no policy for cuda, capability 8.0, 20 to 28 GiB"),
        (changed("policy", "cuda-bf16-24gb", memory_from_gib=17), r"2 policies .*16gb.* 17 to 18 GiB"),
        (changed("policy", "cuda-bf16-24gb", memory_below_gib=1), r"memory_below_gib = 1: accepted is more than 18"),
        (changed("policy", "cuda-bf16-24gb", margin=1.5), r"margin = 1.5: Expected `float` < 1"),
        (changed("card", "L4", bandwidth_gbs="fast"), r"'L4': bandwidth_gbs = 'fast': Expected `float`, got `str`"),
        (changed("card", "L4", board_watts=-1), r"board_watts = -1: Expected `float` > 0"),
        (changed("card", "L4", source=None), r"missing required field `source`"),
        (
            changed("card", "L4", source={"kind": "rumour", "where": "x", "when": "2026-01"}),
            r"kind = 'rumour'.*measured",
        ),
        (changed("card", "L4", source={"kind": "vendor", "where": "x", "when": "May"}), r"source.when = 'May'"),
        (changed("card", "L4", bandwith=1), r"unknown field `bandwith`"),
        (changed("card", "L4", names=["A10"], name="L5", memory_gib=24), r"'L5': names: 'a10' already means 'A10'"),
        ({"cards": []}, r"key 'cards': accepted are rows of"),
    ],
)
def test_a_bad_row_is_refused_with_file_key_value_and_what_is_accepted(
    tmp_path: Path, table: dict[str, Any], told: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    with pytest.raises(BadProfiles, match=told) as caught:
        load_profiles(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadProfiles, match="no such file"):
        load_profiles(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[[card]\n", encoding="utf-8")
    with pytest.raises(BadProfiles, match="can't be read as TOML"):
        load_profiles(broken)


def test_the_table_is_read_once_and_again_after_a_change(own_folder: Path) -> None:
    assert load_profiles() is load_profiles()
    own_folder.mkdir()
    mine = {**TABLE["card"][0], "name": "Bench Rig 9000", "names": []}
    own_folder.joinpath("profiles.toml").write_text(tomli_w.dumps({"card": [mine]}), encoding="utf-8")
    assert load_profiles().card("bench rig 9000")


def test_rows_survive_being_written_as_json(profiles: Profiles) -> None:
    card = profiles.card("4090")
    assert msgspec.json.decode(msgspec.json.encode(card), type=type(card)) == card
