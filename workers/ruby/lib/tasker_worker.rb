# frozen_string_literal: true

require "tasker_worker/version"
require "tasker_worker/errors"
begin
  require "tasker_worker/tasker_core"
rescue LoadError => e
  raise LoadError, "#{e.message} (`cargo make build` in workers/ruby builds the native part)"
end
require "tasker_worker/step"
require "tasker_worker/pool"
require "tasker_worker/service"
require "tasker_worker/worker"

# Workflow steps in Ruby.
#
#   worker = TaskerWorker::Worker.new("billing")
#   worker.handler("double") { |step| { value: 2 * step.param(:value) } }
#   exit worker.run
module TaskerWorker
  # The native part, see `ext/tasker_core`.
  private_constant :Core

  at_exit { Service.stop_all }
end
