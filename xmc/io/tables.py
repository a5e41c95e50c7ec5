"""Tables of what is known of each row: tab-separated columns, whose names the first line holds."""

from __future__ import annotations

from ..errors import DataError, quoted
from .files import FilePath, empty_file, numbered_lines, source_name


def read_table(path: FilePath) -> dict[str, list[str]]:
    """The columns by name, a value for each row.

    Raises DataError, with the line, where a value is missing, or if two columns have one name.
    """
    lines = numbered_lines(path)
    _, header = next(lines, (0, ""))
    names = header.split("\t")
    if len(set(names)) < len(names) or "" in names:
        raise DataError(
            f"{source_name(path)}:1: expected different names of columns, got {quoted(header)}"
        )
    columns: list[list[str]] = [[] for _ in names]
    for number, line in lines:
        values = line.split("\t")
        if len(values) != len(names):
            expected = f"expected {len(names)} values with tabs between, as names in the first line"
            raise DataError(f"{source_name(path)}:{number}: {expected}, got {len(values)}")
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    if not columns[0]:
        raise empty_file(path)
    return dict(zip(names, columns, strict=True))


def read_columns(path: FilePath, names: list[str], n_rows: int) -> dict[str, list[str]]:
    """Some columns of the table in a file.

    Raises DataError unless it has them, and so many rows.
    """
    table = read_table(path)
    for name in names:
        if name not in table:
            there = ", ".join(map(quoted, table))
            raise DataError(
                f"{source_name(path)}: expected a column {quoted(name)}, there is {there}"
            )
        if len(table[name]) != n_rows:
            got = len(table[name])
            raise DataError(
                f"{source_name(path)}: expected {n_rows:,} rows below the names, got {got:,}"
            )
    return {name: table[name] for name in names}
