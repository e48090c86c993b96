"""The limits of the HTTP contract, each with its unit. The layer and the contract import them from here.

sql/ checks the same limits with its own numbers, for callers that bypass the layer. Tests compare both.
"""

# A request's body, in bytes of UTF-8 after decoding.
MAX_REQUEST_BYTES = 4 * 1024 * 1024
# The largest answer that Lambda returns, in bytes of the escaped response. SQL ends a page before this size.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ANSWER_BYTES = 6_291_556
# The depth of nested objects and arrays.
MAX_NESTING = 64

# Turns in one write.
MAX_TURNS = 100
# A user message or a robot response, in bytes of UTF-8.
MAX_TEXT_BYTES = 256 * 1024
# The metadata of a turn, or of a session after a write, in bytes as PostgreSQL stores them.
MAX_METADATA_BYTES = 16 * 1024
# The items of a turn: their number, and all of them together in bytes as PostgreSQL stores them.
MAX_ITEMS = 200
MAX_ITEMS_BYTES = 256 * 1024
# robot_personality, robot_id and interaction_type, in code points.
MAX_NAME_LENGTH = 50
# PostgreSQL's integer: the largest seq and the longest duration in milliseconds.
MAX_INTEGER = 2**31 - 1

# A session's id, in code points.
MAX_SESSION_ID_LENGTH = 100
# A tenant, in ASCII characters.
MAX_TENANT_LENGTH = 128
# The id of a user, in code points.
MAX_USER_ID_LENGTH = 255
# What is stored of a user, in code points. The key of an e-mail is in an index, whose entries have 2,704 bytes at most.
MAX_EMAIL_LENGTH = 254
MAX_EMAIL_KEY_BYTES = 1500
MAX_PASSWORD_HASH_LENGTH = 512
MAX_PERSON_NAME_LENGTH = 100
MAX_URL_LENGTH = 2048
# An Idempotency-Key, in ASCII characters, and how long the database remembers it.
MAX_KEY_LENGTH = 255
KEY_HOURS = 24
# The digits of a last seq in If-Match, and the characters of a version.
MAX_TAG_DIGITS = 18
MAX_VERSION_LENGTH = 32

# Turns in one page of a session.
MAX_PAGE_TURNS = 200
DEFAULT_PAGE_TURNS = 50
# max_chars of a page, in code points of both texts.
MAX_PAGE_CHARS = 10_000_000

# Turns that one request removes.
MAX_REMOVED_TURNS = 100_000
# Sessions in one page of the list, and the code points of each text of a preview.
MAX_LISTED_SESSIONS = 100
DEFAULT_LISTED_SESSIONS = 20
PREVIEW_CHARS = 200
# Users in one page of the list.
MAX_LISTED_USERS = 100
DEFAULT_LISTED_USERS = 20
# Entries in one page of the audit trail.
MAX_AUDIT_ENTRIES = 100
DEFAULT_AUDIT_ENTRIES = 20
# The actor in the audit trail: the subject of a token or the ARN of a signer, in code points.
MAX_ACTOR_LENGTH = 1024
# Turns in one page of a search, and what it looks for, in code points: the words, and the JSON of metadata.
MAX_HITS = 50
DEFAULT_HITS = 20
MAX_QUERY_LENGTH = 1000
MAX_FILTER_LENGTH = 2000
# The path by which sessions are found, in code points.
MAX_PATH_LENGTH = 500
# A cursor is hexadecimal, and may hold a user's id of 255 code points: up to 1,020 bytes.
MAX_CURSOR_LENGTH = 2500

# An answer lists at most 100 broken rules. If over 1000 are broken, one entry says how many.
# A list of 300,000 takes seconds and is of no use.
MAX_NAMED_ERRORS = 100
MAX_COUNTED_ERRORS = 1000
# A member name in `loc` that comes from the client, in code points.
MAX_LOC_LENGTH = 100

# Rows of GET /stats.
MAX_PERSONALITIES = 1000
STATS_DAYS = 31
TOP_SESSIONS = 10
