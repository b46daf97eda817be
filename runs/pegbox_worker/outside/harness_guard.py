"""What the harness mustn't do unasked with a task that came from anywhere: run the code that it brings.

`pegbox_runs.evaluating.outside.harness_tasks` has read the files already. Here the doors themselves are shut, so that
nothing hangs on both reading YAML in the same way. Checked against lm-eval 0.4.13, by tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pegbox_methods.refusal import Refusal


@contextmanager
def guarded(*, allow_code: bool, metrics: Set[str]) -> Iterator[None]:
    """Let the harness run no code but its own, and write prompts with a template engine that reaches nothing else.

    `metrics`: names that the user's tasks measure by; the harness would fetch a script for one that it doesn't know.
    Raises: Refusal: there is such a name, and code isn't allowed.
    """
    import lm_eval.api.metrics
    import lm_eval.utils
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval.api.registry import metric_registry
    from lm_eval.tasks import _yaml_loader

    if allow_code:
        yield
        return
    unknown = sorted(name for name in metrics if name not in metric_registry)
    if unknown:
        raise Refusal(
            f'lm-eval has no measure called "{unknown[0]}", and would look for a script of that name elsewhere. Say '
            "--allow-task-code to let it."
        )
    own = Path(lm_eval.utils.__file__).parent
    plain, found = lm_eval.utils.env, _yaml_loader._import_func_in_yml
    sandbox = ImmutableSandboxedEnvironment(undefined=plain.undefined, keep_trailing_newline=True)
    sandbox.filters.update(plain.filters)

    def import_own(qualified: str, base_dir: Path) -> Any:
        if not Path(base_dir).resolve().is_relative_to(own):
            how = "Say --allow-task-code to let it."
            raise Refusal(f"a task in {base_dir} runs Python code: !function {qualified}. {how}")
        return found(qualified, base_dir)

    lm_eval.utils.env = sandbox
    _yaml_loader._import_func_in_yml = import_own
    scripts = sys.modules.get("evaluate")
    sys.modules["evaluate"] = None  # type: ignore[assignment]  # it measures by scripts that it fetches
    try:
        yield
    finally:
        lm_eval.utils.env, _yaml_loader._import_func_in_yml = plain, found
        del sys.modules["evaluate"]
        if scripts is not None:
            sys.modules["evaluate"] = scripts
