"""The files of a report, beside results.json in the comparison's folder."""

from __future__ import annotations

RESULTS_CSV = "results.csv"
SEEDS_CSV = "seeds.csv"
REPORT_MD = "report.md"
REPORT_HTML = "report.html"
RECIPES = "recipes"


def recipe_name(contestant: str, seed: int) -> str:
    """Name the recipe that repeats a training that counts, relative to the comparison's folder."""
    return f"{RECIPES}/{contestant}-seed-{seed}.toml"
