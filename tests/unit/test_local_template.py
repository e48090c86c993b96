"""The local stack's reader of template.yaml: what it reads, and its errors about what it does not understand."""

from pathlib import Path

import pytest

from local.cloudformation import Resolver, TemplateError, read_template
from local.settings import ROOT
from local.template import Route, Schedule, load_template

COMPLETE = """
Parameters:
  Word: {Type: String, Default: hello}
  When: {Type: String, Default: rate(1 day)}
  Fast: {Type: String, Default: "no"}
  Given: {Type: String}
Conditions:
  IsFast: !Equals [!Ref Fast, "yes"]
  HasSchedule: !And [!Not [!Equals [!Ref When, none]], !Not [!Equals [!Ref Fast, "yes"]]]
Globals:
  Function:
    CodeUri: code/
    Timeout: 28
    Layers: [!Ref TheLayer]
    Environment: {Variables: {WORD: !Ref Word, GREETING: !Ref Word}}
Resources:
  TheLayer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer/}}
  OwnLayer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: own/}}
  TheApi: {Type: AWS::Serverless::HttpApi}
  TheLog: {Type: AWS::Logs::LogGroup}
  WriteFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: write_it.handler
      MemorySize: 256
      Timeout: !If [IsFast, 5, !Ref AWS::NoValue]
      Layers: [!Ref OwnLayer]
      Environment: {Variables: {WORD: own, FLAG: true, NUMBER: 5, LOG: !GetAtt TheLog.Arn}}
      Events:
        Post: {Type: HttpApi, Properties: {ApiId: !Ref TheApi, Path: "/things/{id}", Method: post}}
  AbsentFunction:
    Type: AWS::Serverless::Function
    Condition: IsFast
    Properties: {Handler: absent.handler}
  TheSchedule:
    Type: AWS::Scheduler::Schedule
    Condition: HasSchedule
    Properties:
      ScheduleExpression: !Ref When
      Target: {Arn: !GetAtt WriteFunction.Arn, RoleArn: !GetAtt TheRole.Arn, Input: '{"a": 1}'}
  TheRole: {Type: AWS::IAM::Role}
Outputs:
  Unread: {Value: !ImportValue elsewhere}
"""


def write(folder: Path, text: str) -> Path:
    """Write template.yaml with this text into `folder`, and return its path."""
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_functions_routes_and_schedules_are_read_with_their_intrinsics_resolved(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, COMPLETE))
    assert list(template.functions) == ["WriteFunction"]
    function = template.functions["WriteFunction"]
    assert (function.handler, function.timeout, function.memory) == ("write_it.handler", 28, 256)
    assert function.code == tmp_path / "code"
    assert function.layers == (tmp_path / "layer", tmp_path / "own")
    assert function.environment == {
        "WORD": "own",
        "GREETING": "hello",
        "FLAG": "true",
        "NUMBER": "5",
        "LOG": "arn:aws:lambda:us-east-1:123456789012:function:TheLog",
    }
    assert template.routes == (Route("POST", "/things/{id}", "WriteFunction"),)
    assert template.schedules == (Schedule("TheSchedule", "rate(1 day)", "WriteFunction", '{"a": 1}'),)


def test_a_condition_decides_which_resources_and_values_exist(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, COMPLETE.replace('Default: "no"', 'Default: "yes"')))
    assert list(template.functions) == ["WriteFunction", "AbsentFunction"]
    assert template.functions["WriteFunction"].timeout == 5
    assert template.functions["AbsentFunction"].environment["WORD"] == "hello"
    assert template.schedules == ()
    assert load_template(write(tmp_path, COMPLETE.replace("rate(1 day)", "none"))).schedules == ()


def test_a_function_is_found_by_its_logical_id_and_by_its_files_name(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, COMPLETE))
    assert template.function("WriteFunction") is template.function("write_it")
    with pytest.raises(TemplateError, match=r"unknown function other; the template has WriteFunction \(write_it\)"):
        template.function("other")


