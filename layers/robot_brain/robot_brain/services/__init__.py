"""Other services, called over HTTPS: AWS Secrets Manager and Neon's API. Knows no HTTP requests and no SQL."""
