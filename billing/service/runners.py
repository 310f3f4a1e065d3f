"""Where the expression runs: DuckDB in this process, or Spark (`pip install pbx-licences[spark]`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis  # type: ignore[import-untyped]
import pyarrow  # type: ignore[import-untyped]

from billing.service.engine import Tables

MEMORY: Final = "2GB"
"""What DuckDB may take before it spills to disk."""

_SETTINGS: Final = {
    "preserve_insertion_order": "false",  # the order of the answer means nothing, and keeping it costs memory
    # It cannot know how few openings there are, and would hash the calls of a month to look the openings up.
    "disabled_optimizers": "join_order,build_side_probe_side",
}
_WHOLE: Final = "CREATE TEMPORARY MACRO whole(a) AS CAST(a AS BIGINT)"
_SPARK_FUNCTIONS: Final = (
    "divide(a BIGINT, b BIGINT) RETURNS BIGINT RETURN a div b",
    "whole(a BIGINT) RETURNS BIGINT RETURN a",
)


@lru_cache(maxsize=64)
def _sql(wanted: Any) -> str:
    """The expression in DuckDB's words; it takes longer to say than a small month to rate."""
    return str(ibis.to_sql(wanted, dialect="duckdb"))


class DuckDb:
    """DuckDB, embedded; one connection for each run, nothing is kept."""

    def __init__(self, memory: str = MEMORY) -> None:
        self._memory = memory

    def run(self, wanted: Any, tables: Tables) -> pyarrow.Table:
        """The rows of the expression."""
        with self._connected(tables) as connection:
            return connection.sql(_sql(wanted)).to_arrow_table()

    def rate_file(self, wanted: Any, calls: Path, tables: Tables, rated: Path) -> None:
        """Write the rows of the expression over calls in a Parquet file to another one."""
        with self._connected(tables) as connection:
            connection.read_parquet(str(calls)).create_view("calls")
            connection.sql(_sql(wanted)).write_parquet(str(rated))

    @contextmanager
    def _connected(self, tables: Tables) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(config={"memory_limit": self._memory, **_SETTINGS}) as connection:
            connection.execute("SET enable_progress_bar = false")  # it would stand in the answer on stdout
            connection.execute(_WHOLE)
            for name, content in tables.items():
                connection.register(name, content)
            yield connection


class Spark:
    """A Spark session that somebody else started and stops."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, wanted: Any, tables: Tables) -> pyarrow.Table:
        """The rows of the expression; `divide` is made of Spark's own `div`."""
        connection = ibis.pyspark.connect(self._session)
        for function in _SPARK_FUNCTIONS:
            self._session.sql(f"CREATE OR REPLACE TEMPORARY FUNCTION {function}")
        for name, content in tables.items():
            self._session.createDataFrame(content).createOrReplaceTempView(name)
        return connection.to_pyarrow(wanted)
