"""The HTTP contract, declared once in Pydantic. It is not shipped: `make contract` compiles it.

Read `write_message`, `read_session`, `stats` and `health`, each beside the function of its name: bodies, parameters,
answers, and at the end the routes with every status. `database_health` is a route of the function stats. `values` has
what they share, `problems` the errors.

`compiler` writes the bodies into robot_brain/bodies/schemas.py, `document` all of it into docs/openapi.json.
A docstring below a member is its description there.
"""
