# frozen_string_literal: true

# Ctrl-C while the start waits for a database: it gives the port back.

require "socket"
require "tasker_worker"

worker = TaskerWorker::Worker.new("ruby_cancelled_start")
worker.handler("nothing") { nil }
begin
  worker.start
rescue Interrupt
  attempts = 0
  begin
    TCPServer.new("127.0.0.1", Integer(ENV.fetch("RUBY_WORKER_PORT"))).close
  rescue Errno::EADDRINUSE
    raise if (attempts += 1) > 100

    sleep 0.05
    retry
  end
  puts "the port is free"
end
