"""Rows out of files: what is good comes through unchanged; what is bad is named with its place, and costs no other."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pegbox_methods.recipe import RowSource
from pegbox_runs.rows.place import RawRow, Rejected
from pegbox_runs.rows.reading import Part, parts, read_part, read_source, streams, text_table
from pegbox_runs.rows.reading import json_lines as json_lines_module
from pegbox_runs.rows.reading.streams import ROW_BYTES
from pegbox_runs.rows.source import Source, find_source

ROWS = [
    {"instruction": f"Question {i}, with a comma?", "input": "", "output": f'An "answer"\n{i} “ü”'} for i in range(5)
]

Said = list[tuple[int | None, str]]


def source(path: Path) -> Source:
    return find_source(RowSource(file=str(path)))


def good(path: Path) -> list[dict[str, Any]]:
    rows = list(read_source(source(path)))
    assert not [row for row in rows if isinstance(row, Rejected)]
    return [row.fields for row in rows if isinstance(row, RawRow)]


def looked_at(path: Path, content: bytes) -> tuple[list[int], Said]:
    """Write and read a file. Returns: (the good rows' lines, the bad ones' lines and reasons)."""
    path.write_bytes(content)
    rows = list(read_source(source(path)))
    lines = [row.place.number for row in rows if isinstance(row, RawRow)]
    return lines, [(row.number, row.reason) for row in rows if isinstance(row, Rejected)]


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_table(rows: list[dict[str, Any]], dialect: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), dialect=dialect)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink, row_group_size=2)
    return sink.getvalue()


def as_arrow(rows: list[dict[str, Any]], opened: Callable[..., Any]) -> bytes:
    sink = io.BytesIO()
    table = pyarrow.Table.from_pylist(rows)
    with opened(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def zstd(content: bytes) -> bytes:
    packed = pyarrow.compress(content, codec="zstd", asbytes=True)
    assert isinstance(packed, bytes)
    return packed


KINDS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    ".json": lambda rows: json.dumps(rows, indent=1).encode(),
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": lambda rows: as_table(rows, "excel"),
    ".tsv": lambda rows: as_table(rows, "excel-tab"),
    ".parquet": as_parquet,
    ".arrow": lambda rows: as_arrow(rows, pyarrow.ipc.new_file),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_gives_the_same_rows_packed_or_not(tmp_path: Path, kind: str, packing: str) -> None:
    path = tmp_path / f"Rows{kind.upper()}{packing}"
    path.write_bytes(PACKINGS[packing](KINDS[kind](ROWS)))
    assert good(path) == ROWS


def test_an_arrow_stream_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    path.write_bytes(as_arrow(ROWS, pyarrow.ipc.new_stream))
    assert good(path) == ROWS


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({"a": TEXT, "b": TEXT}), min_size=1, max_size=6))
def test_any_rows_survive_every_kind_of_file(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("kinds")
    for kind, write in KINDS.items():
        path = folder / f"rows{kind}"
        path.write_bytes(write(rows))
        assert good(path) == rows, kind


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.one_of(
            st.dictionaries(TEXT, TEXT | st.integers() | st.none(), max_size=3).map(
                lambda row: json.dumps(row, ensure_ascii=False).encode()
            ),
            st.sampled_from([b"", b"  ", b"[1]", b'{"a": ', b"\xff", b'{"a": "\0"}', b"\xef\xbb\xbf{}", b"\r"]),
        ),
        min_size=1,
        max_size=12,
    ),
    ended=st.booleans(),
    part_bytes=st.integers(1, 40),
)
def test_parts_give_the_rows_and_line_numbers_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, part_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("parts") / "rows.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"\n" if ended else b""))
    assert in_parts(path, part_bytes) == list(read_source(source(path)))


def test_lines_too_long_to_load_are_told_alike_however_the_parts_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines_module, "ROW_BYTES", 20)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"x" * 50 + b"\n" + GOOD + b"y" * 21 + b"\n" + b"z" * 20 + b"\n" + GOOD + b"x" * 60)
    whole = list(read_source(source(path)))
    assert [row.number for row in whole if isinstance(row, Rejected)] == [2, 4, 5, 7]
    for part_bytes in range(1, 70):
        assert in_parts(path, part_bytes) == whole


def in_parts(path: Path, part_bytes: int) -> list[RawRow | Rejected]:
    """Read a file part by part, each sent through JSON, and give the rows their places in the file."""
    rows: list[RawRow | Rejected] = []
    before = 0
    for part in parts(source(path), part_bytes):
        portion = read_part(msgspec.json.decode(msgspec.json.encode(part), type=Part))
        assert part.relative == (part.begin > 0 and part.lines)
        before *= part.relative
        for row in portion:
            if isinstance(row, Rejected):
                rows.append(msgspec.structs.replace(row, number=None if row.number is None else row.number + before))
            else:
                rows.append(RawRow(row.place._replace(number=row.place.number + before), row.fields))
        before += portion.lines
    return rows


def test_parquet_is_cut_into_row_groups_with_places_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(as_parquet(ROWS))
    assert [(part.begin, part.stop, part.relative) for part in parts(source(path), 1)] == [
        (0, 1, False),
        (1, 2, False),
        (2, 3, False),
    ]
    assert in_parts(path, 1) == list(read_source(source(path)))
    assert len(parts(source(path), 10**6)) == 1


@pytest.mark.parametrize("name", ["rows.json", "rows.csv", "rows.jsonl.gz", "rows.arrow"])
def test_what_cannot_be_cut_is_one_part(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = KINDS[name.removeprefix("rows").removesuffix(".gz")](ROWS)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert len(parts(source(path), 10)) == 1
    assert in_parts(path, 10) == list(read_source(source(path)))


GOOD = b'{"a": 1}\n'
HALF = "holds half a character ('\\ud83d'), as a damaged emoji leaves behind"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": "cut o', "isn't whole JSON: it ends in the middle, at column 13 (Unterminated string starting)"),
        (b'{"a":', "isn't whole JSON: it ends in the middle, at column 6 (Expecting value)"),
        (b'{"a" 1}', "isn't valid JSON: Expecting ':' delimiter at column 6"),
        (b'{"a": 1} {"b": 2}', "isn't valid JSON: Extra data at column 10"),
        (b"[1, 2]", "is not an object with named fields but a list: [1, 2]"),
        (b'"\x1b[31mred"', "holds the control character U+001B at column 2; in JSON it is written \\u001b"),
        (b"null", "is not an object with named fields but null: null"),
        (b'{"a": "x\0y"}', "holds a NUL byte at column 9"),
        (b"\0" * 4096, "holds a NUL byte at column 1"),
        (b'{"a": "\x1b[2J"}', "holds the control character U+001B at column 8; in JSON it is written \\u001b"),
        (b'{"a": "\xff"}', "isn't UTF-8 at byte 8 (0xff)"),
        (b'{"a": "\xed\xa0\xbd"}', "isn't UTF-8 at byte 8 (0xed)"),
        (b'{"a": "\\ud83d"}', HALF),
        (b'{"a": "\\ud83d!"}', HALF),
        (b'{"\\ud83d": 1}', HALF),
        (b'{"a": NaN}', "holds NaN, which JSON has no word for; write null, or leave the key out"),
        (b'{"a": -Infinity}', "holds -Infinity, which JSON has no word for; write null, or leave the key out"),
        (b'{"a": 1e999}', "holds a number that is too large: 1e999"),
        (b'{"a": ' + b"9" * 5000 + b"}", "holds a number of thousands of digits"),
        (b'{"a": ' + b"[" * 120 + b"]" * 120 + b"}", "is nested more than 100 levels deep"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested more than 100 levels deep"),
    ],
    ids=lambda given: given[:20] if isinstance(given, bytes) else "",
)
def test_a_bad_line_of_json_is_named_and_the_others_are_read(tmp_path: Path, line: bytes, reason: str) -> None:
    lines, said = looked_at(tmp_path / "rows.jsonl", GOOD + b"\n" + line + b"\r\n" + GOOD)
    assert lines == [1, 4]
    assert said == [(3, reason)]


def test_byte_order_marks_and_windows_line_ends_are_read_without_a_word(tmp_path: Path) -> None:
    marked = b"\xef\xbb\xbf"
    for name, content in {
        "rows.jsonl": marked + GOOD.replace(b"\n", b"\r\n") * 2 + marked + GOOD,
        "lines.json": marked + GOOD.replace(b"\n", b"\r\n") * 3,
        "rows.json": marked + b'[{"a": 1},\r\n{"a": 1},\r\n{"a": 1}]\r\n',
    }.items():
        assert looked_at(tmp_path / name, content) == ([1, 2, 3], [])
    (tmp_path / "rows.csv").write_bytes(marked + b'"a","b"\r\n1,2\r\n')
    assert good(tmp_path / "rows.csv") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv"])
def test_another_encoding_is_one_problem_of_the_file(tmp_path: Path, name: str, encoding: str) -> None:
    content = ('{"a": 1}\n' * 50).encode(encoding)
    lines, said = looked_at(tmp_path / name, content)
    assert not lines
    assert said == [(None, f"is {encoding[:6].upper()}; save it as UTF-8")]
    assert len(parts(source(tmp_path / name), 10)) == 1


@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("kind", [".jsonl", ".csv"])
def test_a_line_of_50_mb_is_named_with_its_size_and_never_loaded(tmp_path: Path, kind: str, packing: str) -> None:
    size = 50_000_000
    head, row = (b"", GOOD) if kind == ".jsonl" else (b"a\n", b"1\n")
    path = tmp_path / f"rows{kind}{packing}"
    with gzip.open(path, "wb", compresslevel=1) if packing else path.open("wb") as file:
        file.write(head + row + b"x" * (size - 1) + b"\n" + row)
    first = 1 + bool(head)
    tracemalloc.start()
    rows = list(read_source(source(path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.place.number for row in rows if isinstance(row, RawRow)] == [first, first + 2]
    assert [(row.number, row.reason) for row in rows if isinstance(row, Rejected)] == [
        (first + 1, "is 50,000,000 bytes long; a row may have 16,777,216")
    ]
    assert peak < 2.5 * ROW_BYTES


def test_a_line_as_long_as_is_allowed_is_read(tmp_path: Path) -> None:
    content = b'{"a": "' + b"x" * (ROW_BYTES - 10) + b'"}\n'
    assert len(content) == ROW_BYTES
    assert looked_at(tmp_path / "rows.jsonl", content + GOOD) == ([1, 2], [])
    lines, said = looked_at(tmp_path / "rows.jsonl", b" " + content + GOOD)
    assert lines == [2]
    assert said == [(1, "is 16,777,217 bytes long; a row may have 16,777,216")]


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gz", "zst"])
def test_a_half_written_packed_file_gives_all_that_was_whole(
    tmp_path: Path, pack: Callable[[bytes], bytes], request: pytest.FixtureRequest
) -> None:
    content = json_lines([{"n": n, "text": f"{n * 7919:x}{n * 104729:o}"} for n in range(20_000)])
    packed = pack(content)
    suffix = request.node.callspec.id
    lines, said = looked_at(tmp_path / f"rows.jsonl.{suffix}", packed[: len(packed) * 2 // 3])
    last = lines[-1]
    assert lines == list(range(1, last + 1))
    assert 10_000 < last < 20_000
    assert said == [(last + 1, f"the file ends in the middle, as a half-written file does (after line {last})")]
    table = b"n\n" + b"".join(b"%d\n" % (n * 7919) for n in range(100_000))
    packed = pack(table)
    lines, said = looked_at(tmp_path / f"rows.csv.{suffix}", packed[: len(packed) * 2 // 3])
    assert lines == list(range(2, lines[-1] + 1))
    assert len(lines) > 30_000
    assert said == [
        (lines[-1] + 1, f"the file ends in the middle, as a half-written file does (after line {lines[-1]})")
    ]


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_nothing_of_a_half_written_packed_file_is_lost_wherever_it_breaks_off(tmp_path: Path, packing: str) -> None:
    packed: Any = io.BytesIO() if packing == ".gz" else pyarrow.BufferOutputStream()
    opened = (
        gzip.GzipFile(fileobj=packed, mode="wb") if packing == ".gz" else pyarrow.CompressedOutputStream(packed, "zstd")
    )
    ends = []
    with opened as stream:
        for n in range(40):
            stream.write(b'{"n": %d, "t": "%s"}\n' % (n, b"x" * (n * 997 % 5000)))
            stream.flush()
            ends.append(packed.tell())
    content = bytes(packed.getvalue())
    for count, end in enumerate(ends, start=1):
        lines, said = looked_at(tmp_path / f"rows.jsonl{packing}", content[:end])
        assert lines == list(range(1, count + 1))
        assert [number for number, _ in said] == [count + 1]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_is_not_packed_at_all_or_damaged_is_said(tmp_path: Path, suffix: str) -> None:
    lines, ((number, reason),) = looked_at(tmp_path / f"rows.jsonl{suffix}", GOOD * 3)
    assert not lines
    assert number is None
    assert reason.startswith("is damaged: ")
    for kind in (".parquet", ".arrow", ".json"):
        packed = PACKINGS[suffix](KINDS[kind](ROWS * 500))
        lines, ((number, reason),) = looked_at(tmp_path / f"rows{kind}{suffix}", packed[: len(packed) // 2])
        assert "ends in the middle, as " in reason
        assert kind == ".json" or (number is None and not lines)


def test_a_list_of_json_is_told_by_lines_or_by_rows_where_rows_share_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[\n  {\n    "a": 1\n  },\n  {"a": 2}\n]\n')
    assert [str(row.place) for row in read_source(source(path)) if isinstance(row, RawRow)] == [
        "rows.json, line 2",
        "rows.json, line 5",
    ]
    path.write_text('[{"a": 1}, {"a": 2}]\n')
    assert [str(row.place) for row in read_source(source(path)) if isinstance(row, RawRow)] == [
        "rows.json, row 1",
        "rows.json, row 2",
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([" ", "\n", "\r\n", "\n\n", ""]), min_size=8, max_size=20), st.booleans())
def test_no_two_rows_of_a_list_have_the_same_place(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[str], inside: bool
) -> None:
    gap = iter(gaps * 3)
    objects = [f'{next(gap)}{{{next(gap)}"a": {row}}}{next(gap)}' for row in range(6)]
    listed = f"[{','.join(objects)}]{next(gap)}"
    path = tmp_path_factory.mktemp("layout") / "rows.json"
    path.write_bytes((f'{{"data":{listed}}}{next(gap)}' if inside else listed).encode())
    rows = [row for row in read_source(source(path)) if isinstance(row, RawRow)]
    assert [row.fields["a"] for row in rows] == list(range(6))
    numbers = [row.place.number for row in rows]
    assert numbers == sorted(set(numbers))
    assert len({row.place.unit for row in rows}) == 1


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{"data": [{"a": 1}, {"a": 2}]}', [1, 2]),
        (b'{"data": [{"a": 1}], "of": {"rows": 1}, "by": ["me"]}\n', [1]),
        (b'{"version": "1 \xc3\xbc", "data": [\n{"a": 1},\n{"a": 2}]}', [1, 2]),
        (b'{\n "rows":\n [ {"a": 1} ]\n}', [1]),
        (b'{"a": 1}\n{"a": 2}\n', [1, 2]),
        (b'{"a": 1, "data": [{}]}\n{"a": 2, "data": [{}]}\n', [1, 2]),
        (b'{\n  "a": 1\n}\n', [1]),
        (b'{"a": 1}', [1]),
        (b"[]", []),
        (b" \n", []),
        (b"", []),
    ],
)
def test_a_json_file_may_hold_a_list_an_object_around_it_one_row_or_lines(
    tmp_path: Path, content: bytes, rows: list[int]
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    assert [row["a"] for row in good(path)] == rows


@pytest.mark.parametrize(
    ("content", "lines", "said"),
    [
        (
            b'[\n{"a": 1},\n{"a": "cut',
            [2],
            [
                (
                    2,
                    "the list ends in the middle, as in a half-written file "
                    "(Unterminated string starting at line 3, column 7)",
                )
            ],
        ),
        (
            b'[\n{"a": 1}',
            [2],
            [
                (
                    2,
                    "the list ends in the middle, as in a half-written file "
                    "(Expecting ',' delimiter at line 2, column 9)",
                )
            ],
        ),
        (
            b'[\n{"a": 1}\n{"a": 2}\n]',
            [2],
            [(2, "isn't valid JSON at line 3, column 1: Expecting ',' delimiter; nothing behind it can be read")],
        ),
        (
            b'[\n{"a": 1}\n]\n[{"a": 2}]',
            [2],
            [(2, "isn't valid JSON at line 4, column 1: Something follows the list; nothing behind it can be read")],
        ),
        (
            b'{"data": [\n{"a": 1},\n{"a": 2}\n]\n',
            [2, 3],
            [
                (
                    3,
                    "the object around the list ends in the middle, as in a half-written file "
                    "(Expecting ',' delimiter at line 5, column 1)",
                )
            ],
        ),
        (
            b'{"data": [\n{"a": 1},\n{"a": 2}\n], "b" 3}',
            [2, 3],
            [(3, "isn't valid JSON at line 4, column 8: Expecting ':' delimiter; nothing behind it can be read")],
        ),
        (
            b'{"data": [\n{"a": 1}\n]}\nmore',
            [2],
            [(2, "isn't valid JSON at line 4, column 1: Something follows the object; nothing behind it can be read")],
        ),
        (
            b'{"b": oops, "data": [\n{"a": 1}\n]}',
            [2],
            [(2, "isn't valid JSON at line 1, column 7: Expecting value; nothing behind it can be read")],
        ),
        (
            b'{"of": 2, "train": [{"a": 1}], "note": [1], "test": [{"a": 2}], "empty": []}',
            [1],
            [(None, 'only "train" is read; "test" holds rows too')],
        ),
        (
            b'{"train": [\n{"a": 1}\n], "te\\u001bst": [{"a": 2}], "train": [{"a": 3}]}',
            [2],
            [(None, 'only "train" is read; "te\\x1bst", "train" hold rows too')],
        ),
        (
            b'[\n{"a": 1},\n{"a": "\\ud83d"},\n3,\n{"a": "\xff"},\n{"a": NaN},\n{"a": "\0"},\n{"a": 2}\n]',
            [2, 8],
            [
                (3, HALF),
                (4, "is not an object with named fields but a number: 3"),
                (5, "isn't UTF-8 at byte 8 (0xff)"),
                (6, "holds NaN, which JSON has no word for; write null, or leave the key out"),
                (7, "holds a NUL byte at column 8"),
            ],
        ),
        (
            b'{"a": 1}\n{"a": \n{"a": 2}\n',
            [1, 3],
            [(2, "isn't whole JSON: it ends in the middle, at column 7 (Expecting value)")],
        ),
        (
            b'{"a": \n{"a": 1}\n{"a": 2}\n',
            [2, 3],
            [(1, "isn't whole JSON: it ends in the middle, at column 7 (Expecting value)")],
        ),
        (
            b'{\n"a": 1\n}\n{\n"a": 2\n}\n',
            [],
            [
                (
                    None,
                    "holds no list of rows, [{...}, ...], but "
                    '{ "a": 1 } { "a": 2 }: '
                    "several values, each of which belongs on a line of its own",
                )
            ],
        ),
        (
            b'"text"',
            [],
            [
                (
                    None,
                    "holds no list of rows, [{...}, ...], but "
                    '"text": is not an object with named fields but a text: "text"',
                )
            ],
        ),
    ],
)
def test_a_bad_json_file_is_told_with_line_and_column(
    tmp_path: Path, content: bytes, lines: list[int], said: Said
) -> None:
    assert looked_at(tmp_path / "rows.json", content) == (lines, said)


@pytest.mark.parametrize(
    ("content", "lines", "said"),
    [
        (
            b"a,b\n1\n2,3\n4,5,6\n",
            [3],
            [
                (2, "has 1 column, and the first line names 2 (a, b)"),
                (4, "has 3 columns, and the first line names 2 (a, b)"),
            ],
        ),
        (b'a,b\n"1\n2",3\n\n4,5\n', [2, 5], []),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', [2, 4, 5], [(3, "opens a quote that isn't closed before the file ends")]),
        (b'a,b\n1,"2" 3\n4,5\n', [3], [(2, "isn't valid CSV: ',' expected after '\"'")]),
        (
            b'a,b\n1,"2\n3,"4\n5,6\n',
            [4],
            [
                (2, "isn't valid CSV: ',' expected after '\"' (on line 3)"),
                (3, "opens a quote that isn't closed before the file ends"),
            ],
        ),
        (b"a,b\n1,x\0\n4,5\n", [3], [(2, "holds a NUL byte")]),
        (b"a,b\n1,caf\xe9\n4,5\n", [3], [(2, "isn't UTF-8 at byte 4 (0xe9) of a cell")]),
        (b"a;b\n1;2,5\n", [2], []),
        (b"a,b,a\n1,2,3\n", [], [(None, 'names the column "a" twice in its first line')]),
        (b'a,"b\n1,2\n', [], [(None, "has a first line that opens a quote that isn't closed before the file ends")]),
        (
            b"a,b\r1,2\r",
            [],
            [
                (
                    None,
                    "has a first line that holds a carriage return outside quotes; lines end with a line feed",
                )
            ],
        ),
        (b"a,b\n", [], []),
        (b"", [], []),
    ],
)
def test_a_bad_row_of_csv_costs_the_line_on_which_it_begins(
    tmp_path: Path, content: bytes, lines: list[int], said: Said
) -> None:
    assert looked_at(tmp_path / "rows.csv", content) == (lines, said)


def test_a_line_of_csv_too_long_to_load_costs_itself_and_a_quote_that_runs_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "ROW_BYTES", 40)
    long = b"x" * 100 + b"\n"
    lines, said = looked_at(tmp_path / "rows.csv", b"a,b\n1,2\n" + long + b'3,"4\n5,6\n' + long + b"7,8\n")
    assert lines == [2, 5, 7]
    assert [number for number, _ in said] == [3, 4, 6]
    assert said[0][1] == said[2][1] == "is 101 bytes long; a row may have 16,777,216"
    assert said[1][1] == "opens a quote, and then line 6 is 101 bytes long; a row may have 16,777,216"
    lines, said = looked_at(tmp_path / "rows.csv", b'a,b\n1,"2\n' + b"3,4444444444\n" * 5)
    assert lines == [3, 4, 5, 6, 7]
    assert said == [(2, "opens a quote that isn't closed within 40 letters")]


def test_a_rejected_row_of_a_table_is_named_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("a\tb\n1\n")
    (row,) = read_source(source(path))
    assert isinstance(row, Rejected)
    assert (row.where, row.keys) == ("rows.tsv, line 2", ("a", "b"))


@pytest.mark.parametrize("kind", [".parquet", ".arrow"])
def test_a_truncated_or_made_up_column_file_is_one_problem(tmp_path: Path, kind: str) -> None:
    for content in (KINDS[kind](ROWS)[:-20], b"PAR1 or ARROW1, who knows", b""):
        lines, ((number, reason),) = looked_at(tmp_path / f"rows{kind}", content)
        assert (lines, number) == ([], None)
        assert reason.startswith(f"isn't a whole {kind[1:].capitalize()} file: ")


def test_the_rows_before_a_break_in_an_arrow_stream_are_good(tmp_path: Path) -> None:
    content = as_arrow(ROWS, pyarrow.ipc.new_stream)
    lines, ((number, reason),) = looked_at(tmp_path / "rows.arrow", content[:-120])
    assert lines == [1, 2, 3, 4]
    assert number == 5
    assert reason.startswith("the file can't be read after row 4: ")


@pytest.mark.parametrize("opened", [pyarrow.ipc.new_file, pyarrow.ipc.new_stream])
def test_a_wrong_offset_in_an_arrow_file_costs_its_rows_and_no_crash(
    tmp_path: Path, opened: Callable[..., Any]
) -> None:
    path = tmp_path / "rows.arrow"
    table = pyarrow.table({"text": ["one", "three", "nineteen letters it"]})
    with opened(path, table.schema) as writer:
        writer.write_table(table)
    content = path.read_bytes()
    place = content.index(b"".join(number.to_bytes(4, "little") for number in (0, 3, 8, 27))) + 4
    for wrong in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x7f"):
        lines, said = looked_at(path, content[:place] + wrong + content[place + 4 :])
        assert lines == [3]
        assert [number for number, _ in said] == [1, 2]
        assert all(reason.startswith('can\'t be read at "text": ') for _, reason in said)


def test_a_packed_file_that_shrinks_while_it_is_read_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl.zst"
    packed = zstd(json_lines([{"n": n, "text": f"{n * 7919:x}{n * 104729:o}"} for n in range(20_000)]))
    path.write_bytes(packed[: len(packed) * 2 // 3])
    unpacking = streams._Unzstd(path)

    class Shrunk:
        left = 5

        def read(self, most: int) -> bytes:
            self.left -= 1
            assert self.left, "reads an end for ever"
            return b""

        def close(self) -> None: ...

    monkeypatch.setattr(streams._Unzstd, "_open", lambda _: Shrunk())
    with pytest.raises(EOFError):
        list(iter(lambda: unpacking.read(60_000), b""))


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(as_parquet(ROWS))
    first = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    begin = first.dictionary_page_offset or first.data_page_offset
    content[begin : begin + 16] = b"\xff" * 16
    lines, ((number, reason),) = looked_at(path, bytes(content))
    assert lines == [1, 2, 5]
    assert number == 3
    assert reason.startswith("rows 3 to 4 can't be read: ")


def test_text_that_is_not_utf8_in_a_column_costs_its_own_row_only(tmp_path: Path) -> None:
    damaged = pyarrow.array([b"fine", b"caf\xe9", b"fine too"]).cast(pyarrow.binary()).view(pyarrow.string())
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"text": damaged}), path)
    lines, ((number, reason),) = looked_at(path, path.read_bytes())
    assert lines == [1, 3]
    assert number == 2
    assert reason.startswith('can\'t be read at "text": Invalid UTF8 sequence')


def test_columns_of_the_same_name_are_refused_in_column_files_too(tmp_path: Path) -> None:
    table = pyarrow.table([[1], [2]], names=["a", "a"])
    path = tmp_path / "rows.arrow"
    with pyarrow.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    assert looked_at(path, path.read_bytes()) == ([], [(None, "has more than one column of the name 'a'")])


def test_a_file_that_goes_away_between_finding_and_reading_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD)
    found = source(path)
    path.unlink()
    (problem,) = read_source(found)
    assert isinstance(problem, Rejected)
    assert problem.reason == "can't be opened: No such file or directory"


def test_a_tool_call_in_parquet_has_its_own_arguments_and_not_everybodys(tmp_path: Path) -> None:
    calls = [{"name": "weather", "arguments": {"city": "Graz"}}, {"name": "add", "arguments": {"a": 1, "b": 2}}]
    rows = [{"calls": [call], "left": None} for call in calls]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    found = [item.fields for item in read_source(find_source(RowSource(file=str(tmp_path / "rows.parquet"))))]
    assert found == rows