FUNCTION = "Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: c"


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("F: {<function>, Timeout: !Ref Nothing}}", "Ref Nothing must name a resource, or a parameter with a default"),
        ("F: {<function>, Timeout: !Ref AWS::Region}}", "Ref AWS::Region must name a resource"),
        ("F: {<function>, Timeout: !ImportValue x}}", "the local stack does not support Fn::ImportValue"),
        ("F: {<function>, Timeout: !Sub x}}", "the local stack does not support Fn::Sub"),
        ("F: {<function>, Timeout: !FindInMap [a, b, c]}}", "the local stack does not support Fn::FindInMap"),
        ("F: {<function>, Timeout: !Transform {a: b}}}", "!Transform: the local stack does not support a mapping"),
        ("F: {<function>, Layers: [!Ref F]}}", "is not a layer of this template"),
        ("F: {<function>, Events: {E: {Type: ScheduleV2}}}}", "does not support an event of type ScheduleV2"),
        ("F: {<function>, Events: {E: {Type: HttpApi}}}}", "needs Path and Method"),
        (
            "F: {<function>, Events: {E: {Type: HttpApi, Properties: {Method: GET, Path: '/{a+}'}}}}}",
            "does not support a path that matches every path",
        ),
        (
            "F: {<function>, Events: {E: {Type: HttpApi, Properties: {Method: ANY, Path: $default}}}}}",
            "does not support a path that matches every path",
        ),
        ("F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}", "needs Handler and a CodeUri"),
        ("F: {<function>}, Condition: Nowhere}", "the template has no condition Nowhere"),
        (
            "F: {<function>, Environment: {Variables: {A: !GetAtt No.Arn}}}}",
            "GetAtt No.Arn is not the Arn of a resource",
        ),
        (
            "F: {<function>, Environment: {Variables: {A: !GetAtt F.Version}}}}",
            "F.Version is not the Arn of a resource",
        ),
        (
            "S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: rate(1 day), Target: {Arn: x}}}",
            "x must be a function of this template",
        ),
        (
            "F: {<function>}}\n  S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: rate(1 day), "
            "Target: {Arn: !GetAtt F.Arn, Input: 'no json'}}}",
            "Input is not JSON",
        ),
    ],
)
def test_an_unsupported_part_of_a_template_is_named(tmp_path: Path, resources: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        load_template(write(tmp_path, f"Resources:\n  {resources.replace('<function>', FUNCTION)}\n"))


def test_a_missing_file_a_broken_one_and_an_unknown_parameter_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="cannot be read"):
        load_template(tmp_path / "none.yaml")
    with pytest.raises(TemplateError, match="is not YAML"):
        load_template(write(tmp_path, "a: [1"))
    with pytest.raises(TemplateError, match="has no Resources"):
        load_template(write(tmp_path, "a: 1"))
    with pytest.raises(TemplateError, match="has no parameter Wrong"):
        Resolver(read_template(write(tmp_path, COMPLETE)), {"Wrong": "x"})


def test_the_template_of_this_project_is_understood() -> None:
    template = load_template(ROOT / "template.yaml")
    assert {(route.method, route.path, route.function) for route in template.routes} == {
        ("POST", "/sessions/{session_id}/messages", "WriteMessageFunction"),
        ("PUT", "/sessions/{session_id}/messages/{seq}", "WriteMessageFunction"),
        ("GET", "/sessions/{session_id}", "ReadSessionFunction"),
        ("GET", "/sessions", "ReadSessionFunction"),
        ("PATCH", "/sessions/{session_id}", "EditSessionFunction"),
        ("DELETE", "/sessions/{session_id}", "EditSessionFunction"),
        ("DELETE", "/sessions/{session_id}/messages", "EditSessionFunction"),
        ("POST", "/users", "EditUserFunction"),
        ("PUT", "/users/{user_id}", "EditUserFunction"),
        ("PATCH", "/users/{user_id}", "EditUserFunction"),
        ("DELETE", "/users/{user_id}", "EditUserFunction"),
        ("GET", "/audit", "ReadAuditFunction"),
        ("GET", "/search", "SearchFunction"),
        ("GET", "/users", "ReadUserFunction"),
        ("GET", "/users/{user_id}", "ReadUserFunction"),
        ("GET", "/users/{user_id}/export", "ReadUserFunction"),
        ("GET", "/health", "HealthFunction"),
        ("HEAD", "/health", "HealthFunction"),
        ("GET", "/health/database", "StatsFunction"),
        ("GET", "/stats", "StatsFunction"),
    }
    assert [schedule.function for schedule in template.schedules] == ["StatsFunction"]
    for function in template.functions.values():
        assert (function.code / f"{function.handler.removesuffix('.handler')}.py").is_file()
        assert all((folder / "robot_brain").is_dir() for folder in function.layers)
