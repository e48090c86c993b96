"""Bodies of requests as schemas of pydantic_core. Written by `make contract` from contract/: do not edit."""

from typing import Any

from robot_brain.bodies.personal import check_email, check_password_hash, check_url

PROFILE_CONTENT: Any = {
    "type": "typed-dict",
    "fields": {
        "first_name": {
            "type": "typed-dict-field",
            "schema": {"type": "str", "min_length": 1, "max_length": 100, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$"},
            "required": False,
        },
        "last_name": {
            "type": "typed-dict-field",
            "schema": {"type": "str", "min_length": 1, "max_length": 100, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$"},
            "required": False,
        },
        "avatar_url": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_url},
                "schema": {"type": "str", "max_length": 2048},
            },
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

USER_CONTENT: Any = {
    "type": "typed-dict",
    "fields": {
        "email": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_email},
                "schema": {"type": "str", "max_length": 254},
            },
            "required": False,
        },
        "password_hash": {
            "type": "typed-dict-field",
            "schema": {
                "type": "function-after",
                "function": {"type": "no-info", "function": check_password_hash},
                "schema": {"type": "str", "max_length": 512},
            },
            "required": False,
        },
        "profile": {"type": "typed-dict-field", "schema": PROFILE_CONTENT, "required": False},
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

PROFILE_PATCH: Any = {
    "type": "typed-dict",
    "fields": {
        "first_name": {
            "type": "typed-dict-field",
            "schema": {
                "type": "nullable",
                "schema": {
                    "type": "str",
                    "min_length": 1,
                    "max_length": 100,
                    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
                },
            },
            "required": False,
        },
        "last_name": {
            "type": "typed-dict-field",
            "schema": {
                "type": "nullable",
                "schema": {
                    "type": "str",
                    "min_length": 1,
                    "max_length": 100,
                    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
                },
            },
            "required": False,
        },
        "avatar_url": {
            "type": "typed-dict-field",
            "schema": {
                "type": "nullable",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_url},
                    "schema": {"type": "str", "max_length": 2048},
                },
            },
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}

USER_PATCH: Any = {
    "type": "typed-dict",
    "fields": {
        "email": {
            "type": "typed-dict-field",
            "schema": {
                "type": "nullable",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_email},
                    "schema": {"type": "str", "max_length": 254},
                },
            },
            "required": False,
        },
        "password_hash": {
            "type": "typed-dict-field",
            "schema": {
                "type": "nullable",
                "schema": {
                    "type": "function-after",
                    "function": {"type": "no-info", "function": check_password_hash},
                    "schema": {"type": "str", "max_length": 512},
                },
            },
            "required": False,
        },
        "profile": {
            "type": "typed-dict-field",
            "schema": {"type": "nullable", "schema": PROFILE_PATCH},
            "required": False,
        },
    },
    "extra_behavior": "forbid",
    "config": {"strict": True, "extra_fields_behavior": "forbid"},
}
