"""The sample store: Parquet files that one writer per partition makes, and DuckDB that reads them."""
