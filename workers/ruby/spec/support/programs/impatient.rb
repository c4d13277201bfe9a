# frozen_string_literal: true

# A service whose step takes longer than the patience of whoever presses Ctrl-C twice.

require "tasker_worker"

worker = TaskerWorker::Worker.new("ruby_impatient")
worker.handler("long") do |step|
  puts "runs #{step.task_id}"
  $stdout.flush
  sleep ENV.fetch("SECONDS").to_f
end
worker.running do |service|
  sleep
rescue Interrupt
  puts "stops #{service.running?}"
  $stdout.flush
  raise
end
