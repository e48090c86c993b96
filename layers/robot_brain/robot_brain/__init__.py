"""Robot Brain: the conversation memory of chat robots, for AWS Lambda and Neon's PostgreSQL.

Each package knows as little as possible: `http` contains no SQL, `database` no HTTP. Only `environment` reads
os.environ.
"""

import gc
import sys

__version__ = "0.1.0"

# Each function imports this package first. While modules load, the garbage collector runs many times and frees nothing,
# which takes 6 % of a cold start. `entry.routes` enables it again. Other programs never call `entry.routes`, so the
# collector is disabled in Lambda's runtime only.
if "awslambdaric" in sys.modules:
    gc.disable()
