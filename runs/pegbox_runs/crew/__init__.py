"""The process that a supervisor starts where several carry a run: it starts them, watches them, tells their end."""
