# frozen_string_literal: true

# A service in a block.

require "tasker_worker"

worker = TaskerWorker::Worker.new("ruby_start_and_stop")
worker.handler("nothing") { nil }
said = nil
service = worker.running do |running|
  said = [running.health.fetch("status"), running.running?]
  running
end
service.stop # A second time, which does nothing.
puts [*said, service.running?, service.health.inspect].join(" ")
