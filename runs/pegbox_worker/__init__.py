"""The detached worker: the only place that trains. A process, imported by nobody above it.

Started as `python -P -m pegbox_worker` by the supervisor.
"""
