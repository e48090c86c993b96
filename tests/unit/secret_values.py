"""A secret, its connection string, and the keys that sign a request for it."""

from robot_brain.settings import Credentials
from tests.support.aws import REGION

ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:robot-brain-AbCdEf"
URL = "postgresql://app:hush-4711@127.0.0.1/db"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", "", "")
