# frozen_string_literal: true

require "tasker_worker/reference"

require_relative "support/orchestration"
require_relative "support/program"

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.raise_errors_for_deprecations!
  config.order = :random
  Kernel.srand config.seed
  # A test task that runs nothing has failed.
  config.fail_if_no_examples = true
  config.warnings = true

  config.include Orchestration, :integration
  config.include Program::Starts, :integration
  config.before(:context, :integration) do
    if ENV.fetch("DATABASE_URL", "").empty?
      raise "DATABASE_URL is not set; `cargo make test-integration` brings a PostgreSQL"
    end
  end
end
