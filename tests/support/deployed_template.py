"""template.yaml as tests read it: its functions, and the role and the variables that each of them must have."""

import re
import tempfile
from pathlib import Path
from typing import Any

from local.cloudformation import read_template
from local.settings import ROOT
from local.template import load_template
from ops.build import template_for
from tests.pins import pins_of

SOURCE = (ROOT / "template.yaml").read_text()


def built_template(architecture: str = "x86_64", snapstart: str = "off", auth: str = "iam") -> dict[str, Any]:
    """Return the parsed template that `make build` builds from for these choices."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.yaml"
        path.write_text(template_for(SOURCE, architecture, snapstart, auth))
        return read_template(path)


TEMPLATE = built_template()
TEMPLATES = {"iam": TEMPLATE, "jwt": built_template(auth="jwt")}
SNAPSTART_TEMPLATES = {auth: built_template(snapstart="on", auth=auth) for auth in TEMPLATES}
FUNCTIONS = load_template(ROOT / "template.yaml").functions
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain/database-AbCdEf"

_LOG = {"POWERTOOLS_LOG_LEVEL"}
_DATABASE = _LOG | {
    "DATABASE_URL",
    "DATABASE_SECRET_ARN",
    "AUTH",
    "TENANT_FROM",
    "TENANT_ID",
    "ALL_USERS_SCOPE",
    "DB_CONNECTION_TIMEOUT",
    "DB_IDLE_TIMEOUT",
    "DB_MAX_RETRIES",
    "DB_SLOW_QUERY_MS",
}
# The names of the variables of each function.
VARIABLES = {
    "WriteMessageFunction": _DATABASE,
    "ReadSessionFunction": _DATABASE,
    "EditSessionFunction": _DATABASE,
    "ReadUserFunction": _DATABASE,
    "EditUserFunction": _DATABASE,
    "ReadAuditFunction": _DATABASE,
    "SearchFunction": _DATABASE,
    "HealthFunction": _LOG,
    "StatsFunction": _DATABASE | {"STATS_MAX_AGE", "NEON_API_KEY", "NEON_PROJECT_ID", "NEON_ENDPOINT_ID"},
}


def packaged(template: dict[str, Any], code: str = "code", layer: str = "layer") -> dict[str, Any]:
    """Return `template` with an archive in S3 instead of each local folder, as `sam package` writes it."""
    places = {"CodeUri": f"s3://bucket/{code}", "ContentUri": f"s3://bucket/{layer}"}
    resources = {}
    for name, each in template["Resources"].items():
        properties = each["Properties"]
        moved = {key: place for key, place in places.items() if key in properties}
        resources[name] = each | {"Properties": properties | moved}
    return template | {"Resources": resources}


def role_of(function: str) -> str:
    """Return the logical id of a function's role."""
    reference = TEMPLATE["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"]
    name, attribute = reference.split(".") if isinstance(reference, str) else reference
    assert attribute == "Arn"
    return str(name)


def references(node: Any) -> set[str]:
    """Return every name that a Ref or Sub in `node` refers to."""
    if isinstance(node, dict):
        found = {str(node["Ref"])} if "Ref" in node else set()
        if isinstance(node.get("Fn::Sub"), str):
            found |= set(re.findall(r"\$\{([^}]+)\}", node["Fn::Sub"]))
        return found.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def layer_pins() -> list[str]:
    """Return what the layer's requirements.txt pins, without hashes."""
    return [pin.requirement for pin in pins_of(ROOT / "layers" / "robot_brain" / "requirements.txt")]
