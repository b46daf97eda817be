"""Rows out of files of any accepted kind, one after the other, the bad ones named and passed over."""

from pegbox_runs.rows.reading.portions import Part, PartRows, parts, read_part, read_source

__all__ = ["Part", "PartRows", "parts", "read_part", "read_source"]
