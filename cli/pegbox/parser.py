"""The words of the command line: what can be asked, and the help for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pegbox import __version__
from pegbox.compare_options import SUMMARY as COMPARE
from pegbox.compare_options import add_compare
from pegbox.options import capsule, chat, data, evaluate, export, import_, merge, push, report, train, verify
from pegbox.options.devices import add_devices
from pegbox.options.view import add_look, add_view

AFTERWARDS = {
    "evaluate": evaluate,
    "chat": chat,
    "merge": merge,
    "export": export,
    "push": push,
    "report": report,
    "capsule": capsule,
    "verify": verify,
    "import": import_,
}
"""Commands for what comes after a training, by name."""
DESCRIPTION = """\
Fine-tune language models on one GPU, over SSH, without losing the run.
Without a command, in a terminal: the wizard, from this machine to a run in six steps.

RECIPE is a TOML file, of which two keys are needed: model.name and rows.file.
RUN is a run's id, a unique beginning of it, or `last`: the one that was made last. What
can be watched, stopped, paused, resumed or aborted may be a comparison too, by its id."""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="pegbox",
        description=DESCRIPTION,
        epilog="Exit codes: 0 well, 1 the answer is no (a run failed, nothing is running), 2 usage.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pegbox {__version__}")
    add_look(parser, default=False)
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary)
        made.add_argument("--json", action="store_true", help="answer as JSON on standard output, and nothing else")
        return made

    add_view(command("demo", "fine-tune the bundled model on the bundled rows, end to end, in about half a minute"))

    train.add(command("train", train.SUMMARY))

    runs = command("runs", "list the runs, newest last")
    add_look(runs, default=argparse.SUPPRESS)
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="the newest N only; 0 for all (default 20)")
    runs.add_argument("--screen", action="store_true", help="open them as a screen: watch, sort, repeat, stop, delete")

    watch = command("watch", "watch a run or a comparison, now or after its end; leaving never stops it")
    watch.add_argument("run", metavar="RUN", nargs="?", default="last", help="or a comparison's id (default: last)")
    add_view(watch)

    _add_controls(command)

    add_compare(command("compare", COMPARE), add_view)

    for name, options in AFTERWARDS.items():
        options.add(command(name, options.SUMMARY))

    command("doctor", "look at this machine, its drivers and libraries, and say what would mend what is wrong")

    _add_forecast(command("forecast", "price the memory and the step time of one setting, without running it"))

    _add_advise(command("advise", "recommend a method and its settings for a model on this machine, and say why"))

    data.add(command("data", data.SUMMARY))

    _add_methods(command)

    _add_schema(command("schema", "print the JSON schema of a file that Pegbox reads or writes"))
    return parser


def _add_schema(schema: argparse.ArgumentParser) -> None:
    schema.add_argument("record", choices=("recipe", "event", "summary", "results"), help="which one")


def _add_controls(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add what is asked of a run. Each is answered by the run itself."""

    def control(name: str, summary: str) -> argparse.ArgumentParser:
        made = command(name, summary)
        made.add_argument("run", metavar="RUN", help="or a comparison's id")
        made.add_argument(
            "--wait",
            type=_seconds,
            default=30.0,
            metavar="SECONDS",
            help="how long to wait for its answer (default 30)",
        )
        return made

    control("stop", "let a run finish its step, save its adapter, and end")
    pause = control("pause", "let a run wait at its step's end until it is resumed, its memory kept")
    pause.add_argument(
        "--release", action="store_true", help="write a checkpoint and free the memory; resuming takes a start of it"
    )
    resume = control("resume", "let a paused run go on, or continue one that has ended from its last good checkpoint")
    resume.add_argument("--epochs", type=float, metavar="N", help="train until so many epochs are done in all")
    resume.add_argument("--max-steps", type=int, metavar="N", help="train until so many steps are done in all")
    resume.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe of a run that has ended, from there on (may be repeated)",
    )
    resume.add_argument("--detach", action="store_true", help="continue the run, and return without watching it")
    add_view(resume)
    control("checkpoint", "let a run write a checkpoint at its step's end, beside those it writes anyway")
    control("abort", "end a run at once; what it did since its last checkpoint is lost")


def _seconds(text: str) -> float:
    """Read a time to wait.

    Raises: ValueError: it isn't one; argparse says so.
    """
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise ValueError(text)
    return seconds


