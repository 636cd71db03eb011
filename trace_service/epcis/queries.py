"""The named blocks of `queries.sql`."""

from typing import Final

from trace_service.sql import load_queries

SQL: Final = load_queries("trace_service.epcis")
