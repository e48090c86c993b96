"""API Gateway on this machine: requests in, answers out, with tokens and CORS checked as an HTTP API does."""
