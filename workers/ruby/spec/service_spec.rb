# frozen_string_literal: true

require "socket"

# Real processes on a real PostgreSQL.
RSpec.describe TaskerWorker::Service, :integration do
  def wait_healthy(program)
    wait_until("#{program.url} is healthy") { program.health if program.health.first == 200 }.last
  end

  def elapsed
    before = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - before
  end

  it "serves its health, and tells its name" do
    body = wait_healthy(start_reference)
    expect(body).to include("service" => "tasker-worker-ruby", "status" => "healthy")
  end

  it "can be started and stopped within a process" do
    program = start("start_and_stop")
    expect(program.url).to start_with("http://127.0.0.1:")
    expect(program.line).to eq("healthy true false nil")
    expect(program.wait).to eq(0)
    expect(program.errors).to eq("")
  end

  it "is stopped at the end of the process, by whatever cause" do
    program = start("impatient", "SECONDS" => "0.5")
    wait_healthy(program)
    id = submit("ruby_impatient", { name: "only", handler: "long" })
    program.wait_for_line("runs #{id}")
    program.signal("INT")
    program.wait_for_line("stops true")
    expect(program.wait).to eq("INT")
    expect(wait_for_end(id)).to include("state" => "complete")
  end

  describe "a signal" do
    %w[TERM INT].each do |signal|
      it "SIG#{signal} is a graceful end" do
        program = start_reference
        wait_healthy(program)
        program.signal(signal)
        expect(elapsed { expect(program.wait).to eq(0) }).to be < 15
        expect(program.errors).to eq("")
      end
    end

    it "lets a running handler finish" do
      program = start_reference
      wait_healthy(program)
      id = submit("ruby", { name: "only", handler: "sleep" }, context: { sleep_ms: 1500 })
      wait_until("the step runs") { task(id).dig("steps", 0, "state") != "pending" }
      sleep 0.3
      program.signal("TERM")
      sleep 0.3
      expect(task(id)["state"]).to eq("in_progress")
      expect(program.wait).to eq(0)
      expect(wait_for_end(id)).to include("state" => "complete")
      expect(task(id)["steps"].first).to include("result" => { "slept_ms" => 1500 },
                                                 "attempts" => 1)
    end

    it "cuts off a handler that blocks for ever, and loses nothing" do
      visibility = { "TASKER_VISIBILITY_TIMEOUT_SECS" => "1" }
      program = start("stubborn", "TASKER_SHUTDOWN_GRACE_SECS" => "1", **visibility)
      wait_healthy(program)
      id = submit("ruby_stubborn", { name: "only", handler: "block" })
      program.wait_for_line("blocks #{id}")
      program.signal("TERM")
      expect(elapsed { expect(program.wait).to eq(0) }).to be_between(1, 15)
      expect(task(id)["state"]).to eq("in_progress")

      wait_healthy(start("stubborn", "STUBBORN" => "no", **visibility))
      expect(wait_for_end(id)["steps"].first).to include("result" => "done", "attempts" => 1)
    end

    it "ends the patience of a stop when it comes a second time" do
      program = start("impatient", "SECONDS" => "30", "TASKER_VISIBILITY_TIMEOUT_SECS" => "1")
      wait_healthy(program)
      id = submit("ruby_impatient", { name: "only", handler: "long" })
      program.wait_for_line("runs #{id}")
      program.signal("INT")
      program.wait_for_line("stops true")
      sleep 0.3
      program.signal("INT")
      expect(elapsed { expect(program.wait).to eq("INT") }).to be < 15
      expect(task(id)["state"]).to eq("in_progress")

      wait_healthy(start("impatient", "SECONDS" => "0"))
      expect(wait_for_end(id)).to include("state" => "complete")
    end

    it "cancels a start that waits for its database" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      program = start("cancelled_start", "DATABASE_URL" => "postgres://nobody@127.0.0.1:1/none",
                                         "RUBY_WORKER_PORT" => port.to_s)
      expect(program.url).to end_with(":#{port}")
      program.signal("INT")
      expect(elapsed { expect(program.wait).to eq(0) }).to be < 15
      expect(program.rest).to eq("the port is free\n")
    end

    it "ends a program at once that waits for its database" do
      program = start_reference("DATABASE_URL" => "postgres://nobody@127.0.0.1:1/none")
      expect(program.url).to start_with("http://")
      program.signal("INT")
      expect(elapsed { expect(program.wait).to eq("INT") }).to be < 15
    end
  end

  describe "a start that fails" do
    it "says in one line that the port is taken" do
      taken = TCPServer.new("127.0.0.1", 0)
      port = taken.addr[1].to_s
      program = start_reference("RUBY_WORKER_PORT" => port)
      expect(program.wait).to eq(1)
      expect(program.errors).to match(/\Aerror: .*#{port}/).and match(/RUBY_WORKER_PORT/)
      expect(program.errors).not_to include("worker.rb")
    ensure
      taken.close
    end

    it "hides the password of a URL that is none" do
      program = start_reference("DATABASE_URL" => "mysql://app:hunter2@db/app")
      expect(program.wait).to eq(2)
      expect(program.errors).to include("DATABASE_URL")
      expect(program.errors).not_to include("hunter2")
    end
  end

  it "refuses to work in a fork, and is left alone by it", if: Process.respond_to?(:fork) do
    program = start("forks")
    wait_healthy(program)
    refused = "the service runs in process P, and this is its fork C; start one here"
    3.times { expect(program.line).to eq([refused, 0].inspect) }
    expect(program.line).to start_with("tasker-worker-ruby listening")
    expect(program.line).to eq(["healthy", 0].inspect)
    expect(program.line).to eq("parent: true")
    expect(run_step("ruby_forks", "forks"))
      .to include("result" => ["from the child of a handler", 0])
    expect(run_step("ruby_forks", "escapes")).to include("result" => [false])
    expect(run_step("ruby_forks", "forks")).to include("state" => "complete")
    program.signal("TERM")
    expect(program.wait).to eq(0)
    expect(program.rest).to eq("ends\n")
  end
end
