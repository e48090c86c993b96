"""What the local stack reads of a template, and that it says so where it does not understand one."""

from pathlib import Path

import pytest

from local.cloudformation import Resolver, TemplateError
from local.template import Route, Schedule, load_template

ROOT = Path(__file__).resolve().parents[2]
WHOLE = """
Parameters:
  Word: {Type: String, Default: hello}
  When: {Type: String, Default: rate(1 day)}
  Fast: {Type: String, Default: "no"}
  Given: {Type: String}
Mappings:
  Sizes: {small: {memory: 256}}
Conditions:
  IsFast: !Equals [!Ref Fast, "yes"]
  HasSchedule: !And [!Not [!Equals [!Ref When, none]], !Not [!Condition IsFast]]
Globals:
  Function:
    CodeUri: code/
    Timeout: 28
    Layers: [!Ref TheLayer]
    Environment: {Variables: {WORD: !Ref Word, PLACE: !Sub "${AWS::Region}/${Word}/${!kept}"}}
Resources:
  TheLayer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer/}}
  TheApi: {Type: AWS::Serverless::HttpApi}
  TheLog: {Type: AWS::Logs::LogGroup}
  WriteFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: write_it.handler
      MemorySize: !FindInMap [Sizes, small, memory]
      Timeout: !If [IsFast, 5, !Ref AWS::NoValue]
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
      ScheduleExpressionTimezone: Europe/Rome
      Target: {Arn: !Ref WriteFunction.Alias, RoleArn: !GetAtt TheRole.Arn, Input: '{"a": 1}'}
  TheRole: {Type: AWS::IAM::Role}
Outputs:
  Unread: {Value: !ImportValue elsewhere}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_functions_routes_and_schedules_are_read_with_their_intrinsics_resolved(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, WHOLE))
    assert list(template.functions) == ["WriteFunction"]
    function = template.functions["WriteFunction"]
    assert (function.handler, function.timeout, function.memory) == ("write_it.handler", 28, 256)
    assert function.code == tmp_path / "code"
    assert function.layers == (tmp_path / "layer",)
    assert function.environment == {
        "WORD": "own",
        "PLACE": "us-east-1/hello/${kept}",
        "FLAG": "true",
        "NUMBER": "5",
        "LOG": "arn:aws:lambda:us-east-1:123456789012:function:TheLog",
    }
    assert template.routes == (Route("POST", "/things/{id}", "WriteFunction"),)
    assert template.schedules == (Schedule("TheSchedule", "rate(1 day)", "Europe/Rome", "WriteFunction", '{"a": 1}'),)


def test_parameters_given_win_over_defaults(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, WHOLE), {"Fast": "yes", "Word": "other"})
    assert list(template.functions) == ["WriteFunction", "AbsentFunction"]
    assert template.functions["WriteFunction"].timeout == 5
    assert template.functions["AbsentFunction"].environment["WORD"] == "other"
    assert template.schedules == ()
    assert load_template(write(tmp_path, WHOLE), {"When": "none"}).schedules == ()


def test_a_function_is_found_by_its_logical_id_and_by_its_files_name(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, WHOLE))
    assert template.function("WriteFunction") is template.function("write_it")
    with pytest.raises(TemplateError, match=r"no function other; the template has WriteFunction \(write_it\)"):
        template.function("other")


FUNCTION = "Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: c"


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("F: {<function>, Timeout: !Ref Nothing}}", "Ref Nothing refers to nothing"),
        ("F: {<function>, Timeout: !ImportValue x}}", "Fn::ImportValue is not understood"),
        ("F: {<function>, Layers: [!Ref F]}}", "is not a layer of this template"),
        ("F: {<function>, Events: {E: {Type: SQS}}}}", "type SQS is not understood"),
        ("F: {<function>, Events: {E: {Type: HttpApi}}}}", "needs Path and Method"),
        ("F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}", "needs Handler and a CodeUri"),
        ("F: {<function>}, Condition: Nowhere}", "there is no condition Nowhere"),
        ("F: {<function>, Environment: {Variables: {A: !GetAtt No.Arn}}}}", "GetAtt No.Arn refers to nothing"),
        (
            "S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: rate(1 day), Target: {Arn: x}}}",
            "x is none of this template's functions",
        ),
        (
            "F: {<function>}}\n  S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: rate(1 day), "
            "Target: {Arn: !GetAtt F.Arn, Input: 'no json'}}}",
            "Input is not JSON",
        ),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, resources: str, message: str) -> None:
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
        load_template(write(tmp_path, WHOLE), {"Wrong": "x"})


def test_a_parameter_without_a_default_must_be_given_only_where_it_is_needed() -> None:
    resolver = Resolver({"Parameters": {"A": {"Type": "String"}}, "Resources": {}}, {})
    with pytest.raises(TemplateError, match="parameter A has no default"):
        resolver.resolve({"Ref": "A"}, "here")


def test_intrinsic_functions_of_lists() -> None:
    resolver = Resolver({"Parameters": {"A": {"Default": "x,y"}}, "Resources": {}}, {})
    split = {"Fn::Split": [",", {"Ref": "A"}]}
    assert resolver.resolve({"Fn::Join": ["-", split]}, "here") == "x-y"
    assert resolver.resolve({"Fn::Select": ["1", split]}, "here") == "y"
    assert resolver.resolve({"Fn::Sub": ["${B}${A}", {"B": {"Ref": "A"}}]}, "here") == "x,yx,y"
    assert resolver.resolve({"Fn::Or": [{"Fn::Equals": ["1", "2"]}, {"Fn::Equals": ["1", "1"]}]}, "here") is True


def test_the_projects_own_template_is_understood() -> None:
    template = load_template(ROOT / "template.yaml")
    assert {(route.method, route.path, route.function) for route in template.routes} == {
        ("POST", "/sessions/{session_id}/messages", "WriteMessageFunction"),
        ("GET", "/sessions/{session_id}", "ReadSessionFunction"),
        ("GET", "/health", "HealthFunction"),
        ("HEAD", "/health", "HealthFunction"),
        ("GET", "/health/database", "StatsFunction"),
        ("GET", "/stats", "StatsFunction"),
    }
    assert [schedule.function for schedule in template.schedules] == ["StatsFunction"]
    for function in template.functions.values():
        assert (function.code / f"{function.handler.removesuffix('.handler')}.py").is_file()
        assert all((folder / "robot_brain").is_dir() for folder in function.layers)
