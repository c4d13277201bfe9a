# frozen_string_literal: true

module TaskerWorker
  # Raised by a handler when another try cannot help: the step fails at once.
  class PermanentError < StandardError; end

  # The service cannot start: its port is taken, its database is not ready, a name is bad.
  class StartError < StandardError; end

  # The environment makes no sense: `DATABASE_URL` is missing, a port is no number.
  class ConfigurationError < StartError; end
end
