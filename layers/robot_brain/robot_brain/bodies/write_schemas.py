"""Bodies of requests as schemas of pydantic_core. Written by `make contract` from contract/: do not edit."""

from typing import Any

from robot_brain.bodies.sizes import check_metadata, check_text

INTERACTION: Any = {
    "type": "typed-dict",
    "fields": {
        "interaction_type": {
            "type": "typed-dict-field",
            "schema": {"type": "str", "min_length": 1, "max_length": 50},
            "required": True,
        },
        "duration_ms": {
            "type": "typed-dict-field",
            "schema": {"type": "int", "ge": 0, "le": 2147483647},
            "required": True,
        },
        "success": {"type": "typed-dict-field", "schema": {"type": "bool"}, "required": True},
        "robot_id": {
            "type": "typed-dict-field",
            "schema": {"type": "str", "min_length": 1, "max_length": 50},
            "required": False,
        },
        "metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "default",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_metadata},
                    "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                },
                "default_factory": dict,
                "default_factory_takes_data": False,
            },
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

ONE_TURN: Any = {
    "type": "typed-dict",
    "fields": {
        "robot_personality": {
            "type": "typed-dict-field",
            "schema": {"type": "str", "min_length": 1, "max_length": 50},
            "required": True,
        },
        "user_message": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_text},
                "schema": {"type": "str"},
            },
            "required": True,
        },
        "robot_response": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_text},
                "schema": {"type": "str"},
            },
            "required": True,
        },
        "items": {
            "type": "typed-dict-field",
            "schema": {
                "type": "list",
                "items_schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                "max_length": 200,
            },
            "required": False,
        },
        "metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "default",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_metadata},
                    "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                },
                "default_factory": dict,
                "default_factory_takes_data": False,
            },
            "required": False,
        },
        "interaction": {"type": "typed-dict-field", "schema": INTERACTION, "required": False},
        "user_metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_metadata},
                "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
            },
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

TURN: Any = {
    "type": "typed-dict",
    "fields": {
        "robot_personality": {
            "type": "typed-dict-field",
            "schema": {"type": "str", "min_length": 1, "max_length": 50},
            "required": True,
        },
        "user_message": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_text},
                "schema": {"type": "str"},
            },
            "required": True,
        },
        "robot_response": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_text},
                "schema": {"type": "str"},
            },
            "required": True,
        },
        "items": {
            "type": "typed-dict-field",
            "schema": {
                "type": "list",
                "items_schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                "max_length": 200,
            },
            "required": False,
        },
        "metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "default",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_metadata},
                    "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                },
                "default_factory": dict,
                "default_factory_takes_data": False,
            },
            "required": False,
        },
        "interaction": {"type": "typed-dict-field", "schema": INTERACTION, "required": False},
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

BATCH: Any = {
    "type": "typed-dict",
    "fields": {
        "messages": {
            "type": "typed-dict-field",
            "schema": {"type": "list", "items_schema": TURN, "min_length": 1, "max_length": 100},
            "required": True,
        },
        "user_metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_metadata},
                "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
            },
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

REPLACEMENT: Any = {
    "type": "typed-dict",
    "fields": {
        "user_message": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_text},
                "schema": {"type": "str"},
            },
            "required": True,
        },
        "robot_response": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_text},
                "schema": {"type": "str"},
            },
            "required": True,
        },
        "items": {
            "type": "typed-dict-field",
            "schema": {
                "type": "list",
                "items_schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                "max_length": 200,
            },
            "required": False,
        },
        "metadata": {
            "type": "typed-dict-field",
            "schema": {
                "type": "default",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_metadata},
                    "schema": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
                },
                "default_factory": dict,
                "default_factory_takes_data": False,
            },
            "required": False,
        },
        "interaction": {"type": "typed-dict-field", "schema": INTERACTION, "required": False},
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}
