# frozen_string_literal: true

# What a service is in a fork of its process.

require "tasker_worker"

def child
  reader, writer = IO.pipe
  pid = fork do
    reader.close
    writer.puts yield
  end
  writer.close
  [reader.read.chomp, Process.wait2(pid).last.exitstatus]
end

def refusal
  yield
rescue RuntimeError => e
  e.message.sub(/\d+/, "P").sub(/\d+/, "C")
end

worker = TaskerWorker::Worker.new("ruby_forks")
worker.handler("forks") { child { "from the child of a handler" } }
worker.handler("escapes") do
  # The child comes back from the handler, as no program should.
  pid = fork
  pid && [Process.wait2(pid).last.success?]
end
worker.running do |service|
  $stdout.puts child { refusal { service.stop } }.inspect
  $stdout.puts child { refusal { service.running? } }.inspect
  $stdout.puts child { refusal { service.health } }.inspect
  # A service of the child's own.
  $stdout.puts child { worker.running { |second| second.health.fetch("status") } }.inspect
  $stdout.puts "parent: #{service.running?}"
  $stdout.flush
  sleep
rescue SignalException
  puts "ends"
end
