"""Serve one handler over Lambda's Runtime API, on systems for which awslambdaric has no wheel (macOS).

Run this file as `python -P local/runtime_loop.py module.function`. It does the same as awslambdaric for a handler that
takes and returns JSON. With either, the emulator does the rest: timeouts, limits, one request at a time.
"""

import http.client
import importlib
import json
import os
import sys
import threading
import time
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

API = "/2018-06-01/runtime"


class Context:
    """The second argument of a handler, with the attributes of Lambda's context object."""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        """Take the headers of the invocation."""
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = None
        self.tenant_id = None
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation, at least 0."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


def main(handler_name: str) -> None:
    """Import the handler, then answer invocations without end."""
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        module, _, function = handler_name.rpartition(".")
        handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module), function)
    except BaseException as error:  # any error of the import is the function's, and is reported as Lambda does
        _post(connection, f"{API}/init/error", _described(error))
        sys.exit(1)
    while True:
        connection.request("GET", f"{API}/invocation/next")
        response = connection.getresponse()
        event = json.loads(response.read())
        os.environ["_X_AMZN_TRACE_ID"] = response.headers["Lambda-Runtime-Trace-Id"]
        invocation = f"{API}/invocation/{response.headers['Lambda-Runtime-Aws-Request-Id']}"
        try:
            answer = json.dumps(handler(event, Context(response.headers)), ensure_ascii=False).encode()
        except Exception as error:  # an error of the function, reported too
            _post(connection, f"{invocation}/error", _described(error))
        else:
            _post(connection, f"{invocation}/response", answer)


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    if response.status != http.client.ACCEPTED:
        # The environment cannot be used any more. awslambdaric exits as well.
        sys.exit(f"the Runtime API refused {path}: {response.status}")


def _described(error: BaseException) -> bytes:
    traceback.print_exception(error, file=sys.stdout)
    sys.stdout.flush()
    trace = traceback.format_list(traceback.extract_tb(error.__traceback__))
    return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace}).encode()


def _leave_with_parent(parent: int) -> None:
    # macOS has no PR_SET_PDEATHSIG, and a busy handler must not continue after the emulator has ended.
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
