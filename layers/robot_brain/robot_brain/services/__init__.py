"""Other services, called over HTTPS: AWS Secrets Manager and Neon's API. Contains no SQL and no client's requests."""
