"""One module a command, each with `run(asked) -> exit code`."""
