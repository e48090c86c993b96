"""What the tests put in the place of the AWS CLI: `python -m tests.e2e.aws_cli SERVICE OPERATION --option value …`.

It takes names and shapes from AWS's own models (botocore), so a wrong name or shape fails as it does with the AWS CLI.
"""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name


def main(arguments: list[str]) -> int:
    """Call the operation and print its answer: as JSON, or as text with `--output text`."""
    service, operation, *rest = arguments
    given: dict[str, list[str]] = {}
    for word in rest:
        if word.startswith("--"):
            option = word
            given[option] = []
        else:
            given[option].append(word)
    [query] = given.pop("--query", ["@"])
    [output] = given.pop("--output", ["json"])
    client = boto3.client(service)
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    shapes = {f"--{xform_name(name, '-')}": (name, shape) for name, shape in model.input_shape.members.items()}
    parameters = {shapes[option][0]: _value(shapes[option][1], words) for option, words in given.items()}
    answer = jmespath.search(query, getattr(client, method)(**parameters))
    print(answer if output == "text" else json.dumps(answer, default=str))
    return 0


def _value(shape: Any, words: list[str]) -> Any:
    """Return the value of an option for a parameter of this shape."""
    if shape.type_name == "list" and not words[0].startswith("["):
        return [_value(shape.member, [word]) for word in words]
    [word] = words
    if word.startswith("file://"):
        word = Path(word.removeprefix("file://")).read_text()
    if shape.type_name in ("structure", "list", "map"):
        # JSON, or the AWS CLI's short form of a structure: Name=value,Other=value.
        return json.loads(word) if word[0] in "[{" else dict(part.split("=", 1) for part in word.split(","))
    numbers = {"integer": int, "long": int, "double": float, "float": float}
    return numbers.get(shape.type_name, str)(word)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
