# frozen_string_literal: true

require "json"
require "net/http"

# Tasks for a worker, by the orchestration service's REST API.
module Orchestration
  PATIENCE = 60

  # Sends one task with these steps (hashes with `name` and `handler`); returns its id.
  def submit(namespace, *steps, context: {})
    steps = steps.map { |step| { namespace:, max_attempts: 1, **step } }
    body = JSON.generate(name: "spec", context:, steps:)
    post("/v1/tasks", body).fetch("task_id")
  end

  # Runs one step of a handler to its end, and returns it.
  def run_step(namespace, handler, context: {})
    id = submit(namespace, { name: "only", handler: }, context:)
    wait_for_end(id).fetch("steps").first
  end

  def wait_for_end(id)
    wait_until("task #{id} is at its end") do
      task = task(id)
      task if %w[complete failed].include?(task["state"])
    end
  end

  def task(id)
    JSON.parse(Net::HTTP.get(url("/v1/tasks/#{id}")))
  end

  # The value of the block, as soon as it has one.
  def wait_until(what)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
    loop do
      value = yield
      return value if value
      raise "still not: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

      sleep 0.02
    end
  end

  private

  def url(path)
    URI("http://127.0.0.1:#{ENV.fetch("ORCHESTRATION_PORT", "8080")}#{path}")
  end

  def post(path, body)
    answer = Net::HTTP.post(url(path), body, "Content-Type" => "application/json")
    raise "#{path}: #{answer.code} #{answer.body}" unless answer.is_a?(Net::HTTPSuccess)

    JSON.parse(answer.body)
  rescue SystemCallError => e
    raise "no orchestration service (#{e.message}); `cargo make test-integration` brings one"
  end
end
