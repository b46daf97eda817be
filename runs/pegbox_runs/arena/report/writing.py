"""Writing the report of a comparison into its folder."""

from __future__ import annotations

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.report import names
from pegbox_runs.arena.report.csv_table import contestants_csv, seeds_csv
from pegbox_runs.arena.report.html import report_html
from pegbox_runs.arena.report.markdown import report_markdown
from pegbox_runs.arena.report.recipes import write_recipes
from pegbox_runs.arena.results import Results
from pegbox_runs.whole_file import write_whole


def write_report(results: Results, folder: ComparisonFolder) -> None:
    """Write the tables, the page and the recipes, each whole; what an earlier call wrote is replaced.

    Raises: OSError.
    """
    write_recipes(results, folder)
    write_whole(folder.path / names.RESULTS_CSV, contestants_csv(results))
    write_whole(folder.path / names.SEEDS_CSV, seeds_csv(results))
    write_whole(folder.path / names.REPORT_MD, report_markdown(results))
    write_whole(folder.path / names.REPORT_HTML, report_html(results))
