"""structlog and logging to OpenTelemetry, for pixsim's services; replaces pixsim_logging."""
