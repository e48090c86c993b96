"""Robot Brain: the conversation memory of chat robots, for AWS Lambda and Neon's PostgreSQL.

Each package knows as little as it can: `http` no SQL, `database` no HTTP, and only `environment` names os.environ.
"""

import gc
import sys

__version__ = "0.1.0"

# The first import of each function. While modules load, the collector runs many times and finds nothing: 6 % of a cold
# start. `entry.routes` switches it on again. Only in Lambda's runtime: other programs never call that.
if "awslambdaric" in sys.modules:
    gc.disable()
