"""The handlers and the template of the probe stack. Each handler does one unusual thing."""

from pathlib import Path

HANDLERS = """
import json, os, pathlib, socket, sys, time

def answer(body, status=200, **more):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body), **more}

def echo(event, context):
    return answer({"event": event, "pid": os.getpid(), "environment": dict(os.environ), "request_id":
                   context.aws_request_id, "remaining": context.get_remaining_time_in_millis(),
                   "function": context.function_name, "memory": context.memory_limit_in_mb})

def resolve(event, context):
    found = socket.getaddrinfo(event["queryStringParameters"]["host"], 5432, type=socket.SOCK_STREAM)
    return answer([entry[4][0] for entry in found])

def wait(event, context):
    gate = pathlib.Path(event["queryStringParameters"]["gate"])
    while not gate.exists():
        time.sleep(0.01)
    return answer({"pid": os.getpid()})

def endless(event, context):
    print("the endless one begins", flush=True)
    time.sleep(3600)

def crash(event, context):
    os._exit(3)

def fail(event, context):
    raise RuntimeError("a secret of the function")

def shout(event, context):
    print("x" * 3_000_000)
    return answer({"pid": os.getpid()})

def sized(event, context):
    return {"statusCode": 200, "body": "x" * int(event["queryStringParameters"]["size"])}

def raw(event, context):
    return json.loads(event["body"])
"""
TEMPLATE = """
Parameters:
  Word: {Type: String, Default: from the template}
  JwtIssuer: {Type: String, Default: "http://127.0.0.1:1"}
Globals:
  Function:
    CodeUri: code/
    Timeout: 60
    Environment: {Variables: {WORD: !Ref Word}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers: {Jwt: {JwtConfiguration: {issuer: !Ref JwtIssuer, audience: [robot-brain]}}}
      CorsConfiguration:
        AllowOrigins: ["https://app.example.com"]
        AllowMethods: [GET, POST, PATCH]
        AllowHeaders: [authorization, content-type]
        ExposeHeaders: [etag]
        MaxAge: 3600
  Open: {Type: AWS::Serverless::Function, Properties: {Handler: probe.echo, Events: {
    Get: {Type: HttpApi, Properties: {Path: /open, Method: GET, Auth: {Authorizer: NONE}}}}}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: probe.echo
      MemorySize: 256
      Events:
        Post: {Type: HttpApi, Properties: {Path: '/echo/{name}', Method: post}}
        Get: {Type: HttpApi, Properties: {Path: '/echo/{name}', Method: GET}}
        Any: {Type: HttpApi, Properties: {Path: /any, Method: ANY}}
        Part: {Type: HttpApi, Properties: {Path: '/things/{name}/parts/{number}', Method: PUT}}
        Patch: {Type: HttpApi, Properties: {Path: '/things/{name}', Method: PATCH}}
  Resolve: {Type: AWS::Serverless::Function, Properties: {Handler: probe.resolve, Events: {
    Get: {Type: HttpApi, Properties: {Path: /resolve, Method: GET}}}}}
  Wait: {Type: AWS::Serverless::Function, Properties: {Handler: probe.wait, Events: {
    Get: {Type: HttpApi, Properties: {Path: /wait, Method: GET}}}}}
  Endless: {Type: AWS::Serverless::Function, Properties: {Handler: probe.endless, Timeout: 1, Events: {
    Get: {Type: HttpApi, Properties: {Path: /endless, Method: GET}}}}}
  Patient: {Type: AWS::Serverless::Function, Properties: {Handler: probe.endless, Timeout: 900, Events: {
    Get: {Type: HttpApi, Properties: {Path: /patient, Method: GET}}}}}
  Crash: {Type: AWS::Serverless::Function, Properties: {Handler: probe.crash, Events: {
    Get: {Type: HttpApi, Properties: {Path: /crash, Method: GET}}}}}
  Fail: {Type: AWS::Serverless::Function, Properties: {Handler: probe.fail, Events: {
    Get: {Type: HttpApi, Properties: {Path: /fail, Method: GET}}}}}
  Shout: {Type: AWS::Serverless::Function, Properties: {Handler: probe.shout, Events: {
    Get: {Type: HttpApi, Properties: {Path: /shout, Method: GET}}}}}
  Sized: {Type: AWS::Serverless::Function, Properties: {Handler: probe.sized, Events: {
    Get: {Type: HttpApi, Properties: {Path: /sized, Method: GET}}}}}
  Raw: {Type: AWS::Serverless::Function, Properties: {Handler: probe.raw, Events: {
    Any: {Type: HttpApi, Properties: {Path: /raw, Method: ANY}},
    Delete: {Type: HttpApi, Properties: {Path: '/things/{name}', Method: DELETE}}}}}
  Broken: {Type: AWS::Serverless::Function, Properties: {Handler: broken.handler, Events: {
    Get: {Type: HttpApi, Properties: {Path: /broken, Method: GET}}}}}
  Missing: {Type: AWS::Serverless::Function, Properties: {Handler: probe.no_such_function, Events: {
    Get: {Type: HttpApi, Properties: {Path: /missing, Method: GET}}}}}
"""


def write_stack(folder: Path) -> Path:
    """Write the template and its handlers into `folder` and return the template's path."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "code" / "probe.py").write_text(HANDLERS)
    (folder / "code" / "broken.py").write_text("raise RuntimeError('this module cannot be imported')\n")
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder / "template.yaml"
