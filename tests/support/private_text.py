"""A text that stands for the words of a user, or for a password."""

# A test puts this text into a request or an error, and then looks for it in the answer and in the log.
PRIVATE = "MARKED-4711"
