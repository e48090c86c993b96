"""How hypothesis works here: as long as it takes, and what fails is printed so that it can be run again."""

from hypothesis import HealthCheck, settings

settings.register_profile("robot-brain", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("robot-brain")
