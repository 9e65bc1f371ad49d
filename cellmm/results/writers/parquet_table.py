"""Measurements as Parquet files."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.measurement_columns import in_order
from cellmm.results.writers.measured import measured

IMAGE = "image"


@WRITERS.register_module()
class ParquetWriter:
    """The table of ``CsvWriter`` with the full precision and types of its numbers.

    It needs the extra ``tables``.
    """

    option = "parquet"
    folder = "parquet"
    suffix = ".parquet"
    collection = "cells.parquet"

    def __init__(self) -> None:
        need("pyarrow", "tables", "Parquet files")

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        """Write the table of an image; see ``Writer``."""
        import pyarrow as pa
        from pyarrow import parquet

        columns = measured(instances, source)
        name = instances.name.encode("utf-8", "backslashreplace").decode()
        arrays = [pa.array([name] * len(instances), pa.string())]
        for column in columns.values():
            text = column.dtype.kind in "OU"
            arrays.append(pa.array(column, pa.string() if text else None, from_pandas=True))
        with atomic_path(path) as tmp:
            parquet.write_table(pa.table(arrays, names=[IMAGE, *columns]), tmp)
        return Counter()

    def collect(self, path: Path, parts: Iterable[Path]) -> None:
        """Put the tables of all images one below another, one row group or more per image.

        Raises:
            CellMMError: a part is not such a table.
        """
        import pyarrow as pa
        from pyarrow import parquet

        parts = list(parts)
        types = {}
        for part in parts:
            try:
                types |= {field.name: field.type for field in parquet.read_schema(part)}
            except pa.ArrowInvalid as error:
                raise CellMMError(
                    f"{part} is not a table of measurements: predict the image again"
                ) from error
        types.setdefault(IMAGE, pa.string())
        schema = pa.schema([(name, types[name]) for name in [IMAGE, *in_order(types)]])
        with atomic_path(path) as tmp, parquet.ParquetWriter(tmp, schema) as file:
            for part in parts:
                table = parquet.read_table(part, partitioning=None)
                columns = [
                    table[field.name]
                    if field.name in table.column_names
                    else pa.nulls(len(table), field.type)
                    for field in schema
                ]
                file.write_table(pa.table(columns, schema=schema))
