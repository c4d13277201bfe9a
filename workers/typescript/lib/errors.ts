/** Thrown by a handler when another try cannot help: the step fails at once. */
export class PermanentError extends Error {
  static {
    PermanentError.prototype.name = "PermanentError";
  }
}

/** The service cannot start: its port is taken, its database is not ready, a name is bad. */
export class StartError extends Error {
  static {
    StartError.prototype.name = "StartError";
  }
}

/** The environment makes no sense: DATABASE_URL is missing, a port is no number. */
export class ConfigurationError extends StartError {
  static {
    ConfigurationError.prototype.name = "ConfigurationError";
  }
}
