"""The core: the schema, its rules and its SQL, one file per noun."""
