"""What `sam deploy` sends to CloudFormation, packaged with moto's S3 and transformed by SAM's own translator."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import yaml

from tests.e2e.sam_bundle import SamBundle, sam_environment, sam_python
from tests.support.bundle import Json
from tests.support.servers.binaries import skip_without

BUCKET = "robot-brain-artifacts"
TRANSFORM = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
json.dump([Translator({}, Parser()).translate(*each) for each in json.load(sys.stdin)], sys.stdout)
"""


@dataclass(frozen=True)
class Package:
    """A packaged template and its file, the resources that CloudFormation makes of it, and the uploaded archives."""

    path: Path
    template: Json
    resources: dict[str, Json]
    archives: dict[str, bytes] = field(repr=False)

    def of_type(self, kind: str) -> dict[str, Json]:
        """Return the properties of all resources of one type, by logical id."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == kind}


def make_package(bundle: SamBundle, endpoint: str) -> Package:
    """Package the bundle with `sam package`, and transform the result as CloudFormation does."""
    skip_without(sam_python)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket=BUCKET)
    path = bundle.folder / "packaged.yaml"
    signed = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    arguments = ["--s3-bucket", BUCKET, "--output-template-file", str(path)]
    done = bundle.sam("package", *arguments, environment=signed | {"AWS_ENDPOINT_URL": endpoint})
    assert done.returncode == 0, done.stderr
    template = yaml.safe_load(path.read_text())
    archives = {}
    for name, each in template["Resources"].items():
        uri = each.get("Properties", {}).get("CodeUri") or each.get("Properties", {}).get("ContentUri")
        if uri:
            key = uri.removeprefix(f"s3://{BUCKET}/")
            archives[name] = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    client.close()
    [transformed] = transform([(template, {})])
    return Package(path, template, transformed["Resources"], archives)


def transform(templates: Iterable[tuple[Json, Mapping[str, str]]]) -> list[Json]:
    """Transform each packaged template with its parameters as CloudFormation does."""
    done = subprocess.run(
        [str(sam_python()), "-c", TRANSFORM],
        input=json.dumps(list(templates)),
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    transformed: list[Json] = json.loads(done.stdout)
    return transformed
