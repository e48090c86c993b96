"""The HTTP contract, declared once in Pydantic. It is not deployed: `make contract` compiles it.

The modules `write_message`, `read_session`, `edit_session`, `read_user`, `edit_user`, `read_audit`, `search`, `stats`
and `health` describe the Lambda functions of the same names. Each has the bodies, parameters and answers, and at its
end the routes with every status. `database_health` is a route of the function stats. `turns` has the turn in a body,
`sessions` the session in an answer, and `users` the user in both. `values` has the types that they share, `problems`
the errors.

`compiler` writes the bodies into robot_brain/bodies/*_schemas.py. `document` writes the whole contract into
docs/openapi.json, with `links` between the routes. There the docstring below a member becomes its description.
"""
