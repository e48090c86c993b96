"""Bodies of requests as schemas of pydantic_core. Written by `make contract` from contract/: do not edit."""

from typing import Any

from robot_brain.bodies.sizes import check_metadata, check_user_id

SESSION_PATCH: Any = {
    "type": "typed-dict",
    "fields": {
        "user_metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_metadata},
                "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
            },
            "required": False,
        },
        "user_id": {
            "type": "typed-dict-field",
            "schema": {
                "type": "nullable",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_user_id},
                    "schema": {"type": "str"},
                },
            },
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}