def _add_methods(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    methods = command("methods", "list the methods of tuning, or describe one")
    methods.add_argument("method", metavar="NAME", nargs="?", help="the method to describe")
    methods.add_argument("--model", metavar="MODEL", help="the model it is for: what can't be used with it is told")
    methods.add_argument("--tasks", action="store_true", help="list the tasks for `pegbox evaluate --task` instead")

    certify = command("certify", "try with the bundled model whether methods are what their cards say; a minute each")
    certify.add_argument("method", metavar="NAME", nargs="*", help="the methods to try")
    certify.add_argument("--all", action="store_true", help="every method that comes with Pegbox")
    certify.add_argument("--write", metavar="FILE", help="put the certificates into this capabilities.json too")

    new = command("new-method", "write a plugin that brings a method of your own: it works, and is yours to change")
    new.add_argument("method", metavar="NAME", help="small letters, digits and hyphens, as in my-method")
    new.add_argument("--folder", metavar="DIR", help="a new or an empty folder (default: pegbox-NAME)")


def _add_advise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a folder (config.json will do), a Hub id, or a catalogue name")
    parser.add_argument("--data", metavar="FILE", help="the rows: their lengths and number decide a lot")
    parser.add_argument(
        "--goal",
        action="append",
        default=[],
        metavar="G",
        help="balanced, quality, memory, speed or small-adapter; and format, domain or reasoning (may be repeated)",
    )
    parser.add_argument("--priority", metavar="P", help="the first kind of goal alone")
    card = parser.add_mutually_exclusive_group()
    card.add_argument("--gpu", metavar="NAME", help='plan for a card that isn\'t here, as in "RTX 4090"')
    card.add_argument("--vram", type=float, metavar="GIB", help="plan for a card of that much memory")
    add_devices(parser, "default: of this machine's as many alike ones as pay; of a planned card 1")
    parser.add_argument("--price-per-hour", type=float, metavar="X", help="rent of the machines, to price the run")
    parser.add_argument("--write", metavar="RECIPE", help="write the advice as a recipe that `pegbox train` takes")


def _add_forecast(forecast: argparse.ArgumentParser) -> None:
    """Add the set-up's options. Their defaults are what `pegbox train` does on a GPU."""
    switch = ("on", "off")
    forecast.add_argument("model", metavar="MODEL", nargs="?", help="a folder, a Hub id, or a catalogue name")
    forecast.add_argument("--config", metavar="PATH", help="a model's config.json, in place of MODEL")
    forecast.add_argument(
        "--recipe", metavar="PATH", help="take model and set-up from a recipe, in place of the options"
    )
    forecast.add_argument("--method", default="lora", metavar="NAME", help="as `pegbox methods` lists them")
    forecast.add_argument("--rank", type=int, metavar="N", help="default: the method's own, as of dropout and targets")
    forecast.add_argument("--targets", metavar="NAMES", help="all-linear, attention, or module names with commas")
    forecast.add_argument("--micro-batch", type=int, default=4, metavar="ROWS")
    forecast.add_argument("--accumulation", type=int, default=4, metavar="N", help="micro-batches in a step")
    forecast.add_argument("--length", type=int, default=1024, metavar="TOKENS")
    forecast.add_argument("--checkpointing", choices=switch, default="on")
    forecast.add_argument(
        "--optimizer", choices=("adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"), default="adamw"
    )
    forecast.add_argument(
        "--dtype", choices=("bf16", "fp16", "fp32"), help="of base and computation; default: bf16 where the card has it"
    )
    forecast.add_argument("--adapter-dtype", choices=("fp32", "bf16", "fp16"), help="of what trains (default fp32)")
    forecast.add_argument("--autocast", choices=switch, default="on")
    forecast.add_argument(
        "--quantization",
        choices=("none", "nf4", "nf4-double"),
        help="default: none, nf4-double where the method needs it",
    )
    forecast.add_argument(
        "--kbit-casts", choices=switch, default="off", help="PEFT's k-bit preparation: the rest of the base in fp32"
    )
    forecast.add_argument("--dropout", type=float, metavar="SHARE")
    forecast.add_argument("--loss", choices=("full", "chunked", "fused"), default="fused")
    forecast.add_argument("--attention", choices=("flash", "sdpa", "eager"), default="sdpa")
    forecast.add_argument("--padding", choices=switch, default="on", help="rows of unequal length in a batch")
    forecast.add_argument("--evaluation-batch", type=int, metavar="ROWS", help="default: as the micro-batch")
    forecast.add_argument("--transformers", metavar="VERSION", help="an older version's way of the full loss")
    forecast.add_argument(
        "--foreach", action="store_true", help="torch's AdamW in its foreach form, not the fused one that we take"
    )
    forecast.add_argument(
        "--level",
        choices=("analytic", "simulated", "measured"),
        default="analytic",
        help="analytic: at once, from the config; simulated: by building the model without its numbers (half a "
        "minute); measured: by taking a recipe's first steps on this machine's device",
    )
    forecast.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="longest measurement (default 600)"
    )
    _add_card(forecast)
    add_devices(forecast, "default 1, or as the recipe says")
    forecast.add_argument(
        "--engine",
        choices=("ddp", "fsdp2"),
        help="ddp: each device holds the whole base (default); fsdp2: each holds a part of it",
    )


def _add_card(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gpu", metavar="NAME", help='plan for a card that is not here, as in "RTX 4090"')
    parser.add_argument("--vram", type=float, metavar="GIB", help="plan for a card of that much memory")
