"""What `pegbox evaluate` can be asked beside its own measures: tasks of plugins, of lm-eval, and judges."""

from __future__ import annotations

import argparse

JUDGE_ROWS = 50


def add_extras(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of measures from outside."""
    tasks = parser.add_argument_group("tasks of your own, or of a plugin")
    tasks.add_argument(
        "--task", action="append", default=[], metavar="NAME", help="both models answer and it scores (may be repeated)"
    )
    harness = parser.add_argument_group("tasks of lm-eval, EleutherAI's harness (pip install 'pegbox[lm-eval]')")
    harness.add_argument("--lm-eval", metavar="TASK,...", help="its tasks, groups or tags")
    harness.add_argument("--lm-eval-tasks", metavar="DIR", help="a folder with tasks of yours; their data lies there")
    harness.add_argument("--lm-eval-limit", type=int, metavar="N", help="the first N rows of each task")
    harness.add_argument("--lm-eval-chat", action="store_true", help="put questions into the model's chat template")
    harness.add_argument("--lm-eval-fetch", action="store_true", help="let it fetch data sets from the Hub")
    harness.add_argument("--allow-task-code", action="store_true", help="let tasks in DIR run Python code they bring")
    judge = parser.add_argument_group("a judge: rows and answers are sent to the address that you name, nowhere else")
    judge.add_argument("--judge", metavar="URL", help="speaks OpenAI's form, as in http://localhost:11434/v1")
    judge.add_argument("--judge-model", metavar="NAME", help="what the judge is called there")
    judge.add_argument("--judge-key-env", metavar="VAR", help="the environment variable that holds its key, if any")
    judge.add_argument(
        "--judge-rows", type=int, default=JUDGE_ROWS, metavar="N", help=f"the first N questions (default {JUDGE_ROWS})"
    )
    judge.add_argument("--judge-insecure", action="store_true", help="allow plain HTTP to another machine")
    judge.add_argument("--yes", action="store_true", help="send without asking")
