"""HTTP: parse requests and form answers. Contains no SQL."""
