# frozen_string_literal: true

# A handler that does not even end when its thread is killed, unless STUBBORN is no.

require "tasker_worker"

worker = TaskerWorker::Worker.new("ruby_stubborn")
worker.handler("block") do |step|
  next "done" if ENV["STUBBORN"] == "no"

  begin
    puts "blocks #{step.task_id}"
    $stdout.flush
    sleep
  ensure
    sleep
  end
end
exit worker.run
