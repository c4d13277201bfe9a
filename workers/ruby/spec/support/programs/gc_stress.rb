# frozen_string_literal: true

# Steps while the garbage collector runs at every chance that it has.

require "tasker_worker"

worker = TaskerWorker::Worker.new("ruby_gc_stress")
worker.handler("mirror") do |step|
  { context: step.context, twice: [step.dependencies, step.param("list")],
    name: step.name.to_sym.to_s }
end
worker.handler("bad") { |step| [step.context, Object.new] }
worker.handler("raises") { |step| raise "#{step.name}: #{step.context}" }
worker.running do
  GC.stress = true
  $stdout.puts "stressed"
  $stdout.flush
  sleep
rescue SignalException
  GC.stress = false
end
