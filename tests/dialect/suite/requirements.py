"""What SQLite can do, for SQLAlchemy's suite: tests of anything else are skipped, with the reason beside it."""

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

SUPPORTED = """
    autocommit check_constraint_reflection computed_columns computed_columns_reflect_persisted computed_columns_stored
    computed_columns_virtual create_table_as create_temp_table_as ctes ctes_with_values date_historic datetime_historic
    datetime_literals expression_server_defaults fetch_expression fetch_offset_with_options
    fk_constraint_option_reflection_ondelete_noaction fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict float_or_double_precision_behaves_generically
    foreign_key_constraint_name_reflection foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate index_ddl_if_exists indexes_check_column_order
    indexes_with_expressions infinity_floats inline_check_constraint_reflection isolation_level json_array_indexes
    json_type legacy_unconditional_json_extract nvarchar_types order_by_collation percent_schema_names
    precision_numerics_retains_significant_digits reflect_table_options reflects_pk_names regexp_match
    repeated_column_foreign_keys server_defaults skip_autocommit_rollback supports_bitwise_and supports_bitwise_not
    supports_bitwise_or supports_bitwise_shift supports_bitwise_xor table_ddl_if_exists tuple_in tuple_in_w_empty
    unicode_ddl update_from view_column_reflection view_reflection views window_functions window_range
    window_range_numeric
""".split()  # noqa: SIM905  (sixty names read best as text)
"""Closed by default in `SuiteRequirements`, although SQLite has them."""

MISSING = (
    "implicitly_named_constraints",  # a constraint without a name has none
    "independent_connections",  # two writers at once: SQLite has one
    "parens_in_union_contained_select_w_limit_offset",  # SQLite's grammar knows no (SELECT ..) UNION (SELECT ..)
    "parens_in_union_contained_select_wo_limit_offset",
    "temp_table_reflect_indexes",  # a temporary table belongs to one connection, and a file's pool gives another
    "temp_table_reflection",
)
"""Open by default in `SuiteRequirements`, although SQLite has them not. SQLAlchemy closes the same for pysqlite."""


class Requirements(SuiteRequirements):
    """The capabilities of SQLite through apsw."""

    def get_isolation_levels(self, _config: Any) -> dict[str, Any]:
        return {"default": "SERIALIZABLE", "supported": ["READ UNCOMMITTED", "SERIALIZABLE", "AUTOCOMMIT"]}

    def get_order_by_collation(self, _config: Any) -> str:
        return "NOCASE"


for name in SUPPORTED:
    setattr(Requirements, name, property(lambda _: exclusions.open()))  # type: ignore[no-untyped-call]
for name in MISSING:
    setattr(Requirements, name, property(lambda _: exclusions.closed()))  # type: ignore[no-untyped-call]
